"""A ring and its catalog beside others: who removes savefiles, who starts too, who was killed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from daemonlogger_py.savefile.catalog import Catalog

from .catalogs import PREFIX, gaps, until
from .conftest import Record
from .processes import descendants
from .recorder import Recorder
from .records import savefiles, walk
from .senders import Frames


def sent(recorder: Recorder, logs: Path, frames: Frames, count: int) -> None:
    """Send so many packets, and wait until they are in the newest savefile."""
    before = walk(savefiles(logs)[-1]).packets
    for _ in range(count):
        frames.send(100)
    recorder.grows(lambda: walk(savefiles(logs)[-1]).packets, before + count)


@pytest.mark.parametrize("ring", [False, True])
def test_a_savefile_removed_while_it_is_written(
    record: Record, logs: Path, frames: Frames, ring: bool
) -> None:
    recorder = record("-F", "--catalog", "on", *(["-r"] if ring else []))
    until(logs, lambda catalog: bool(catalog.runs()))
    sent(recorder, logs, frames, 3)
    spoken = len(recorder.lines)
    (removed,) = savefiles(logs)
    removed.unlink()
    recorder.says(f"{removed.name} was removed while it was written", after=spoken)
    recorder.says("3 packets are lost with", after=spoken)
    recorder.says("Logging packets to", after=spoken)
    sent(recorder, logs, frames, 2)
    recorder.stop()

    lost, stopped = gaps(logs)
    assert (lost.kind, lost.packets, lost.savefile) == ("lost", 3, removed.name)
    assert stopped.kind == "stopped"
    with Catalog.open(str(logs / f"{PREFIX}.catalog")) as catalog:
        assert [(one.name, one.packets) for one in catalog.entries()] == [
            (path.name, 2) for path in savefiles(logs)
        ]


def test_a_log_directory_removed_while_it_is_written(
    record: Record, logs: Path, frames: Frames
) -> None:
    directory = logs / "gone"
    directory.mkdir()
    recorder = record("-F", directory=directory)
    for _ in range(3):
        frames.send(100)
    recorder.grows(lambda: savefiles(directory)[-1].stat().st_size, 25)
    savefiles(directory)[0].unlink()
    directory.rmdir()

    assert recorder.ended() == 1
    assert "was removed while it was written" in recorder.text
    assert "No such file or directory" in recorder.text


def test_a_crash_lasts_until_the_next_start_whatever_rolled_over_since(
    record: Record, logs: Path, frames: Frames
) -> None:
    """The next recorder's catalog is held up until that one has rolled over."""
    recorder = record("-r", "-F")
    until(logs, lambda catalog: bool(catalog.runs()))
    sent(recorder, logs, frames, 2)
    last_ns = walk(savefiles(logs)[-1]).last_ns
    for process in (*descendants(recorder.pid), recorder.pid):
        os.kill(process, signal.SIGKILL)
    recorder.kill()
    time.sleep(1.0)

    held = Catalog.open(str(logs / f"{PREFIX}.catalog"), write=True)
    with held.transaction():
        again = record("-r", "-F")
        for _ in range(3):
            sent(again, logs, frames, 2)
            spoken = len(again.lines)
            again.send(signal.SIGHUP)
            again.says("Logging packets to", after=spoken)
    held.close()
    until(logs, lambda catalog: len(catalog.runs()) == 2)
    (crashed,) = gaps(logs)
    with Catalog.open(str(logs / f"{PREFIX}.catalog")) as catalog:
        started_ns = catalog.runs()[1].started_ns
    again.stop()
    assert (crashed.kind, crashed.from_ns, crashed.to_ns) == ("crashed", last_ns, started_ns)
    assert started_ns - last_ns > 1e9


def test_two_that_start_on_a_new_directory(record: Record, logs: Path) -> None:
    """Each makes a catalog where there is none; one is kept."""
    both = [record("-r", listen=False) for _ in range(2)]
    for recorder in both:
        recorder.listening()
    until(logs, lambda catalog: len(catalog.runs()) == 2)
    for recorder in both:
        recorder.stop()

    with Catalog.open(str(logs / f"{PREFIX}.catalog")) as catalog:
        assert list(catalog.check()) == []
        assert {gap.kind for gap in catalog.gaps()} == {"stopped"}
    assert "atalog" not in "".join(
        line.text for recorder in both for line in recorder.lines if line.text.startswith("[!]")
    )
    assert not [path for path in logs.iterdir() if ".damaged" in path.name or ".new" in path.name]


def test_one_without_a_catalog_ends_the_gap(record: Record, logs: Path, frames: Frames) -> None:
    def lasts() -> list[bool]:
        """Of each gap that dlctl lists whether it lasts."""
        dlctl = [sys.executable, "-m", "daemonlogger_py.cli.dlctl", "ls", "--json", str(logs)]
        ran = subprocess.run(dlctl, capture_output=True, text=True, check=True)
        rows = map(json.loads, ran.stdout.splitlines())
        return [row["to_ns"] is None for row in rows if row.get("kind") == "stopped"]

    record("-r").stop()
    assert lasts() == [True]
    time.sleep(1.0)
    recorder = record("-r", "-F", "--catalog", "off")
    sent(recorder, logs, frames, 2)
    assert lasts() == [False]
    recorder.stop()
    assert lasts() == [False, True]
    time.sleep(1.0)
    recorder = record("-r")
    until(logs, lambda catalog: len(catalog.runs()) == 2)
    assert lasts() == [False, False]
    recorder.stop()
    times = [(gap.from_ns, gap.to_ns or 0) for gap in gaps(logs)[:2]]
    assert all(to_ns - from_ns > 5e8 for from_ns, to_ns in times)
    assert times[0][1] <= times[1][0]
    assert gaps(logs)[1].detail == "a recorder without a catalog"
