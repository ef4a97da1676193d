"""Options of the live source, each judged by its effect on the file or in the kernel."""

import statistics
import struct
import time
from pathlib import Path

import pytest

from .commands import run, spoken
from .conftest import Record
from .load import TAG, Load, sizes
from .network import Link
from .peers import tcpdump_counts, tshark_fields
from .recorder import daemonlogger
from .records import (
    MICROSECONDS,
    NANOSECONDS,
    assert_run,
    bytes_in,
    records,
    savefiles,
    walk,
    walk_all,
)
from .senders import Frames, replay

ETHERNET, SLL, SLL2 = 1, 113, 276


def only_file(logs: Path) -> Path:
    """Return the one savefile of a test that does not roll."""
    (path,) = savefiles(logs)
    return path


def test_defaults(link: Link, record: Record, logs: Path, thousands: Load) -> None:
    before_ns = time.time_ns()
    recorder = record()
    started_ns = time.time_ns()
    sent = replay(link, thousands, pps=50_000)
    totals = recorder.stop()
    totals.account_for(sent)
    assert totals.files == 1
    path = only_file(logs)
    assert totals.written_bytes == path.stat().st_size
    (found,) = walk_all([path])
    assert (found.magic, found.snaplen, found.linktype) == (MICROSECONDS, 65535, ETHERNET)
    assert_run(found.numbers, 0, sent - 1)
    assert started_ns - 10**9 < found.first_ns <= found.last_ns < time.time_ns() + 10**9
    assert path.stat().st_mode & 0o777 == 0o640
    assert before_ns // 10**9 <= int(path.name.rsplit(".", 1)[1]) <= started_ns // 10**9


def test_first_interface_that_is_up(record: Record, frames: Frames, logs: Path) -> None:
    recorder = record("-c", "3", interface=None)
    assert "Interface set to vb" in recorder.text
    for _ in range(3):
        frames.send()
    assert recorder.ended() == 0
    assert walk(only_file(logs)).packets == 3


def test_any(link: Link, record: Record, logs: Path, thousands: Load) -> None:
    recorder = record("udp", interface="any")
    sent = replay(link, thousands, count=5000, pps=20_000)
    recorder.stop().account_for(sent)
    path = only_file(logs)
    found = walk(path)
    assert found.damage is None
    assert found.linktype in (SLL, SLL2)
    cooked = 16 if found.linktype == SLL else 20  # header in place of Ethernet's 14 bytes
    numbers = [struct.unpack_from("<Q", r.data, cooked + 32)[0] for r in records(path)]
    assert numbers == list(range(sent))
    assert all(r.data[cooked + 28 :].startswith(TAG) for r in records(path))
    assert tcpdump_counts([path]) == sent
    assert {row[0] for row in tshark_fields(path, "udp.dstport")} == {"5001"}


@pytest.mark.parametrize(
    ("direction", "expected"), [("in", {100}), ("out", {200}), ("inout", {100, 200})]
)
def test_direction(
    link: Link, record: Record, logs: Path, frames: Frames, direction: str, expected: set[int]
) -> None:
    recorder = record("--direction", direction)
    outward = Frames(link.receiver.packet_socket())
    try:
        for _ in range(50):
            frames.send(100)
            outward.send(200)
    finally:
        outward.close()
    link.settle(50)
    totals = recorder.stop()
    assert totals.written == 50 * len(expected)
    assert {record.origlen for record in records(only_file(logs))} == expected


def test_snaplen_keeps_the_original_length(
    link: Link, record: Record, logs: Path, thousands: Load
) -> None:
    recorder = record("-S", "100")
    sent = replay(link, thousands, pps=50_000)
    recorder.stop().account_for(sent)
    (found,) = walk_all([only_file(logs)])
    assert found.snaplen == 100
    assert_run(found.numbers, 0, sent - 1)
    lengths = [(r.caplen, r.origlen) for r in records(found.path)]
    assert lengths == [(min(size, 100), size) for size in sizes(sent)]


