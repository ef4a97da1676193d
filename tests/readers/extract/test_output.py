"""Outputs begin as tcpdump begins them, are never a savefile that is read, and end whole."""

import os
import pty
import socket
from pathlib import Path

import pytest

from daemonlogger_py.errors import StorageError, UsageError
from daemonlogger_py.readers.archive import Directory
from daemonlogger_py.readers.extract.output import Output
from daemonlogger_py.readers.extract.task import Facts
from daemonlogger_py.readers.inputs.stopping import Stopping

from ...pcaps.make import NANOSECONDS, RAW, classic, file_header
from ...pcaps.parse import parse
from .savefiles import member, numbered


def test_begins_as_a_savefile_that_holds_all_of_them(tmp_path: Path, stopping: Stopping) -> None:
    output = Output(str(tmp_path / "out"), [], stopping=stopping)
    output.begin([Facts(RAW, 96, False), Facts(RAW, 65535, True)])
    output.close()

    expected = file_header(magic=NANOSECONDS, snaplen=65535, linktype=RAW)
    assert (tmp_path / "out").read_bytes() == expected


def test_without_any_savefile_it_is_one_of_ethernet(tmp_path: Path, stopping: Stopping) -> None:
    output = Output(str(tmp_path / "out"), [], stopping=stopping)
    output.begin([])
    output.close()

    assert (tmp_path / "out").read_bytes() == file_header()


def test_pcap_refuses_several_linktypes(tmp_path: Path, stopping: Stopping) -> None:
    output = Output(str(tmp_path / "out"), [], stopping=stopping)
    with pytest.raises(UsageError, match=r"several linktypes \(1, 101\).*--pcapng"):
        output.begin([Facts(1, 96, False), Facts(RAW, 96, False)])
    output.discard()
    output.close()

    assert list(tmp_path.iterdir()) == []


def test_one_that_came_later_is_refused_as_well(tmp_path: Path, stopping: Stopping) -> None:
    output = Output(str(tmp_path / "out"), [], stopping=stopping)
    output.begin([Facts(1, 96, False)])
    output.require(Facts(1, 65535, True))
    with pytest.raises(UsageError, match="linktype 101 follow those of 1"):
        output.require(Facts(RAW, 96, False))
    output.close()


def test_pcapng_describes_each_kind_of_capture_before_its_packets(
    tmp_path: Path, stopping: Stopping
) -> None:
    path = tmp_path / "out"
    with_ns, without = Facts(1, 65535, True), Facts(1, 65535, False)
    output = Output(str(path), [], pcapng=True, stopping=stopping)
    output.begin([without])
    assert output.interface(without) == 0
    assert output.interface(with_ns) == 1
    assert output.interface(with_ns) == 1
    output.packets(b"")
    output.close()
    data = path.read_bytes()

    kinds = []
    at = 0
    while at < len(data):
        kind, size = (int.from_bytes(data[at + i : at + i + 4], "little") for i in (0, 4))
        kinds.append((kind, data[at + 8 : at + 16], size))
        assert data[at + size - 4 : at + size] == data[at + 4 : at + 8]
        at += size
    assert [kind for kind, _, _ in kinds] == [0x0A0D0D0A, 1, 1]
    assert [size for _, _, size in kinds] == [28, 20, 32]
    assert parse(data).linktype == 1


def test_a_file_that_is_there_is_replaced_only_by_a_begin(
    tmp_path: Path, stopping: Stopping
) -> None:
    path = tmp_path / "out"
    path.write_bytes(bytes(1000))
    output = Output(str(path), [], stopping=stopping)
    output.discard()
    assert path.read_bytes() == bytes(1000)

    output.begin([])
    output.close()
    assert path.read_bytes() == file_header()


@pytest.mark.parametrize("link", [False, True])
def test_a_savefile_that_is_read_is_refused(tmp_path: Path, link: bool, stopping: Stopping) -> None:
    savefile = tmp_path / "p.5"
    savefile.write_bytes(classic(numbered(1)))
    path = savefile
    if link:
        path = tmp_path / "other"
        path.hardlink_to(savefile)

    with pytest.raises(UsageError, match=r"is read as .*p\.5"):
        Output(str(path), [member(savefile)], stopping=stopping)
    assert savefile.read_bytes() == classic(numbered(1))


def test_a_name_that_a_ring_would_take_for_its_own(tmp_path: Path, stopping: Stopping) -> None:
    (tmp_path / "p.5").write_bytes(classic(numbered(1)))
    directory = member(tmp_path / "p.5").directory

    with pytest.raises(UsageError, match="as a savefile of the ring"):
        Output(str(tmp_path / "p.6"), [], [directory], stopping=stopping)
    assert not (tmp_path / "p.6").exists()
    other = Output(str(tmp_path / "q.6"), [], [directory], stopping=stopping)
    other.discard()
    other.close()


