"""A quiet link: nothing rolls, signals act at once, a lone packet does not wait for company.

Times are medians of several tries: one slow try on a busy machine is the machine's, a slow
median is the recorder's.
"""

import signal
import statistics
import time
from pathlib import Path

import pytest

from .conftest import Record
from .recorder import PHRASES
from .records import bytes_in, packets_in, savefiles, walk_all
from .senders import Frames

pytestmark = pytest.mark.alone

AT_ONCE_SECONDS = 0.1
TRIES = 5
RECORD_BYTES = 76  # a frame of 60 bytes and its header


def test_idle_interface_rolls_nothing(record: Record, logs: Path) -> None:
    recorder = record("-t", "1")
    time.sleep(3.3)
    assert len(savefiles(logs)) == 1
    totals = recorder.stop()
    assert (totals.received, totals.written) == (0, 0)
    assert "Rolling over" not in recorder.text
    (only,) = walk_all(savefiles(logs))
    assert only.packets == 0  # whole, if empty


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["INT", "TERM"])
def test_finish_at_once(record: Record, number: signal.Signals) -> None:
    seconds = []
    for _ in range(TRIES):
        recorder = record()
        time.sleep(0.3)
        asked = recorder.send(number)
        seconds.append((recorder.end_ns() - asked) / 1e9)
        assert recorder.ended() == 0, recorder.text
    assert statistics.median(seconds) < AT_ONCE_SECONDS, seconds


def test_hup_rolls_at_once(record: Record, logs: Path, frames: Frames) -> None:
    recorder = record("-F")
    seconds = []
    for tried in range(TRIES):
        frames.send()
        recorder.grows(lambda: packets_in(logs), tried + 1)
        time.sleep(0.3)
        before = len(recorder.lines)
        asked = recorder.send(signal.SIGHUP)
        said = recorder.says(r"Rolling over logfile\.\.\.", after=before)
        seconds.append((said.time_ns - asked) / 1e9)
        recorder.says(r"Logging packets to ", after=before)
    assert statistics.median(seconds) < AT_ONCE_SECONDS, seconds
    recorder.stop()
    filled = [found.packets for found in walk_all(savefiles(logs)) if found.packets]
    assert filled == [1] * TRIES


def test_usr1_prints_at_once(record: Record) -> None:
    recorder = record()
    seconds = []
    for _ in range(TRIES):
        time.sleep(0.3)
        before = len(recorder.lines)
        asked = recorder.send(signal.SIGUSR1)
        said = recorder.says(PHRASES["received"], after=before)
        seconds.append((said.time_ns - asked) / 1e9)
        recorder.says(PHRASES["written"], after=before)
    assert statistics.median(seconds) < AT_ONCE_SECONDS, seconds
    assert recorder.stop().received == 0


@pytest.mark.parametrize(
    ("flags", "bound"),
    [
        ((), 1.0),
        (("-F",), AT_ONCE_SECONDS),
        (("--direct",), 1.0),
        (("--direct", "-F"), AT_ONCE_SECONDS),
    ],
    ids=["default", "flush", "direct", "direct-flush"],
)
def test_lone_packet(
    record: Record, logs: Path, frames: Frames, flags: tuple[str, ...], bound: float
) -> None:
    recorder = record(*flags)
    seconds = []
    for tried in range(TRIES):
        time.sleep(0.37)  # not in step with any timer of the recorder
        sent = frames.send()
        seen = recorder.grows(lambda: bytes_in(logs), 24 + (tried + 1) * RECORD_BYTES)
        seconds.append((seen - sent) / 1e9)
    assert statistics.median(seconds) < bound, seconds
    assert recorder.stop().written == TRIES
