"""Signals under load: finishing loses nothing, HUP re-reads the filter, USR1 tells."""

import signal
import time
from pathlib import Path

import pytest

from .conftest import MakeVolume, Record
from .load import Load
from .network import Link
from .recorder import Recorder, parse_totals
from .records import assert_run, bytes_in, numbers_of, packets_in, savefiles, walk_all
from .senders import Frames, replaying

RATE = 200_000


def assert_nothing_lost(recorder: Recorder, directory: Path) -> None:
    """Assert that all the kernel handed over up to the end is in the files, in order."""
    totals = recorder.totals()
    assert (totals.lost, totals.kernel_dropped) == (0, 0)
    assert totals.written == totals.received
    assert totals.written > 0
    paths = savefiles(directory)
    assert totals.files == len(paths)
    assert_run(numbers_of(walk_all(paths)), 0, totals.written - 1)


@pytest.mark.parametrize(
    "numbers",
    [
        (signal.SIGTERM,),
        (signal.SIGINT,),
        (signal.SIGQUIT,),
        (signal.SIGINT, signal.SIGINT),
        (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT),
    ],
    ids=lambda numbers: "-".join(number.name for number in numbers),
)
def test_finishing_under_load(
    link: Link, record: Record, logs: Path, million: Load, numbers: tuple[signal.Signals, ...]
) -> None:
    recorder = record("-s", "10m")
    with replaying(link, million, pps=RATE):
        recorder.grows(lambda: len(savefiles(logs)), 4)
        for number in numbers:
            if recorder.running():
                recorder.send(number)
            time.sleep(0.001)
        assert recorder.ended() == 0, recorder.text
    assert_nothing_lost(recorder, logs)


@pytest.mark.parametrize("count", [1, 300])
def test_what_the_kernel_still_holds_is_drained(
    record: Record, logs: Path, frames: Frames, count: int
) -> None:
    recorder = record()
    time.sleep(0.2)
    for _ in range(count):
        frames.send()
    recorder.send(signal.SIGINT)  # sooner than the kernel gives a block that is not full
    assert recorder.ended() == 0, recorder.text
    recorder.totals().account_for(count)
    assert_nothing_lost(recorder, logs)


def test_second_signal_while_the_disk_stalls(
    link: Link, record: Record, volume: MakeVolume, million: Load
) -> None:
    disk = volume(400 << 20)
    recorder = record("-s", "10m", directory=disk.path)
    with replaying(link, million, pps=RATE):
        recorder.grows(lambda: len(savefiles(disk.path)), 4)
        with disk.frozen(1.5):
            time.sleep(0.5)  # 100,000 packets now wait in memory
            for _ in range(3):
                recorder.send(signal.SIGINT)
                time.sleep(0.2)
            assert recorder.running(), recorder.text
        assert recorder.ended() == 0, recorder.text
    assert_nothing_lost(recorder, disk.path)


def sent_and_seen(recorder: Recorder, frames: Frames, logs: Path, ports: tuple[int, ...]) -> None:
    """Send one frame to each port and wait until the files hold exactly one packet more."""
    before = packets_in(logs)
    for port in ports:
        frames.send(port=port)
    recorder.grows(lambda: packets_in(logs), before + 1)
    time.sleep(0.2)
    assert packets_in(logs) == before + 1


def test_hup_rolls_and_reads_the_filter_again(
    record: Record, logs: Path, memory: Path, frames: Frames
) -> None:
    source = logs / "filter.bpf"
    source.write_text("# the first\r\n\r\nudp port 5001  # comment\r\n")
    recorder = record("-F", "-f", source)
    sent_and_seen(recorder, frames, logs, (5002, 5001))  # number 1 passes

    source.write_text("udp port 5002\n")
    hang_up(recorder, logs, files=2)
    sent_and_seen(recorder, frames, logs, (5001, 5002))  # number 3

    source.write_text("udp prt 5001\n")
    before = len(recorder.lines)
    recorder.send(signal.SIGHUP)
    said = recorder.says(r"(?i)filter", after=before)
    assert recorder.running(), said.text
    recorder.says(r"(?i)\b(keep|keeps|keeping|kept|stays)\b", after=before)
    sent_and_seen(recorder, frames, logs, (5001, 5002))  # number 5: the filter before it

    source.write_text("udp port 5001\n")
    before = len(recorder.lines)
    recorder.send(signal.SIGHUP)
    recorder.says(r"Filter read again", after=before)
    sent_and_seen(recorder, frames, logs, (5002, 5001))  # number 7
    recorder.stop()
    assert list(numbers_of(walk_all(savefiles(logs)))) == [1, 3, 5, 7]


def test_hup_corrects_a_filter_that_nothing_matched(
    record: Record, logs: Path, memory: Path, frames: Frames
) -> None:
    """The first packet after it is recorded: no filter lingers for the kernel's first block."""
    source = logs / "filter.bpf"
    source.write_text("udp port 9\n")
    recorder = record("-F", "-f", source)
    source.write_text("udp port 5002\n")
    before = len(recorder.lines)
    recorder.send(signal.SIGHUP)
    recorder.says(r"Filter read again", after=before)
    sent_and_seen(recorder, frames, logs, (5001, 5002))
    recorder.stop()
    assert list(numbers_of(walk_all(savefiles(logs)))) == [1]


def hang_up(recorder: Recorder, logs: Path, *, files: int) -> None:
    """Send HUP; wait for the roll-over and that many files."""
    before = len(recorder.lines)
    recorder.send(signal.SIGHUP)
    recorder.says(r"Rolling over logfile", after=before)
    recorder.grows(lambda: len(savefiles(logs)), files)
    recorder.says(r"Logging packets to", after=before)


def test_hup_under_load_loses_nothing(
    link: Link, record: Record, logs: Path, million: Load
) -> None:
    recorder = record()
    with replaying(link, million, count=400_000, pps=RATE) as sender:
        recorder.grows(lambda: bytes_in(logs), 1 << 20)
        for files in range(2, 7):
            hang_up(recorder, logs, files=files)
            time.sleep(0.1)
        sent = sender.sent()
    link.settle(sent)
    totals = recorder.stop()
    totals.account_for(sent)
    assert_nothing_lost(recorder, logs)
    assert len(savefiles(logs)) == 6


def test_usr1_under_load(link: Link, record: Record, logs: Path, million: Load) -> None:
    recorder = record("-s", "10m")
    with replaying(link, million, count=400_000, pps=RATE) as sender:
        recorder.grows(lambda: len(savefiles(logs)), 4)
        before = len(recorder.lines)
        recorder.send(signal.SIGUSR1)
        recorder.says(r"packets written to", after=before)
        middle = parse_totals("\n".join(line.text for line in recorder.lines[before:]))
        sent = sender.sent()
    link.settle(sent)
    totals = recorder.stop()
    totals.account_for(sent)
    assert 0 < middle.written <= middle.received <= sent
    assert middle.written < totals.written == sent