@pytest.fixture
def ring(tmp_path: Path) -> Directory:
    (tmp_path / "p.5").write_bytes(classic(numbered(1)))
    (tmp_path / "p.index").mkdir()
    return member(tmp_path / "p.5").directory._replace(index_dir=str(tmp_path / "p.index"))


ENDS = [
    *("catalog", "catalog-wal", "catalog-shm", "catalog-pages", "catalog-end"),
    *("socket", "index", "index/a/b", "5.damaged", "6.003.damaged.12"),
    *("catalog.damaged", "catalog.damaged.2", "catalog.damaged-wal", "catalog.damaged.2-wal"),
]


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("end", ENDS)
def test_what_belongs_to_the_archive_is_refused(
    tmp_path: Path, ring: Directory, end: str, there: bool, stopping: Stopping
) -> None:
    path = tmp_path / f"p.{end}"
    path.parent.mkdir(exist_ok=True)
    if there and end != "index":
        path.write_bytes(b"kept")
    before = sorted(tmp_path.rglob("*"))

    with pytest.raises(UsageError, match=f"-w .*p.{end}: belongs to the archive of the ring .*/p;"):
        Output(str(path), [], [ring], stopping=stopping)
    assert sorted(tmp_path.rglob("*")) == before
    assert not there or end == "index" or path.read_bytes() == b"kept"


def test_a_socket_is_refused_as_one(
    tmp_path: Path, ring: Directory, monkeypatch: pytest.MonkeyPatch, stopping: Stopping
) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("p.socket")
        with pytest.raises(UsageError, match="belongs to the archive"):
            Output("p.socket", [], [ring], stopping=stopping)


def test_the_new_one_of_a_repair_is_refused(
    tmp_path: Path, ring: Directory, stopping: Stopping
) -> None:
    with pytest.raises(UsageError, match="belongs to the archive"):
        Output(str(tmp_path / ".p.7.repairing"), [], [ring], stopping=stopping)


@pytest.mark.parametrize("name", ["p.catalog", "p.5.damaged", "p.catalog.damaged"])
@pytest.mark.parametrize("link", ["hardlink_to", "symlink_to"])
def test_a_link_to_the_archive_is_refused(
    tmp_path: Path, ring: Directory, link: str, name: str, stopping: Stopping
) -> None:
    catalog, path = tmp_path / name, tmp_path / "other"
    catalog.write_bytes(b"kept")
    getattr(path, link)(catalog)

    with pytest.raises(UsageError, match="other: belongs to the archive"):
        Output(str(path), [], [ring], stopping=stopping)
    assert catalog.read_bytes() == b"kept"


@pytest.mark.parametrize("name", [
    *("q.catalog", "p.catalog.pcap", "p.indexed", "below/p.catalog"),
    *("q.5.damaged", "p.x.damaged", ".q.5.repairing", "p.catalog.damaged.pcap"),
])  # fmt: skip
def test_what_is_only_called_similarly_is_not(
    tmp_path: Path, ring: Directory, name: str, stopping: Stopping
) -> None:
    (tmp_path / "below").mkdir()
    output = Output(str(tmp_path / name), [], [ring], stopping=stopping)
    output.discard()
    output.close()


def test_a_terminal_is_refused(monkeypatch: pytest.MonkeyPatch, stopping: Stopping) -> None:
    ours, theirs = pty.openpty()
    monkeypatch.setattr(os, "isatty", lambda fd: fd == 1)
    try:
        with pytest.raises(UsageError, match="terminal"):
            Output("-", [], stopping=stopping)
    finally:
        os.close(ours)
        os.close(theirs)


def test_a_place_that_is_not_there(tmp_path: Path, stopping: Stopping) -> None:
    with pytest.raises(StorageError, match="No such file"):
        Output(str(tmp_path / "nowhere" / "out"), [], stopping=stopping)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_told(stopping: Stopping) -> None:
    output = Output("/dev/full", [], stopping=stopping)
    with pytest.raises(StorageError, match="No space left"):
        output.begin([])
    output.close()


def test_what_cannot_be_written_whole_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stopping: Stopping
) -> None:
    path = tmp_path / "out"
    output = Output(str(path), [], stopping=stopping)
    output.begin([])
    output.packets(b"whole")
    really = os.write

    def half(fd: int, data: bytes) -> int:
        if len(data) <= 4:
            raise OSError(28, "No space left on device")
        return really(fd, data[: len(data) - 4])

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(StorageError, match="No space left"):
        output.packets(b"not whole")
    output.close()

    assert path.read_bytes() == file_header() + b"whole"
