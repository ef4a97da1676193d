"""The catalog of a real recording: rows, gaps, pins, leases, and what a kill leaves."""

import hashlib
import json
import os
import signal
import socket
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from daemonlogger_py.savefile.catalog import Catalog
from daemonlogger_py.savefile.catalog_rows import OPEN, Entry
from daemonlogger_py.savefile.leases import hold

from .catalogs import PREFIX, WAIT_S, gaps, until
from .conftest import MakeVolume, Record
from .load import Load
from .network import Link
from .processes import children, lives
from .recorder import Recorder
from .records import records, savefiles, walk
from .senders import Frames, replay, replaying

RATE = 40_000


def entries(logs: Path) -> list[Entry]:
    with Catalog.open(str(logs / f"{PREFIX}.catalog")) as catalog:
        assert list(catalog.check()) == []
        return list(catalog.entries())


def is_surveyed(catalog: Catalog, name: str) -> bool:
    entry = catalog.entry(name)
    return entry is not None and entry.state != OPEN


def ask(logs: Path) -> dict[str, Any]:
    with socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(WAIT_S)
        asking.connect(str(logs / f"{PREFIX}.socket"))
        with asking.makefile("rb") as reading:
            found = json.loads(reading.read())
    assert isinstance(found, dict)
    return found


def settled(logs: Path, sent: int) -> dict[str, Any]:
    """Wait until so many packets are written or dropped, and all but the open savefile cataloged.

    Who answers may just be started anew.
    """
    end = time.monotonic() + WAIT_S
    status: dict[str, Any] = {}
    while status.get("written", 0) + status.get("dropped", 0) < sent or status["catalog_behind"]:
        assert time.monotonic() < end, status
        time.sleep(0.05)
        with suppress(OSError):
            status = ask(logs)
    return status


def is_right(entry: Entry, path: Path) -> None:
    """Assert that an entry tells of a savefile what reading it does."""
    found, status = walk(path), path.stat()
    times = [packet.time_ns for packet in records(path)]
    assert entry.packets == found.packets
    assert (entry.size_bytes, entry.modified_ns) == (status.st_size, status.st_mtime_ns)
    assert entry.sha256 == hashlib.sha256(path.read_bytes()).digest()
    assert (entry.first_ns, entry.last_ns) == (min(times, default=None), max(times, default=None))


def test_a_ring_is_cataloged(link: Link, record: Record, logs: Path, thousands: Load) -> None:
    recorder = record("-r", "-m", "5", "-s", "1m")
    sent = replay(link, thousands, pps=RATE)
    status = settled(logs, sent)
    assert (status["pid"], status["ring_files"]) == (recorder.pid, 5)
    assert status["limits"] == ["max files 5"]
    totals = recorder.stop()
    totals.account_for(sent)
    assert (totals.lost, totals.kernel_dropped) == (0, 0)

    found, paths = entries(logs), savefiles(logs)
    assert [entry.name for entry in found] == [path.name for path in paths]
    for entry, path in zip(found, paths, strict=True):
        is_right(entry, path)
    assert {entry.state for entry in found} == {"sealed"}
    assert [entry.why for entry in found] == ["size"] * 4 + ["exit"]
    assert [gap.kind for gap in gaps(logs)] == ["stopped"]
    assert not (logs / f"{PREFIX}.socket").exists()


