"""Files in every dress: what comes out, and what is said of what does not."""

import bz2
import gzip
import io
import lzma
import os
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from daemonlogger_py.engine.protocol import Stop
from daemonlogger_py.errors import FilterError
from daemonlogger_py.readers.inputs.capture import Complaint, Input
from daemonlogger_py.readers.inputs.files import File, captures
from daemonlogger_py.readers.inputs.stopping import Stopping

from ...pcaps.make import MODIFIED, NANOSECONDS, RAW, classic, pcapng
from .reading import capture, packets, read, told

DATA = capture(100)
ALL = list(range(100))


@pytest.fixture
def stopping() -> Iterator[Stopping]:
    """Nothing stays open and no thread stays behind."""
    before = os.listdir("/proc/self/fd"), threading.active_count()
    with Stopping() as made:
        yield made
    assert (os.listdir("/proc/self/fd"), threading.active_count()) == before


def zipped(*contents: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, content in enumerate(contents):
            archive.writestr(f"{number}.pcap", content)
    return file.getvalue()


PACK: dict[str, Callable[[bytes], bytes]] = {
    "as it is": bytes,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lambda data: lzma.compress(data, preset=0),
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE, preset=0),
}


def only(path: Path, stopping: Stopping, **given: bool) -> list[object]:
    return told(captures(File(str(path), **given), stopping, ""))  # type: ignore[arg-type]


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("kind", ["us", "ns", "modified", "pcapng", "pcapng ns"])
@pytest.mark.parametrize("pack", PACK)
def test_every_format(tmp_path, stopping, order: str, kind: str, pack: str) -> None:
    magics = {"ns": {"magic": NANOSECONDS}, "modified": {"magic": MODIFIED}, "us": {}}
    if kind in magics:
        data = classic(packets(100), order=order, **magics[kind])  # type: ignore[arg-type]
    else:
        data = pcapng(packets(100), order=order, nanosecond="ns" in kind)
    path = tmp_path / "misnamed.bz2"
    path.write_bytes(PACK[pack](data))
    (input_,) = list_open(captures(File(str(path)), stopping, ""))
    name, found, nanosecond, linktype = input_
    assert (name, found, nanosecond, linktype) == (str(path), ALL, "ns" in kind, 1)


def list_open(items: Iterator[Input | Complaint]) -> list[tuple[str, list[int], bool, int]]:
    result = []
    for item in items:
        assert isinstance(item, Input)
        found, reason = read(item)
        assert reason is Stop.END
        assert item.ending(reason) is None
        result.append((item.name, found, item.nanosecond, item.linktype))
    return result


def test_zstd(tmp_path, stopping) -> None:
    zstandard = pytest.importorskip("zstandard")
    (tmp_path / "x").write_bytes(zstandard.compress(DATA))
    assert only(tmp_path / "x", stopping) == [(f"{tmp_path}/x", ALL)]


def test_zip_members_are_captures_of_their_own(tmp_path, stopping) -> None:
    path = tmp_path / "x"
    path.write_bytes(zipped(capture(3), b"a note, not a capture", capture(2, first=7)))
    found = only(path, stopping)
    assert found[0] == (f"{path}:0.pcap", [0, 1, 2])
    assert isinstance(found[1], Complaint)
    assert found[1].text.startswith(f"{path}:1.pcap: not a savefile, at byte offset 0")
    assert found[2:] == [(f"{path}:2.pcap", [7, 8])]


def test_zip_member_that_is_not_read_to_its_end(tmp_path, stopping) -> None:
    (tmp_path / "x").write_bytes(zipped(capture(20_000), capture(2)))
    names = [item.name for item in captures(File(str(tmp_path / "x")), stopping, "")]  # type: ignore[union-attr]
    assert names == [f"{tmp_path}/x:0.pcap", f"{tmp_path}/x:1.pcap"]


@pytest.mark.parametrize("pack", PACK)
def test_named_pipe(tmp_path, stopping, pack: str) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(PACK[pack](capture(5000)),))
    writer.start()
    assert only(path, stopping) == [(str(path), list(range(5000)))]
    writer.join()


