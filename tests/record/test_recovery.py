"""What a killed recorder left: torn tails are cut, everything else is left as it is."""

import errno
import fcntl
import os
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemonlogger_py.record import recovery
from daemonlogger_py.record.recovery import newest, recover
from daemonlogger_py.savefile.names import Naming, SavefileName

from ..pcaps import make
from ..pcaps.parse import parse
from .fakes import Told

CAPTURES = make.captures()
WHOLE = CAPTURES["us.pcap"]
NAME = SavefileName(100, 0, "t.100")
LONG_AGO = 1_000_000_000


class Ending(threading.Event):
    """Notes how long the recovery waits for the end, which does not take that long here."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []
        self.meanwhile: Callable[[], None] = lambda: None

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.waits.append(timeout)
        self.meanwhile()
        return self.is_set()


class Logs:
    """A log directory with what an earlier run left, and what is told of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / NAME.name
        self.fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        self.told = Told()
        self.ending = Ending()

    def leave(self, data: bytes, modified_s: int = LONG_AGO) -> None:
        self.path.write_bytes(data)
        os.utime(self.path, (modified_s, modified_s))

    def recover(self) -> None:
        recover(self.fd, NAME, "/var/log/pcap", self.told, self.ending)


@pytest.fixture
def logs(tmp_path: Path) -> Iterator[Logs]:
    made = Logs(tmp_path)
    yield made
    os.close(made.fd)


