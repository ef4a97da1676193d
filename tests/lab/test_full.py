"""A volume that fills: the ring prunes and goes on; without a ring the recorder says so and ends.

Also the case in which the original wraps an unsigned number: ``-M`` on a volume that has less
room than one more file.
"""

import re
from pathlib import Path

import pytest

from .conftest import MakeVolume, Record
from .load import Load, frame, write_load
from .network import Link
from .peers import tcpdump_counts
from .records import assert_closed_at, assert_run, bytes_in, numbers_of, savefiles, walk_all
from .senders import Frames, replay, replaying
from .volume import UseSampler, Volume

MEBIBYTE = 1 << 20
BOTH_WAYS = pytest.mark.parametrize("how", [[], ["--direct"]], ids=["buffered", "direct"])
FULL = r"(?i)no space left|\bfull\b"


def kept_tail(disk: Volume, sent: int, period: int) -> None:
    """Assert that the savefiles hold the newest packets without a gap, whole for tcpdump too."""
    paths = savefiles(disk.path)
    numbers = numbers_of(walk_all(paths))
    assert numbers
    assert_run(numbers, sent - len(numbers), sent - 1, period=period)
    assert tcpdump_counts(paths) == len(numbers)


@BOTH_WAYS
def test_ring_prunes_and_goes_on(
    link: Link, record: Record, volume: MakeVolume, wide: Load, how: list[str]
) -> None:
    disk = volume(16 * MEBIBYTE)
    recorder = record("-r", "-m", "100", "-s", "1m", *how, directory=disk.path)
    sent = replay(link, wide, pps=20_000)
    totals = recorder.stop()
    totals.account_for(sent)
    assert (totals.lost, totals.kernel_dropped) == (0, 0)
    assert totals.written_bytes > 3 * 16 * MEBIBYTE
    kept_tail(disk, sent, wide.count)
    # As many as needed, not more: what is left fills the volume but for a few files' worth.
    assert disk.used_share() > 0.7
    every_opened_file_is_there_or_was_deleted(recorder.text, disk.path)


def every_opened_file_is_there_or_was_deleted(text: str, directory: Path) -> None:
    """Assert that the messages tell the fate of every file."""
    opened = re.findall(r"Logging packets to \S*/([^/\s]+)$", text, re.MULTILINE)
    deleted = re.findall(r"Ringbuffer: deleting \S*/([^/\s]+)$", text, re.MULTILINE)
    left = [path.name for path in savefiles(directory)]
    assert sorted(opened) == sorted(deleted + left)


def test_ring_goes_on_when_another_program_fills_the_volume(
    link: Link, record: Record, volume: MakeVolume, wide: Load
) -> None:
    disk = volume(32 * MEBIBYTE)
    recorder = record("-r", "-m", "100", "-s", "1m", directory=disk.path)
    with replaying(link, wide, pps=10_000) as sender:
        recorder.grows(lambda: len(savefiles(disk.path)), 10)
        ballast = disk.fill("ballast")
        size = ballast.stat().st_size
        sent = sender.sent()
    link.settle(sent)
    totals = recorder.stop()
    totals.account_for(sent)
    assert (totals.lost, totals.kernel_dropped) == (0, 0)
    kept_tail(disk, sent, wide.count)
    assert ballast.stat().st_size == size


@BOTH_WAYS
def test_without_ring_the_file_ends_at_a_whole_record(
    link: Link, record: Record, volume: MakeVolume, wide: Load, how: list[str]
) -> None:
    disk = volume(16 * MEBIBYTE)
    recorder = record("-s", "1g", *how, directory=disk.path)
    with replaying(link, wide, pps=20_000) as sender:
        assert recorder.ended() == 1, recorder.text
        sender.sent()
    assert re.search(FULL, recorder.text), recorder.text
    paths = savefiles(disk.path)
    walks = walk_all(paths)
    numbers = numbers_of(walks)
    assert_run(numbers, 0, len(numbers) - 1)
    assert tcpdump_counts(paths) == len(numbers)
    assert sum(found.size_bytes for found in walks) > 8 * MEBIBYTE  # it used the room there was
    totals = recorder.totals()
    assert totals.written == len(numbers)
    assert totals.written + totals.lost == totals.received


@pytest.mark.alone
def test_share_on_a_volume_that_earlier_runs_filled(
    link: Link, record: Record, volume: MakeVolume, wide: Load
) -> None:
    disk = volume(16 * MEBIBYTE)
    old = 0
    while disk.available_bytes() > MEBIBYTE:  # less room than one more file needs
        size = min(MEBIBYTE, disk.available_bytes() - MEBIBYTE // 2)
        write_load(disk.path / f"daemonlogger.pcap.{1_000_000_000 + old}", size // 1530)
        old += 1
    assert disk.used_share() > 0.85
    recorder = record("-r", "-M", "50", "-s", "1m", directory=disk.path)
    recorder.says(r"Logging packets to")  # pruned down before the first file is opened
    with UseSampler(disk) as use:
        sent = replay(link, wide, pps=20_000)
        totals = recorder.stop()
    totals.account_for(sent)
    assert (totals.lost, totals.kernel_dropped) == (0, 0)
    assert use.most <= 0.5
    assert use.most > 0.5 - 3 * MEBIBYTE / (16 * MEBIBYTE)
    kept_tail(disk, sent, wide.count)
    assert_closed_at(walk_all(savefiles(disk.path)), MEBIBYTE)


def test_share_that_foreign_files_leave_no_room_for(
    link: Link, record: Record, volume: MakeVolume, frames: Frames
) -> None:
    disk = volume(16 * MEBIBYTE, "-m", "0")  # else root may still write what is reserved for it
    ballast = disk.fill("ballast", 700 << 10)
    size = ballast.stat().st_size
    recorder = record("-r", "-M", "50", "-s", "1m", "-F", directory=disk.path)
    recorder.says("nothing left to prune, going on while there is room")
    for _ in range(200):  # 306,000 bytes: there is room for these
        frames.send(1514)
    recorder.grows(lambda: bytes_in(disk.path), 200 * 1530)
    assert recorder.running()
    assert_run(numbers_of(walk_all(savefiles(disk.path))), 0, 199)

    for number in range(200, 3000):  # and none for these
        frames.raw(frame(number, 1514))
    recorder.says("fills the volume alone: rolling over early")
    totals = recorder.stop()
    assert (totals.received, totals.written, totals.lost) == (3000, 3000, 0)
    assert recorder.text.count("nothing left to prune, going on while there is room") == 1
    paths = savefiles(disk.path)
    numbers = list(numbers_of(walk_all(paths)))
    assert numbers == list(range(numbers[0], 3000)), "what was pruned was the oldest"
    assert tcpdump_counts(paths) == len(numbers)
    assert ballast.stat().st_size == size