def test_zip_in_a_pipe(tmp_path, stopping) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    data = zipped(capture(3), b"a note", capture(2))
    writer = threading.Thread(target=path.write_bytes, args=(data,))
    writer.start()
    found = only(path, stopping)
    assert (found[0], found[2]) == ((f"{path}:0.pcap", [0, 1, 2]), (f"{path}:2.pcap", [0, 1]))
    writer.join()


@pytest.mark.parametrize("piped", [False, True])
def test_standard_input(tmp_path, stopping, piped: bool) -> None:
    (tmp_path / "x").write_bytes(b"skipped" + DATA)
    kept = os.dup(0)
    try:
        if piped:
            fd, write_fd = os.pipe()
            os.write(write_fd, DATA)
            os.close(write_fd)
        else:
            fd = os.open(tmp_path / "x", os.O_RDONLY)
            os.lseek(fd, 7, os.SEEK_SET)
        os.dup2(fd, 0)
        os.close(fd)
        assert told(captures(File("-"), stopping, "")) == [("standard input", ALL)]
        os.fstat(0)  # it is still there
    finally:
        os.dup2(kept, 0)
        os.close(kept)


def test_a_filter_is_applied(tmp_path, stopping) -> None:
    (tmp_path / "x").write_bytes(DATA)
    assert told(captures(File(str(tmp_path / "x")), stopping, "tcp")) == [(f"{tmp_path}/x", [])]


@pytest.mark.parametrize("pack", ["as it is", "gzip"])
def test_a_filter_that_this_linktype_does_not_take(tmp_path, stopping, pack: str) -> None:
    (tmp_path / "x").write_bytes(PACK[pack](classic(packets(3), linktype=RAW)))
    with pytest.raises(FilterError, match="ether"):
        list(captures(File(str(tmp_path / "x")), stopping, "ether host 02:00:00:00:00:01"))


def complaint(found: list[object]) -> Complaint:
    (last,) = [item for item in found if isinstance(item, Complaint)]
    assert "\n" not in last.text
    return last


def test_missing_file(tmp_path, stopping) -> None:
    with pytest.raises(FileNotFoundError):
        list(captures(File(str(tmp_path / "gone")), stopping, ""))


@pytest.mark.parametrize("content", [b"", b"x", b"a text that is longer than a header", DATA[:20]])
@pytest.mark.parametrize("pack", ["as it is", "gzip"])
def test_what_is_no_capture(tmp_path, stopping, content: bytes, pack: str) -> None:
    (tmp_path / "x").write_bytes(PACK[pack](content))
    said = complaint(only(tmp_path / "x", stopping))
    assert said.failed
    assert said.text.startswith(f"{tmp_path}/x: not a savefile, at byte offset 0: ")


def test_a_directory(tmp_path, stopping) -> None:
    assert only(tmp_path, stopping) == [Complaint(f"{tmp_path}: Is a directory")]


def test_a_cut_file_gives_what_is_before_the_cut(tmp_path, stopping) -> None:
    (tmp_path / "x").write_bytes(DATA[:-3])
    found = only(tmp_path / "x", stopping)
    assert found[0] == (f"{tmp_path}/x", ALL[:-1])
    assert complaint(found).failed
    assert complaint(found).text.startswith(f"{tmp_path}/x is damaged at byte offset ")


@pytest.mark.parametrize("pack", [name for name in PACK if name != "as it is"])
def test_cut_compressed_data_gives_what_could_be_decoded(tmp_path, stopping, pack: str) -> None:
    noisy = classic(
        [p._replace(data=p.data + os.urandom(1400)) for p in packets(1500)]
    )  # more than one of bzip2's blocks
    (tmp_path / "x").write_bytes(PACK[pack](noisy)[:-400_000])
    found = only(tmp_path / "x", stopping)
    _, numbers = found[0]  # type: ignore[misc]
    assert numbers == list(range(len(numbers)))
    assert 500 < len(numbers) < 1500
    assert found[1:] == [Complaint(f"{tmp_path}/x: the {pack} data is cut short")]


