"""Roll-overs by the clock alone, when no packet arrives at the boundary."""

import time
from collections.abc import Callable
from math import inf
from pathlib import Path

import pytest

from .conftest import Record
from .recorder import Line, Recorder
from .records import savefiles, walk, walk_all
from .senders import Frames

pytestmark = pytest.mark.alone

# A busy machine blurs a boundary, and may do it again; the recorder's own delay is always there.
BLUR_SECONDS = 0.2
TRIES = 5


def next_roll(recorder: Recorder, after: int) -> Line:
    """Return the line that tells the next roll-over, after that many lines."""
    return recorder.says(r"Rolling over logfile\.\.\.", after=after)


def until_on_time(logs: Path, measured: Callable[[Path], list[float]]) -> None:
    """Measure how many seconds off the boundaries it rolls, until that is no more than a blur."""
    seen = []
    for tried in range(TRIES):
        directory = logs / str(tried)
        directory.mkdir()
        seen.append(measured(directory))
        if all(abs(seconds) < BLUR_SECONDS for seconds in seen[-1]):
            return
    raise AssertionError(seen)


def test_every_second_without_a_packet_at_the_boundary(
    record: Record, logs: Path, frames: Frames
) -> None:
    until_on_time(logs, lambda directory: rolled_by_seconds(record, directory, frames))


def rolled_by_seconds(record: Record, directory: Path, frames: Frames) -> list[float]:
    recorder = record("-t", "1", directory=directory)
    rolls = []
    off = []
    for idle_seconds in (0.0, 2.3, 1.6):
        time.sleep(idle_seconds)
        spoken = len(recorder.lines)
        sent = frames.send()
        rolled = next_roll(recorder, spoken)  # and no packet comes
        assert rolled.time_ns > sent
        off.append(max(0, (rolled.time_ns - sent) / 1e9 - 1))  # it was within a second
        rolls.append(rolled.time_ns / 1e9)
        closed = savefiles(directory)[len(rolls) - 1]
        assert walk(closed).packets == 1
    # The grid stays where it was; idle boundaries passed unused.
    off += [(rolled_at - rolls[0] + 0.5) % 1 - 0.5 for rolled_at in rolls[1:]]
    assert recorder.text.count("Rolling over logfile") == len(rolls)
    totals = recorder.stop()
    assert totals.written == len(rolls)
    assert [found.packets for found in walk_all(savefiles(directory))] == [1, 1, 1, 0]
    return off


@pytest.mark.parametrize("unit", ["1m", "1h", "1d"])
def test_aligned_to_local_time(record: Record, logs: Path, frames: Frames, unit: str) -> None:
    # What is far too long for any machine but the slowest is not waited for by the others.
    to_boundary = iter((4, 10, 25, 25, 25))
    until_on_time(
        logs, lambda directory: rolled_by_unit(record, directory, frames, unit, next(to_boundary))
    )


def rolled_by_unit(
    record: Record, directory: Path, frames: Frames, unit: str, to_boundary: int
) -> list[float]:
    # A zone whose next whole minute, hour and day begin in a few seconds saves the waiting.
    boundary = int(time.time()) + to_boundary
    offset = -boundary % 86_400
    hours, seconds = divmod(offset, 3600)
    zone = f"LAB-{hours:02}:{seconds // 60:02}:{seconds % 60:02}"
    recorder = record("-t", unit, directory=directory, environment={"TZ": zone})
    frames.send()
    if time.time() > boundary - 1:  # it may not know of the packet before the boundary
        recorder.stop()
        return [inf]
    rolled = next_roll(recorder, 0)
    wall = time.time() - (time.monotonic_ns() - rolled.time_ns) / 1e9
    recorder.stop()
    assert [found.packets for found in walk_all(savefiles(directory))] == [1, 0]
    return [wall - boundary]