def test_killed_and_started_again(link: Link, record: Record, logs: Path, thousands: Load) -> None:
    recorder = record("-r", "-m", "50", "-s", "1m")
    with replaying(link, thousands, pps=RATE):
        recorder.grows(lambda: len(savefiles(logs)), 4)
        recorder.grows(lambda: savefiles(logs)[-1].stat().st_size, 100_000)
        recorder.kill()
        killed_ns = time.time_ns()
    until(logs, lambda catalog: any(gap.kind == "crashed" for gap in catalog.gaps()))
    recorded_ns = max(walk(path).last_ns for path in savefiles(logs))
    last = savefiles(logs)[-1]
    with last.open("r+b") as file:  # as a power loss leaves it
        file.truncate(last.stat().st_size - 7)

    again = record("-r", "-m", "50", "-s", "1m")
    again.says("Recovered")
    until(logs, lambda catalog: catalog.gaps()[0].to_ns is not None)
    (gap,) = gaps(logs)
    assert recorded_ns <= gap.from_ns <= killed_ns
    assert gap.to_ns is not None
    assert gap.to_ns > killed_ns
    # Those of earlier runs are surveyed while it records: what is left of them at its end waits
    # for the next start.
    *earlier, _ = savefiles(logs)
    until(logs, lambda catalog: all(is_surveyed(catalog, path.name) for path in earlier))
    again.stop()
    found = {entry.name: entry for entry in entries(logs)}
    for path in savefiles(logs):
        is_right(found[path.name], path)
    assert (found[last.name].state, found[last.name].why) == ("recovered", "killed")


def processes_of_catalog(recorder: Recorder, dead: Collection[int] = ()) -> tuple[int, int]:
    """The one that guards the other, and the other, which is none of the `dead`."""
    (guard,) = children(recorder.pid)
    end = time.monotonic() + WAIT_S
    while not (found := [pid for pid in children(guard) if pid not in dead]):
        assert time.monotonic() < end
        time.sleep(0.01)
    return guard, found[0]


def test_a_killed_catalogs_process_comes_back(
    link: Link, record: Record, logs: Path, thousands: Load
) -> None:
    recorder = record("-r", "-m", "50", "-s", "1m", "-B", "1m")
    sent = replay(link, thousands, count=12_000, pps=RATE)
    dead: list[int] = []
    for _ in range(2):
        _, process = processes_of_catalog(recorder, dead)
        spoken = len(recorder.lines)
        recorder.send(signal.SIGSTOP)
        sent += replay(link, thousands)
        os.kill(process, signal.SIGKILL)
        dead.append(process)
        recorder.send(signal.SIGCONT)
        recorder.says("packets dropped by the kernel", after=spoken)
        recorder.says("is started anew", after=spoken)
        _, process = processes_of_catalog(recorder, dead)
        os.kill(process, signal.SIGKILL)  # with that unwritten, or half of it
        dead.append(process)
        sent += replay(link, thousands, count=12_000, pps=RATE)
    status = settled(logs, sent)
    living = processes_of_catalog(recorder)
    totals = recorder.stop()
    totals.account_for(sent)
    assert totals.kernel_dropped == status["dropped"] > 0

    found, paths = entries(logs), savefiles(logs)
    assert [entry.name for entry in found] == [path.name for path in paths]
    for entry, path in zip(found, paths, strict=True):
        is_right(entry, path)
    assert {entry.state for entry in found} == {"sealed"}
    assert [entry.why for entry in found] == ["size"] * (len(found) - 1) + ["exit"]
    assert sum(entry.dropped for entry in found) == totals.kernel_dropped
    dropped = [gap.packets or 0 for gap in gaps(logs) if gap.kind == "dropped"]
    assert sum(dropped) == totals.kernel_dropped
    assert {gap.kind for gap in gaps(logs)} == {"dropped", "stopped"}
    assert not [pid for pid in (*living, *dead) if lives(pid)]


def test_one_that_does_not_live_is_given_up(record: Record, logs: Path) -> None:
    """The recorder goes on without, and says itself how it ended."""
    recorder = record("-r", "-m", "50")
    until(logs, lambda catalog: bool(catalog.runs()))
    dead: set[int] = set()
    while "not kept any more" not in recorder.text:
        for guard in children(recorder.pid):
            with suppress(FileNotFoundError, ProcessLookupError):
                for process in children(guard):
                    os.kill(process, signal.SIGKILL)
                    dead.add(process)
        time.sleep(0.01)
        assert len(dead) < 10
    assert recorder.running()
    recorder.stop()
    assert (logs / f"{PREFIX}.catalog-end").exists()