def test_compressed_data_that_does_not_reach_a_header(tmp_path, stopping) -> None:
    (tmp_path / "x").write_bytes(gzip.compress(DATA)[:15])
    assert only(tmp_path / "x", stopping) == [
        Complaint(f"{tmp_path}/x: the gzip data is cut short")
    ]


def test_lz4(tmp_path, stopping) -> None:
    (tmp_path / "x").write_bytes(b"\x04\x22\x4d\x18" + bytes(100))
    assert complaint(only(tmp_path / "x", stopping)).text.startswith(
        f"{tmp_path}/x: lz4 is not decoded; accepted: gzip"
    )


@pytest.mark.parametrize("size", [0, 10])
def test_what_is_being_written_may_lack_its_header(tmp_path, stopping, size: int) -> None:
    (tmp_path / "x").write_bytes(DATA[:size])
    found = only(tmp_path / "x", stopping, growing=True)
    assert all(isinstance(item, Complaint) and not item.failed for item in found)


@pytest.mark.parametrize("size", [4, 10, 28, 30])
def test_a_pcapng_capture_that_is_being_written_may_lack_its_header(
    tmp_path, stopping, size: int
) -> None:
    (tmp_path / "x").write_bytes(pcapng(packets(3))[:size])
    assert only(tmp_path / "x", stopping, growing=True) == [
        Complaint(f"{tmp_path}/x: the file header is cut short", failed=False)
    ]


@pytest.mark.parametrize(("at", "bit"), [(0, 3), (4, 0), (6, 0)])
@pytest.mark.parametrize("pack", ["as it is", "gzip"])
def test_a_damaged_header_is_not_one_that_is_being_written(
    tmp_path, stopping, at: int, bit: int, pack: str
) -> None:
    damaged = bytearray(DATA)
    damaged[at] ^= 1 << bit
    (tmp_path / "truncated").write_bytes(PACK[pack](bytes(damaged)))
    said = complaint(only(tmp_path / "truncated", stopping, growing=True))
    assert said.failed
    assert said.text.startswith(f"{tmp_path}/truncated: not a savefile, at byte offset 0: ")


def test_completing_is_told_of_each_member(tmp_path, stopping) -> None:
    (tmp_path / "x").write_bytes(zipped(DATA, DATA))
    items = list(captures(File(str(tmp_path / "x"), completing=True), stopping, ""))
    assert [item.completing for item in items] == [True, True]  # type: ignore[union-attr]


def test_a_request_ends_the_wait_for_a_header(tmp_path, stopping) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    write_fd = os.open(path, os.O_RDWR)
    os.write(write_fd, DATA[:20])
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.extend(captures(File(str(path)), stopping, "")))
    thread.start()
    stopping.request()
    thread.join(30)
    assert not thread.is_alive()
    assert found == []
    os.close(write_fd)


def test_positions_are_of_the_file(tmp_path, stopping) -> None:
    for pack in PACK:
        path = tmp_path / "x"
        path.write_bytes(PACK[pack](DATA))
        file = File(str(path))
        assert file.size_bytes() == path.stat().st_size
        for item in captures(file, stopping, ""):
            assert isinstance(item, Input)
            read(item)
            assert item.position() == path.stat().st_size


def test_a_name_that_a_terminal_would_obey(tmp_path, stopping) -> None:
    (tmp_path / "a\nb").write_bytes(b"")
    said = complaint(only(tmp_path / "a\nb", stopping)).text
    assert r"a\nb" in said


def test_beforehand_a_failure_is_kept_for_its_turn(tmp_path, stopping) -> None:
    file = File(str(tmp_path / "gone"))
    file.hold()
    (tmp_path / "gone").write_bytes(DATA)
    with pytest.raises(FileNotFoundError):
        file.open()


def test_a_file_that_is_held_is_read_after_it_is_gone(tmp_path, stopping) -> None:
    (tmp_path / "x").write_bytes(DATA)
    file = File(str(tmp_path / "x"))
    file.hold()
    (tmp_path / "x").unlink()
    assert told(captures(file, stopping, "")) == [(f"{tmp_path}/x", ALL)]
