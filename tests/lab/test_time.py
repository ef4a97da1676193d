"""Roll-overs by the clock alone, when no packet arrives at the boundary."""

import time
from datetime import datetime
from pathlib import Path

import pytest

from .conftest import Record
from .recorder import Line, Recorder
from .records import savefiles, walk, walk_all
from .senders import Frames

pytestmark = pytest.mark.alone

BLUR_SECONDS = 0.2  # a busy machine


def next_roll(recorder: Recorder, after: int) -> Line:
    """Return the line that tells the next roll-over, after that many lines."""
    return recorder.says(r"Rolling over logfile\.\.\.", after=after, timeout=5)


def test_every_second_without_a_packet_at_the_boundary(
    record: Record, logs: Path, frames: Frames
) -> None:
    recorder = record("-t", "1")
    rolls = []
    for idle_seconds in (0.0, 2.3, 1.6):
        time.sleep(idle_seconds)
        spoken = len(recorder.lines)
        sent = frames.send()
        rolled = next_roll(recorder, spoken)  # and no packet comes
        assert 0 < rolled.time_ns - sent < (1 + BLUR_SECONDS) * 1e9
        rolls.append(rolled.time_ns / 1e9)
        closed = savefiles(logs)[len(rolls) - 1]
        assert walk(closed).packets == 1
    for rolled_at in rolls[1:]:  # the grid stays where it was; idle boundaries passed unused
        away = (rolled_at - rolls[0] + 0.5) % 1 - 0.5
        assert abs(away) < BLUR_SECONDS, rolls
    assert recorder.text.count("Rolling over logfile") == len(rolls)
    totals = recorder.stop()
    assert totals.written == len(rolls)
    assert [found.packets for found in walk_all(savefiles(logs))] == [1, 1, 1, 0]


@pytest.mark.parametrize("unit", ["1m", "1h", "1d"])
def test_aligned_to_local_time(record: Record, logs: Path, frames: Frames, unit: str) -> None:
    # A zone whose next whole minute, hour and day begin in a few seconds saves the waiting.
    to_boundary = 4
    boundary = int(time.time()) + to_boundary
    offset = -boundary % 86_400
    hours, seconds = divmod(offset, 3600)
    zone = f"LAB-{hours:02}:{seconds // 60:02}:{seconds % 60:02}"
    recorder = record("-t", unit, environment={"TZ": zone})
    frames.send()
    rolled = next_roll(recorder, 0)
    wall = time.time() - (time.monotonic_ns() - rolled.time_ns) / 1e9
    shown = datetime.fromtimestamp(boundary).astimezone().isoformat()
    assert abs(wall - boundary) < BLUR_SECONDS, f"rolled {wall - boundary:+.3f} s off {shown}"
    recorder.stop()
    assert [found.packets for found in walk_all(savefiles(logs))] == [1, 0]