def test_nanosecond(link: Link, record: Record, logs: Path, thousands: Load) -> None:
    recorder = record("--nanosecond")
    began_ns = time.time_ns()
    sent = replay(link, thousands, count=5000, pps=50_000)
    now_ns = time.time_ns()
    recorder.stop().account_for(sent)
    (found,) = walk_all([only_file(logs)])
    assert found.magic == NANOSECONDS
    assert began_ns <= found.first_ns < found.last_ns < now_ns
    assert any(r.time_ns % 1000 for r in records(found.path))
    assert tcpdump_counts([found.path]) == sent


@pytest.mark.parametrize(("flags", "promiscuity"), [((), 1), (("--no-promiscuous",), 0)])
def test_promiscuity(
    link: Link, record: Record, frames: Frames, flags: tuple[str, ...], promiscuity: int
) -> None:
    recorder = record(*flags)
    assert link.receiver.details()["promiscuity"] == promiscuity
    frames.send()
    assert recorder.stop().written == 1
    assert link.receiver.details()["promiscuity"] == 0


@pytest.mark.parametrize("mebibytes", [1, 8, 128])
def test_kernel_buffer(record: Record, frames: Frames, mebibytes: int) -> None:
    recorder = record("-B", f"{mebibytes}m")
    # libpcap rounds down to whole blocks of its ring.
    assert mebibytes * 0.8 <= recorder.kernel_buffer_bytes() / (1 << 20) <= mebibytes
    frames.send()
    assert recorder.stop().written == 1


def test_immediate(record: Record, frames: Frames, logs: Path) -> None:
    recorder = record("--immediate", "-F")
    seconds = []
    for number in range(10):
        sent = frames.send()
        seen = recorder.grows(lambda: bytes_in(logs), 24 + 76 * (number + 1))
        seconds.append((seen - sent) / 1e9)
        time.sleep(0.03)
    assert statistics.median(seconds) < 0.5, seconds
    assert recorder.stop().written == 10


def test_time_stamps_of_the_host(record: Record, frames: Frames, logs: Path) -> None:
    recorder = record("--tstamp-type", "host", "-c", "1")
    began_ns = time.time_ns()
    frames.send()
    assert recorder.ended() == 0, recorder.text
    # Of whole microseconds.
    assert began_ns - 1000 <= walk(only_file(logs)).first_ns <= time.time_ns()


def test_time_stamps_the_interface_has_not(record: Record, logs: Path) -> None:
    recorder = record("--tstamp-type", "adapter_unsynced", listen=False)
    assert recorder.ended() in (1, 2)
    assert "adapter_unsynced" in recorder.text
    assert savefiles(logs) == []


def test_interface_that_vanishes(link: Link, record: Record, logs: Path, frames: Frames) -> None:
    recorder = record()
    for _ in range(100):
        frames.send()
    # At once: the last packets are still with the kernel, in a block that is not full.
    run("ip", "-n", link.receiver.name, "link", "del", "vb")
    recorder.says(r"interface vb: gone, waiting for it to come back")
    assert recorder.stop().written == 100
    (found,) = walk_all([only_file(logs)])
    assert_run(found.numbers, 0, 99)


def test_list_interfaces(link: Link) -> None:
    command = link.receiver.command(*daemonlogger(), "--list-interfaces")
    done = run(*command)
    assert "vb" in done.stdout, spoken(done)
    assert "va" not in done.stdout.split()


def test_check_creates_nothing(link: Link, logs: Path) -> None:
    words = ("-i", "vb", "-l", logs, "-r", "-m", "3", "--check", "udp", "port", "53")
    done = run(*link.receiver.command(*daemonlogger(), *words))
    assert "vb" in spoken(done)
    assert list(logs.iterdir()) == []


def test_unknown_interface_lists_those_that_exist(link: Link, logs: Path) -> None:
    command = link.receiver.command(*daemonlogger(), "-i", "nowhere0", "-l", logs)
    done = run(*command, check=False)
    assert done.returncode == 2, spoken(done)
    assert len(done.stderr.strip().splitlines()) == 1
    assert "nowhere0" in done.stderr
    assert "vb" in done.stderr
    assert list(logs.iterdir()) == []
