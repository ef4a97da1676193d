"""A disk that stalls: short stalls lose nothing, long ones lose what is counted, to the packet."""

import time
from itertools import pairwise
from pathlib import Path

import pytest

from .conftest import MakeVolume, Record
from .load import Load
from .network import Link
from .peers import tcpdump_counts
from .recorder import Recorder
from .records import assert_run, bytes_in, numbers_of, savefiles, walk_all
from .senders import replaying

pytestmark = pytest.mark.alone

RATE = 200_000


def flowing(recorder: Recorder, directory: Path) -> None:
    """Wait until packets reach the disk: a stall before the first one would prove nothing."""
    recorder.grows(lambda: bytes_in(directory), 1 << 20)


@pytest.mark.parametrize("flags", [(), ("-F",)], ids=["default", "packet-buffered"])
def test_two_seconds_lose_nothing(
    link: Link, record: Record, volume: MakeVolume, million: Load, flags: tuple[str, ...]
) -> None:
    """Nor with -F, where each flush of a few packets could use up a buffer."""
    disk = volume(700 << 20)
    recorder = record(*flags, directory=disk.path)
    before = link.receiver.details()["received"]
    with replaying(link, million, pps=RATE) as sender:
        flowing(recorder, disk.path)
        with disk.frozen(2):
            pass
        sent = sender.sent()
    link.settle(before + sent)
    totals = recorder.stop()
    totals.account_for(sent)
    assert (totals.lost, totals.kernel_dropped) == (0, 0)
    walks = walk_all(savefiles(disk.path))
    assert_run(numbers_of(walks), 0, million.count - 1)


def test_a_long_stall_is_survived_and_counted_exactly(
    link: Link, record: Record, volume: MakeVolume, million: Load, full: bool
) -> None:
    seconds = 60 if full else 7
    loops = (seconds + 5) // 5  # five seconds each: some before the stall and some after it
    disk = volume(900 << 20)
    recorder = record("--buffer-memory", "8m", directory=disk.path)
    before = link.receiver.details()["received"]
    with replaying(link, million, loops=loops, pps=RATE) as sender:
        flowing(recorder, disk.path)
        spoken_before = len(recorder.lines)
        with disk.frozen(0):
            until = time.monotonic() + seconds
            stalled = link.receiver.details()["received"]
            recorder.says(r"\d+ packets (dropped|lost)", after=spoken_before)
            assert sender.running()  # it is said while they are lost, and not at the end
            time.sleep(max(0, until - time.monotonic()))
            came = link.receiver.details()["received"] - stalled
        sent = sender.sent()
    link.settle(before + sent)
    totals = recorder.stop()
    totals.account_for(sent)
    # What the stall cost: the buffers hold 8 MiB of it and the kernel's own buffer 64 MiB.
    held = (8 + 64 + 8) * (1 << 20) * million.count // million.path.stat().st_size
    assert totals.lost + totals.kernel_dropped > came - held

    paths = savefiles(disk.path)
    walks = walk_all(paths)
    numbers = numbers_of(walks)
    assert len(numbers) == totals.written
    assert tcpdump_counts(paths) == totals.written
    backwards = sum(after <= before for before, after in pairwise(numbers))
    assert backwards < loops  # only where the sender began again
    assert numbers[0] == 0
    assert numbers[-1] == million.count - 1  # it went on
