"""The ring's other limits, alone and together: bytes, free space, age, whichever bites first."""

import os
import re
import time
from pathlib import Path

import pytest

from .conftest import MakeVolume, Record
from .load import Load, write_load
from .network import Link
from .records import Walk, assert_closed_at, assert_run, numbers_of, savefiles, walk_all
from .senders import Frames, replay
from .volume import UseSampler

MEBIBYTE = 1 << 20
RATE = 20_000


def newest_packets(directory: Path, sent: int) -> list[Walk]:
    """Assert that the files hold the newest packets without a gap; return the walks."""
    walks = walk_all(savefiles(directory))
    numbers = numbers_of(walks)
    assert_run(numbers, sent - len(numbers), sent - 1)
    assert_closed_at(walks, MEBIBYTE)
    return walks


def test_bytes(link: Link, record: Record, logs: Path, thousands: Load) -> None:
    recorder = record("-r", "--max-bytes", "5m", "-s", "1m")
    sent = replay(link, thousands, pps=RATE)
    recorder.stop().account_for(sent)
    total = sum(found.size_bytes for found in newest_packets(logs, sent))
    assert 3 * MEBIBYTE < total <= 5 * MEBIBYTE + 1530


@pytest.mark.alone
def test_free_space_by_share(link: Link, record: Record, volume: MakeVolume, wide: Load) -> None:
    disk = volume(24 * MEBIBYTE)
    recorder = record("-r", "--min-free", "60%", "-s", "1m", directory=disk.path)
    with UseSampler(disk) as use:
        sent = replay(link, wide, pps=RATE)
        recorder.stop().account_for(sent)
    assert 0.3 < use.most <= 0.4
    newest_packets(disk.path, sent)


def test_free_space_by_size(link: Link, record: Record, volume: MakeVolume, wide: Load) -> None:
    disk = volume(24 * MEBIBYTE)
    recorder = record("-r", "--min-free", "12m", "-s", "1m", directory=disk.path)
    sent = replay(link, wide, pps=RATE)
    recorder.stop().account_for(sent)
    # The next savefile has room, as has the catalog's log, which is gone with the recorder.
    assert 12 * MEBIBYTE <= disk.available_bytes() < 16 * MEBIBYTE
    newest_packets(disk.path, sent)


def test_age(record: Record, logs: Path, frames: Frames) -> None:
    now = time.time()
    for name, age_seconds in (("1000000001", 7200), ("1000000002", 3700), ("1000000003", 3500)):
        path = write_load(logs / f"daemonlogger.pcap.{name}", 10).path
        os.utime(path, (now - age_seconds, now - age_seconds))
    recorder = record("-r", "--max-age", "1h", "-F")
    recorder.says("Logging packets to")
    names = [path.name for path in savefiles(logs)]
    assert names[0] == "daemonlogger.pcap.1000000003"
    assert len(names) == 2
    frames.send()
    assert recorder.stop().written == 1


def test_age_is_watched_while_nothing_rolls(record: Record, logs: Path) -> None:
    for young_s in (3, 10, 30):  # where it takes longer to start, it was too old by then
        path = write_load(logs / "daemonlogger.pcap.1000000001", 10).path
        ripe = time.time() - 60 + young_s  # a minute old in a few seconds
        os.utime(path, (ripe, ripe))
        recorder = record("-r", "--max-age", "1m")
        spoken = len(recorder.lines)
        if path.exists():
            break
        recorder.stop()
    recorder.says(rf"deleting \S*/{re.escape(path.name)}$", after=spoken)
    assert not path.exists()
    recorder.stop()


def test_whichever_bites_first(
    link: Link, record: Record, volume: MakeVolume, thousands: Load
) -> None:
    disk = volume(24 * MEBIBYTE)
    limits = ("-m", "9", "-M", "90", "--max-bytes", "4m", "--min-free", "1m", "--max-age", "1d")
    recorder = record("-r", *limits, "-s", "1m", directory=disk.path)
    sent = replay(link, thousands, pps=RATE)
    recorder.stop().account_for(sent)
    walks = newest_packets(disk.path, sent)
    assert len(walks) in (3, 4)
    assert sum(found.size_bytes for found in walks) <= 4 * MEBIBYTE + 1530


@pytest.mark.alone
def test_limits_also_hold_when_another_program_fills_the_volume(
    record: Record, volume: MakeVolume, frames: Frames
) -> None:
    disk = volume(24 * MEBIBYTE)
    for number in range(8):
        write_load(disk.path / f"daemonlogger.pcap.{1_000_000_000 + number}", 2700)
    recorder = record("-r", "-M", "80", "-s", "1m", "-F", directory=disk.path)
    recorder.says("Logging packets to")
    assert len(savefiles(disk.path)) == 9
    disk.fill("ballast", leave_bytes=3 * MEBIBYTE)  # 12 % of the volume, and nothing is recorded
    assert disk.used_share() > 0.8 or "deleting " in recorder.text
    recorder.says(r"deleting ")
    deadline = time.monotonic() + 20
    while disk.used_share() > 0.8:
        assert time.monotonic() < deadline, recorder.text
        time.sleep(0.05)
    assert len(savefiles(disk.path)) >= 5  # and no more than that asks for
    frames.send()
    assert recorder.stop().written == 1


def test_originals_of_repaired_savefiles_are_within_the_limits(
    link: Link, record: Record, volume: MakeVolume, thousands: Load
) -> None:
    disk = volume(24 * MEBIBYTE)
    old = [disk.path / f"daemonlogger.pcap.{epoch}" for epoch in (999, 1000, 1001)]
    for path in old[1:]:
        write_load(path, 10)
    originals = [path.with_name(f"{path.name}.damaged") for path in old[:2]]
    for path in originals:
        path.write_bytes(bytes(6 * MEBIBYTE))
    recorder = record("-r", "-M", "65", "-s", "1m", directory=disk.path)
    with UseSampler(disk) as use:
        sent = replay(link, thousands, pps=2 * RATE)
        recorder.stop().account_for(sent)

    assert use.most <= 0.65
    assert not [path for path in (*old, *originals) if path.exists()]
    deleted = re.findall(r"deleting \S+/daemonlogger\.pcap\.(\S+)", recorder.text)
    # Oldest first, and what was kept of a savefile with it.
    assert deleted[:4] == ["999.damaged", "1000.damaged", "1000", "1001"]
    newest_packets(disk.path, sent)