@pytest.fixture
def no_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system, or an owner, where the kernel does not tell who writes."""
    control = fcntl.fcntl

    def refuse(fd: int, command: int, value: int = 0) -> int:
        if command == fcntl.F_SETLEASE:
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
        return control(fd, command, value)

    monkeypatch.setattr(fcntl, "fcntl", refuse)


@pytest.mark.parametrize("name", ["cut_in_record_header.pcap", "cut_in_packet.pcap"])
def test_torn_tail_is_cut_and_told(logs: Logs, name: str) -> None:
    expected = parse(CAPTURES[name])
    logs.leave(CAPTURES[name])
    logs.recover()

    end = expected.end_offset
    torn_bytes = len(CAPTURES[name]) - end
    assert logs.path.read_bytes() == CAPTURES[name][:end]
    assert logs.path.stat().st_mtime == LONG_AGO  # it is pruned when it would have been
    assert logs.told.all == [
        (
            "recovered",
            (
                f"[!] Recovered /var/log/pcap/t.100: 11 whole records kept, "
                f"{torn_bytes} bytes of a torn one cut at byte offset {end}"
            ),
            {
                "path": "/var/log/pcap/t.100",
                "packets": 11,
                "torn_bytes": torn_bytes,
                "offset": end,
            },
        )
    ]


def test_tail_of_another_user_s_savefile_is_cut_too(
    logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(fd: int, ns: tuple[int, int]) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    logs.leave(CAPTURES["cut_in_packet.pcap"])
    monkeypatch.setattr(os, "utime", refuse)
    logs.recover()

    assert logs.told.events() == ["recovered"]


def test_zeros_that_never_reached_the_disk_are_cut(logs: Logs) -> None:
    logs.leave(CAPTURES["zeros_at_end.pcap"])
    logs.recover()

    assert logs.path.read_bytes() == CAPTURES["zeros_at_end.pcap"][:-4096]
    assert logs.told.events() == ["recovered"]


@pytest.mark.parametrize("name", ["us.pcap", "ns.pcap", "us_big_endian.pcap", "header_only.pcap"])
def test_whole_savefile_is_left_as_it_is(logs: Logs, name: str) -> None:
    logs.leave(CAPTURES[name])
    logs.recover()

    assert logs.path.read_bytes() == CAPTURES[name]
    assert logs.path.stat().st_mtime == LONG_AGO
    assert logs.told.all == []


@pytest.mark.parametrize(
    "name",
    [
        "bad_caplen.pcap",
        "zeros_in_the_middle.pcap",
        "not_pcap.txt",
        "us.pcapng",
        "empty.pcap",
        "cut_in_file_header.pcap",
    ],
)
def test_damage_that_no_killed_recorder_leaves_may_be_evidence(logs: Logs, name: str) -> None:
    logs.leave(CAPTURES[name])
    logs.recover()

    assert logs.path.read_bytes() == CAPTURES[name]
    assert logs.path.stat().st_mtime == LONG_AGO
    assert logs.told.events() == ["damaged"]
    (text,) = logs.told.texts()
    assert text.startswith("[!] /var/log/pcap/t.100 is damaged and left as it is: ")
    assert " at byte offset " in text


def torn_as_it_seems(at: int, put_in: bytes = b"", flipped: int = 0) -> bytes:
    """A thousand records, one of which is damaged in the bytes from `at` of its header on."""
    one = struct.pack("<IIII", 1_700_000_000, 0, 100, 100) + bytes(100)
    data = bytearray(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1) + one * 1000)
    place = 24 + len(one) * 900 + at
    data[place] ^= flipped
    data[place:place] = put_in
    return bytes(data)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(torn_as_it_seems(10, flipped=1), id="one bit of the captured length"),
        pytest.param(torn_as_it_seems(8, put_in=b"\0"), id="a byte before the captured length"),
        pytest.param(torn_as_it_seems(10, flipped=1)[:-5], id="torn as well"),
    ],
)
def test_whole_records_behind_a_damaged_length_are_not_cut(logs: Logs, data: bytes) -> None:
    logs.leave(data)
    logs.recover()

    assert logs.path.read_bytes() == data
    assert logs.path.stat().st_mtime == LONG_AGO
    assert logs.told.events() == ["damaged"]
    (text,) = logs.told.texts()
    offset = 24 + 116 * 900
    assert text.startswith("[!] /var/log/pcap/t.100 is damaged and left as it is: record cut short")
    assert text.endswith(
        f" at byte offset {offset}; there may be whole records behind it: "
        "dlctl verify --repair keeps them"
    )


def test_torn_record_of_a_format_that_no_recorder_of_ours_writes_is_left(logs: Logs) -> None:
    data = struct.pack("<IHHiIII", 0xA1B2CD34, 2, 4, 0, 0, 65535, 1)
    data += struct.pack("<IIIIIHBB", 1_700_000_000, 0, 100, 100, 0, 0, 0, 0) + bytes(99)
    logs.leave(data)
    logs.recover()

    assert logs.path.read_bytes() == data
    assert logs.told.events() == ["damaged"]


@given(cut=st.integers(24, len(WHOLE)))
def test_every_whole_record_stays(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    logs = Logs(tmp_path_factory.mktemp("logs"))
    logs.leave(WHOLE[:cut])
    logs.recover()
    os.close(logs.fd)

    assert logs.path.read_bytes() == WHOLE[: parse(WHOLE[:cut]).end_offset]


def test_savefile_of_a_running_recorder_is_left_alone(logs: Logs) -> None:
    logs.leave(WHOLE[:-5])
    with logs.path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        logs.recover()

    assert logs.path.read_bytes() == WHOLE[:-5]
    assert logs.told.all == []


def test_lock_is_given_back(logs: Logs) -> None:
    logs.leave(WHOLE[:-5])
    logs.recover()
    with logs.path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_savefile_of_a_recorder_that_takes_no_lock_is_left_alone(logs: Logs) -> None:
    """Such as the original: the kernel knows that it has the file open."""
    logs.leave(WHOLE[:-5])
    with logs.path.open("ab"):
        logs.recover()

    assert logs.path.read_bytes() == WHOLE[:-5]
    assert logs.told.all == []


def test_reader_of_the_savefile_does_not_matter(logs: Logs) -> None:
    logs.leave(WHOLE[:-5])
    with logs.path.open("rb"):
        logs.recover()

    assert logs.told.events() == ["recovered"]


def test_nothing_is_waited_for_where_the_kernel_tells(logs: Logs) -> None:
    logs.leave(WHOLE[:-5])
    os.utime(logs.path)
    logs.recover()

    assert logs.ending.waits == []
    assert logs.told.events() == ["recovered"]


@pytest.mark.usefixtures("no_leases")
def test_savefile_that_was_just_modified_is_looked_at_twice(logs: Logs) -> None:
    logs.leave(WHOLE[:-5])
    os.utime(logs.path)
    logs.recover()

    (waited_s,) = logs.ending.waits
    assert 0 < waited_s <= recovery.SETTLED_S
    assert logs.told.events() == ["recovered"]


@pytest.mark.usefixtures("no_leases")
def test_clock_that_was_set_back_does_not_make_it_wait_for_ever(logs: Logs) -> None:
    logs.leave(WHOLE[:-5], modified_s=2**33)
    logs.recover()

    assert logs.ending.waits == [recovery.SETTLED_S]


@pytest.mark.usefixtures("no_leases")
def test_savefile_that_settled_long_ago_is_not_waited_for(logs: Logs) -> None:
    logs.leave(WHOLE[:-5])
    logs.recover()

    assert logs.ending.waits == []
    assert logs.told.events() == ["recovered"]


@pytest.mark.usefixtures("no_leases")
def test_ending_puts_off_what_has_to_be_waited_for(logs: Logs) -> None:
    logs.leave(WHOLE[:-5])
    os.utime(logs.path)
    logs.ending.set()
    logs.recover()

    assert logs.path.read_bytes() == WHOLE[:-5]
    assert logs.told.all == []


@pytest.mark.usefixtures("no_leases")
@pytest.mark.parametrize("more", [b"", b"xy"])
def test_savefile_that_changes_meanwhile_is_left_alone(logs: Logs, more: bytes) -> None:
    def write_on() -> None:
        with logs.path.open("ab") as file:
            file.write(more)
        os.utime(logs.path, (LONG_AGO + 1, LONG_AGO + 1))

    logs.ending.meanwhile = write_on
    logs.leave(WHOLE[:-5])
    os.utime(logs.path)
    logs.recover()

    assert logs.path.read_bytes() == WHOLE[:-5] + more
    assert logs.told.all == []


def test_savefile_that_is_gone_is_told(logs: Logs) -> None:
    logs.recover()

    assert logs.told.texts("recovery_failed") == [
        "[!] Cannot look at /var/log/pcap/t.100: No such file or directory"
    ]


def test_link_is_not_followed(logs: Logs, tmp_path: Path) -> None:
    evidence = tmp_path / "evidence"
    evidence.write_bytes(WHOLE[:-5])
    logs.path.symlink_to(evidence)
    logs.recover()

    assert evidence.read_bytes() == WHOLE[:-5]
    assert logs.told.events() == ["recovery_failed"]


def test_savefile_that_cannot_be_cut_is_told(logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(fd: int, size: int) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    logs.leave(WHOLE[:-5])
    monkeypatch.setattr(os, "ftruncate", refuse)
    logs.recover()

    assert logs.told.texts() == ["[!] Cannot repair /var/log/pcap/t.100: Operation not permitted"]


def test_recovering_twice_cuts_once(logs: Logs) -> None:
    logs.leave(WHOLE[:-5])
    logs.recover()
    os.utime(logs.path, (LONG_AGO, LONG_AGO))
    logs.recover()

    assert logs.told.events() == ["recovered"]


def test_no_descriptor_is_left_open(logs: Logs) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for name in ("us.pcap", "cut_in_packet.pcap", "bad_caplen.pcap"):
        logs.leave(CAPTURES[name])
        logs.recover()

    assert len(os.listdir("/proc/self/fd")) == before


def test_newest_is_by_number_and_a_regular_file(logs: Logs) -> None:
    for name in ("t.99", "t.100", "t.100.002", "t.100.010", "t.9", "t.100.txt", "x.200"):
        (logs.folder / name).touch()
    (logs.folder / "t.101").mkdir()
    (logs.folder / "t.102").symlink_to("t.99")
    os.mkfifo(logs.folder / "t.103")

    assert [name.name for name in newest(logs.fd, Naming("t"))] == [
        "t.100.010",
        "t.100.002",
        "t.100",
        "t.99",
        "t.9",
    ]


def test_newest_of_those_that_somebody_compressed(logs: Logs) -> None:
    for name in ("t.99.gz", "t.100.002.xz", "t.100.gz", "t.101", "t.102.Z", "x.103.gz"):
        (logs.folder / name).touch()
    (logs.folder / "t.104.gz").mkdir()

    found = newest(logs.fd, Naming("t"), compressed=True)
    assert [name.name for name in found] == ["t.100.002", "t.100", "t.99"]


def test_newest_of_none(logs: Logs) -> None:
    (logs.folder / "other.100").touch()

    assert newest(logs.fd, Naming("t")) == []
