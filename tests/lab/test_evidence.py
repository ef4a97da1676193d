"""The ring touches its own savefiles alone; earlier runs' files are its own."""

import os
import time
from pathlib import Path

from .conftest import Record
from .load import Load, write_load
from .network import Link
from .records import assert_run, numbers_of, savefiles, walk_all
from .senders import replay

TEXT = b"this is evidence\n"
STRANGERS = (
    "my-evidence-of-t-do-not-delete.txt",
    "t",
    "t.",
    "t.123x",
    "t.1000000000.pcap",
    "t.1000000000.001.gz",
    "t.-1",
    "t.1e9",
    "t.1000000000.",
    "t..1",
    "T.1000000000",
    "xt.1000000000",
    "tt.1000000000",
    ".t.1000000000",
    "t.1000000000.1.2",
    "t.\u0661\u0662\u0663",  # digits, but not ASCII's
)


def make_strangers(logs: Path) -> dict[str, bytes | None]:
    """Make what must survive; return each name with its content, None for what is no file."""
    for name in STRANGERS:
        (logs / name).write_bytes(TEXT)
        os.utime(logs / name, (1, 1))  # oldest of all: first to go if anything goes by age
    (logs / "target").write_bytes(TEXT)
    (logs / "t.1000000001").symlink_to("target")
    (logs / "t.1000000002").mkdir()
    (logs / "t.1000000002" / "inside").write_bytes(TEXT)
    os.mkfifo(logs / "t.1000000003")
    (logs / "t.1000000004.001").symlink_to("nowhere")
    return survivors(logs)


def survivors(logs: Path) -> dict[str, bytes | None]:
    """Return every name but the ring's own; the content of those that are plain or linked files."""
    return {
        path.name: path.read_bytes() if path.is_file() else None
        for path in logs.iterdir()
        if path not in savefiles(logs, "t") and not path.name.startswith("t.catalog")
    }


def test_foreign_files_survive_the_ring(
    link: Link, record: Record, logs: Path, thousands: Load
) -> None:
    kept = make_strangers(logs)
    assert len(kept) == len(STRANGERS) + 5
    earlier = [write_load(logs / f"t.{name}", 10) for name in ("1000000005", "1000000006.012")]
    recorder = record("-n", "t", "-r", "-m", "2", "-s", "1m")
    sent = replay(link, thousands, pps=20_000)
    recorder.stop().account_for(sent)
    assert survivors(logs) == kept
    assert not [load.path for load in earlier if load.path.exists()]  # adopted, and oldest
    walks = walk_all(savefiles(logs, "t"))
    assert len(walks) == 2
    numbers = numbers_of(walks)
    assert_run(numbers, sent - len(numbers), sent - 1)


def test_earlier_runs_are_adopted(record: Record, logs: Path, thousands: Load, link: Link) -> None:
    names = [f"t.{epoch}" for epoch in ("999999999", "1000000000", "1000000000.002")]
    for name in reversed(names):  # their order is in the names, not in the times of writing
        write_load(logs / name, 10)
    recorder = record("-n", "t", "-r", "-m", "3")
    assert [path.name for path in savefiles(logs, "t")][:2] == names[1:]
    assert len(savefiles(logs, "t")) == 3  # the open one included
    sent = replay(link, thousands, count=1000, pps=20_000)
    recorder.stop().account_for(sent)
    again = record("-n", "t", "-r", "-m", "2")  # the run before is an earlier run now
    assert len(savefiles(logs, "t")) == 2
    again.stop()
    numbers = numbers_of(walk_all(savefiles(logs, "t")))
    assert_run(numbers, 0, sent - 1)


def test_a_link_laid_where_the_next_file_goes_is_not_followed(
    link: Link, record: Record, logs: Path, thousands: Load
) -> None:
    victim = logs / "victim"
    victim.write_bytes(TEXT)
    now = int(time.time())
    traps = [logs / f"t.{second}" for second in range(now, now + 120)]
    for trap in traps:
        trap.symlink_to(victim)
    recorder = record("-n", "t", "-s", "1m")
    sent = replay(link, thousands, pps=20_000)
    recorder.stop().account_for(sent)
    assert victim.read_bytes() == TEXT
    assert all(trap.is_symlink() for trap in traps)
    walks = walk_all(savefiles(logs, "t"))
    assert_run(numbers_of(walks), 0, sent - 1)
