"""The savefile being written: bytes where they belong, whole blocks past the cache, a whole end."""

import errno
import fcntl
import mmap
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemonlogger_py.record.openfile import BLOCK_BYTES, REMOVED, TRUNCATED, OpenSavefile
from daemonlogger_py.savefile.names import COMPRESSED, SavefileName

from ..pcaps import make
from ..pcaps.parse import parse

NAME = SavefileName(100, 0, "t.100")
WHOLE = make.captures()["us.pcap"]


@pytest.fixture
def dir_fd(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


@pytest.fixture
def savefile(dir_fd: int) -> Iterator[OpenSavefile]:
    made = OpenSavefile(dir_fd, NAME, "logs/t.100")
    yield made
    made.close()


def test_whole_end_is_of_the_open_file_whatever_has_its_name(
    savefile: OpenSavefile, dir_fd: int, tmp_path: Path
) -> None:
    """Somebody may rename it meanwhile; another file's length is no measure for it."""
    savefile.put(memoryview(WHOLE), 0)
    (tmp_path / "t.100").rename(tmp_path / "kept")
    (tmp_path / "t.100").write_bytes(WHOLE[:24])
    savefile.cut()

    assert (tmp_path / "kept").read_bytes() == WHOLE
    assert (tmp_path / "t.100").read_bytes() == WHOLE[:24]


@pytest.mark.parametrize("end", COMPRESSED)
def test_the_name_of_what_somebody_compressed_is_taken(
    dir_fd: int, tmp_path: Path, end: str
) -> None:
    (tmp_path / f"t.100{end}").touch()
    with pytest.raises(FileExistsError):
        OpenSavefile(dir_fd, NAME, "logs/t.100")

    assert os.listdir(tmp_path) == [f"t.100{end}"]


def test_a_name_whose_compressing_ended_meanwhile_is_taken(
    dir_fd: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What compresses makes the new file, and removes the original last."""
    create = os.open

    def late(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        os.mknod(tmp_path / "t.100.gz")
        return create(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", late)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(FileExistsError):
        OpenSavefile(dir_fd, NAME, "logs/t.100")

    assert os.listdir(tmp_path) == ["t.100.gz"]
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_name_that_nothing_compressed_can_have_is_free(dir_fd: int) -> None:
    name = f"{'n' * 250}.1"
    OpenSavefile(dir_fd, SavefileName(1, 0, name), name).close()


def go_direct(savefile: OpenSavefile) -> None:
    with suppress(OSError):  # where temporary files are may be no such file system
        savefile.bypass_cache()


def put_all(savefile: OpenSavefile, data: bytes, offset: int = 0) -> None:
    with memoryview(data) as view:
        done = 0
        while done < len(data):
            done += savefile.put(view[done:], offset + done)


def test_new_savefile_is_empty_and_ours(savefile: OpenSavefile, tmp_path: Path) -> None:
    status = (tmp_path / "t.100").stat()

    assert (savefile.name, savefile.path) == (NAME, "logs/t.100")
    assert (savefile.packets, savefile.size_bytes, status.st_size) == (0, 0, 0)
    assert stat.S_IMODE(status.st_mode) & ~0o640 == 0
    assert stat.S_ISREG(status.st_mode)


@pytest.mark.parametrize("kind", ["file", "symlink", "directory"])
def test_taken_name(dir_fd: int, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "t.100"
    if kind == "file":
        path.write_bytes(b"older")
    elif kind == "symlink":
        path.symlink_to(tmp_path / "nowhere")
    else:
        path.mkdir()
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(FileExistsError):
        OpenSavefile(dir_fd, NAME, "t.100")

    assert len(os.listdir("/proc/self/fd")) == before
    assert not (tmp_path / "nowhere").exists()


def test_locked_while_it_is_open(dir_fd: int, tmp_path: Path) -> None:
    savefile = OpenSavefile(dir_fd, NAME, "t.100")
    with (tmp_path / "t.100").open("rb") as file:
        with pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        savefile.close()
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.fixture
def reader(dir_fd: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """One that holds the savefile to come, from between its creation and its lock."""
    create = os.open
    held: list[int] = []

    def create_and_hold(path: str, flags: int, mode: int = 0o777, *, dir_fd: int) -> int:
        fd = create(path, flags, mode, dir_fd=dir_fd)
        fcntl.flock(held[0], fcntl.LOCK_SH | fcntl.LOCK_NB)
        return fd

    (tmp_path / "t.100").write_bytes(b"")
    held.append(create(tmp_path / "t.100", os.O_RDONLY))
    monkeypatch.setattr("daemonlogger_py.record.openfile._CREATE", os.O_RDWR | os.O_CLOEXEC)
    monkeypatch.setattr(os, "open", create_and_hold)
    yield held[0]
    os.close(held[0])


def test_a_reader_that_was_faster_delays_the_lock(
    dir_fd: int, reader: int, savefile: OpenSavefile
) -> None:
    assert not savefile.locked
    put_all(savefile, b"0123456789")
    assert not savefile.locked, "and nothing waits"
    fcntl.flock(reader, fcntl.LOCK_UN)
    put_all(savefile, b"abc", 10)
    assert savefile.locked
    with pytest.raises(BlockingIOError):
        fcntl.flock(reader, fcntl.LOCK_SH | fcntl.LOCK_NB)


def test_a_lock_that_is_held_costs_nothing_more(
    savefile: OpenSavefile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(fcntl, "flock")
    put_all(savefile, b"0123456789")
    assert savefile.locked


def test_a_file_system_without_locks_is_asked_once(
    dir_fd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def refuse(fd: int, kind: int) -> None:
        asked.append(kind)
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    savefile = OpenSavefile(dir_fd, NAME, "t.100")
    put_all(savefile, b"0123456789")
    savefile.close()
    assert len(asked) == 1


def test_putting_where_it_belongs(savefile: OpenSavefile, tmp_path: Path) -> None:
    put_all(savefile, b"0123456789")
    put_all(savefile, b"abc", 3)
    put_all(savefile, b"xyz", 10)

    assert (tmp_path / "t.100").read_bytes() == b"012abc6789xyz"
    assert savefile.size_bytes == 13


def test_size_is_what_arrived(
    savefile: OpenSavefile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: write(fd, data[:4], offset))
    with memoryview(b"0123456789") as view:
        assert savefile.put(view, 0) == 4

    assert savefile.size_bytes == 4
    assert (tmp_path / "t.100").read_bytes() == b"0123"


@given(
    pieces=st.lists(st.integers(0, 3 * BLOCK_BYTES) | st.just(BLOCK_BYTES), max_size=8),
    switches=st.lists(st.sampled_from(["direct", "cache", "as it is"]), min_size=8, max_size=8),
)
def test_direct_or_not_the_bytes_are_the_same(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[int], switches: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("logs")
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    savefile = OpenSavefile(fd, NAME, "t.100")
    expected = b""
    for number, (size, switch) in enumerate(zip(pieces, switches, strict=False)):
        if switch == "direct":
            go_direct(savefile)
        elif switch == "cache":
            savefile.use_cache()
        put_all(savefile, aligned(bytes([number + 1]) * size), len(expected))
        expected += bytes([number + 1]) * size
    status = savefile.close()
    os.close(fd)

    assert (folder / "t.100").read_bytes() == expected
    assert savefile.size_bytes == status.st_size == len(expected)


def aligned(data: bytes) -> memoryview:
    """The same bytes at the beginning of a page, as direct output wants them."""
    room = mmap.mmap(-1, len(data) + 1)
    room[: len(data)] = data
    return memoryview(room)[: len(data)]


@pytest.mark.parametrize("direct", [False, True])
@pytest.mark.parametrize("behind_bytes", [0, 5, 60])
def test_cutting_leaves_whole_records(
    savefile: OpenSavefile, tmp_path: Path, behind_bytes: int, direct: bool
) -> None:
    data = WHOLE[: len(WHOLE) - 76 + behind_bytes]
    put_all(savefile, data)
    if direct:
        go_direct(savefile)
    found, behind = savefile.cut()

    end = parse(data).end_offset
    assert (found.packets, found.end_offset, behind) == (11, end, b"")
    assert (savefile.packets, savefile.size_bytes) == (11, end)
    assert (tmp_path / "t.100").read_bytes() == data[:end]
    put_all(savefile, b"more", end)
    assert (tmp_path / "t.100").read_bytes() == data[:end] + b"more"


@pytest.mark.parametrize("more", [-30, -1, 0, 1, 20])
def test_cutting_gives_back_what_was_put_before(savefile: OpenSavefile, more: int) -> None:
    """What is in no buffer any more: the beginning of the torn record, up to the buffer's."""
    end = len(WHOLE) - 76
    put_all(savefile, WHOLE[: end + 40])
    found, behind = savefile.cut(up_to=end + more)

    assert found.end_offset == end
    assert behind == WHOLE[end : end + max(0, more)]


def test_cutting_a_file_header(savefile: OpenSavefile, tmp_path: Path) -> None:
    put_all(savefile, WHOLE[:24])
    found, _ = savefile.cut()

    assert (found.packets, found.end_offset) == (0, 24)
    assert (tmp_path / "t.100").read_bytes() == WHOLE[:24]


def test_refused_direct_output_leaves_the_savefile_as_it_was(
    savefile: OpenSavefile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(fd: int, command: int, value: int = 0) -> int:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr(fcntl, "fcntl", refuse)
    with pytest.raises(OSError, match="Invalid argument"):
        savefile.bypass_cache()
    put_all(savefile, b"x" * (BLOCK_BYTES + 7))

    assert (tmp_path / "t.100").stat().st_size == BLOCK_BYTES + 7


def test_closing_tells_the_last_status(dir_fd: int) -> None:
    savefile = OpenSavefile(dir_fd, NAME, "t.100")
    put_all(savefile, WHOLE)

    assert savefile.close().st_size == len(WHOLE)


@pytest.mark.parametrize("direct", [False, True])
def test_what_others_do_to_it_is_seen(savefile: OpenSavefile, tmp_path: Path, direct: bool) -> None:
    path, header = tmp_path / "t.100", WHOLE[:24]
    assert savefile.look(header) is None  # nothing is written yet
    savefile.put(memoryview(WHOLE), 0)
    if direct:
        savefile.bypass_cache()
    assert savefile.look(header) is None
    path.rename(tmp_path / "kept")
    assert savefile.look(header) is None  # who renamed it has it

    os.truncate(tmp_path / "kept", 0)
    assert savefile.look(header) == savefile.spoilt == TRUNCATED
    assert savefile.direct == direct


def test_one_that_goes_on_behind_a_hole_is_truncated(
    savefile: OpenSavefile, tmp_path: Path
) -> None:
    savefile.put(memoryview(WHOLE), 0)
    os.truncate(tmp_path / "t.100", 0)
    savefile.put(memoryview(bytes(BLOCK_BYTES)), BLOCK_BYTES)

    assert savefile.look(WHOLE[:24]) == TRUNCATED


def test_one_without_a_name_is_removed(savefile: OpenSavefile, tmp_path: Path) -> None:
    savefile.put(memoryview(WHOLE), 0)
    os.link(tmp_path / "t.100", tmp_path / "linked")
    (tmp_path / "t.100").unlink()
    assert savefile.look(WHOLE[:24]) is None
    (tmp_path / "linked").unlink()
    (tmp_path / "t.100").write_bytes(WHOLE)  # which is another file

    assert savefile.look(WHOLE[:24]) == REMOVED


def test_a_file_system_that_counts_no_links(
    savefile: OpenSavefile, monkeypatch: pytest.MonkeyPatch
) -> None:
    fstat = os.fstat

    def without_links(fd: int) -> SimpleNamespace:
        status = fstat(fd)
        fields = {name: getattr(status, name) for name in dir(status) if name.startswith("st_")}
        return SimpleNamespace(**{**fields, "st_nlink": 0})

    savefile.put(memoryview(WHOLE), 0)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fstat", without_links)
        assert savefile.look(WHOLE[:24]) is None