def test_ended_after_the_processes_of_its_catalog_were_killed(
    record: Record, logs: Path, frames: Frames
) -> None:
    recorder = record("-r", "-m", "50")
    until(logs, lambda catalog: bool(catalog.runs()))
    frames.send()
    for process in processes_of_catalog(recorder):
        os.kill(process, signal.SIGKILL)
    recorder.says("The catalog is not kept any more")
    recorder.stop()

    left = logs / f"{PREFIX}.catalog-end"
    again = record("-r", "-m", "50")
    # Before its own end, at which it may leave one as well.
    until(logs, lambda catalog: len(catalog.runs()) > 1 and not left.exists())
    again.stop()
    assert [(gap.kind, gap.detail) for gap in gaps(logs)][1:] == [("stopped", "SIGINT")] * 2
    assert [gap.kind for gap in gaps(logs)][:1] == ["unknown"]


def test_pins_are_honoured(link: Link, record: Record, logs: Path, thousands: Load) -> None:
    recorder = record("-r", "-m", "6", "-s", "1m")
    settled(logs, replay(link, thousands, pps=RATE))
    pinned = savefiles(logs)[0]
    content = pinned.read_bytes()
    with Catalog.open(str(logs / f"{PREFIX}.catalog"), write=True) as catalog:
        entry = catalog.entry(pinned.name)
        assert entry is not None
        assert entry.first_ns is not None
        catalog.pin(entry.first_ns, entry.first_ns + 1, "the incident", time.time_ns())
    end = time.monotonic() + WAIT_S
    while ask(logs)["pinned_bytes"] < len(content):  # until it is known to the recorder
        assert time.monotonic() < end
        time.sleep(0.05)
    for _ in range(2):
        replay(link, thousands, pps=RATE)
    assert ask(logs)["pinned_bytes"] >= len(content)
    recorder.stop()

    assert pinned.read_bytes() == content
    assert "nothing left to prune but what is pinned" in recorder.text or len(savefiles(logs)) == 6


def test_a_lease_is_waited_for_while_there_are_others(
    record: Record, logs: Path, frames: Frames
) -> None:
    recorder = record("-r", "-m", "4", "-F")

    def roll() -> None:
        spoken = len(recorder.lines)
        frames.send(100)
        recorder.grows(lambda: savefiles(logs)[-1].stat().st_size, 25)
        recorder.send(signal.SIGHUP)
        recorder.says("Logging packets to", after=spoken)

    for _ in range(3):
        roll()
    first = savefiles(logs)[0]
    with first.open("rb") as reading:
        assert hold(reading.fileno())
        for _ in range(4):
            roll()
        assert first.exists()
    recorder.stop()


@pytest.mark.alone
def test_a_disk_that_stalls_is_in_the_ledger(
    link: Link, record: Record, volume: MakeVolume, wide: Load
) -> None:
    disk = volume(24 << 20)  # which the ring does not fill
    recorder = record("-r", "-m", "12", "-s", "1m", "--buffer-memory", "2m", directory=disk.path)
    with replaying(link, wide, pps=20_000, loops=20):
        recorder.grows(lambda: len(savefiles(disk.path)), 4)
        until(disk.path, lambda catalog: len(catalog.runs()) == 1)
        spoken = len(recorder.lines)
        began_ns = time.monotonic_ns()
        with disk.frozen(0):
            recorder.says("The disk does not keep up", after=spoken)
            time.sleep(1)
        recorder.says("The disk took buffers again", after=spoken)
        lasted_ns = time.monotonic_ns() - began_ns
    recorder.stop()
    until(disk.path, lambda catalog: catalog.runs()[0].ended_ns is not None)
    found = gaps(disk.path)
    # It may be slow without being frozen.
    stalled = [gap for gap in found if gap.kind == "disk_stalled"]
    assert all(gap.to_ns is not None for gap in stalled)
    assert 0.5e9 < max((gap.to_ns or 0) - gap.from_ns for gap in stalled) <= lasted_ns + 1e9
    assert [gap.detail for gap in found if gap.kind == "stopped"] == ["SIGINT"]


def test_no_catalog_where_none_is_wanted(record: Record, logs: Path) -> None:
    record("-r", "--catalog", "off").stop()
    record().stop()

    assert not [path for path in logs.iterdir() if path not in savefiles(logs)]
