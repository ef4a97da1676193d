"""kill -9 under 200,000 packets a second: the next start repairs, says so and goes on."""

import random
import re
import time
from pathlib import Path

import pytest

from .conftest import Record
from .load import Load
from .network import Link
from .peers import tcpdump_counts
from .records import Walk, assert_run, numbers_of, savefiles, walk, walk_all
from .senders import replaying

RATE = 200_000


def torn(paths: list[Path]) -> list[Walk]:
    """Return the files of a killed run that are cut; if none is, cut one as a power loss does."""
    walks = [walk(path) for path in paths]
    cut = [found for found in walks if found.damage]
    last = walks[-1]
    if not cut and last.packets:
        with last.path.open("r+b") as handle:
            handle.truncate(last.size_bytes - 7)
        cut = [walk(last.path)]
    return cut


def killed(
    link: Link, record: Record, logs: Path, load: Load, moment: float, *how: str
) -> list[Path]:
    """Record under load, kill it that many seconds after the first data; return its files."""
    earlier = set(savefiles(logs))

    def mine() -> list[Path]:
        return [path for path in savefiles(logs) if path not in earlier]

    recorder = record("-s", "10m", *how)
    with replaying(link, load, pps=RATE):
        recorder.grows(lambda: sum(path.stat().st_size for path in mine()), 1 << 20)
        time.sleep(moment)
        recorder.kill()
    return mine()


def repaired(record: Record, logs: Path, mine: list[Path], cut: list[Walk]) -> None:
    """Start the recorder again; it must tell what each cut file keeps, and leave the others."""
    before = {path: path.read_bytes() for path in mine}
    present = set(savefiles(logs))
    following = record("-s", "10m")
    for found in cut:
        name = re.escape(found.path.name)
        said = following.says(rf"{name}(?![.\d]).*\b\d+ whole (records|packets)")
        kept = re.search(r"(\d+) whole", said.text)
        assert kept
        assert int(kept[1]) == found.packets, (said.text, found.damage)
        assert found.path.read_bytes() == before[found.path][: found.end_offset]
    untouched = set(mine) - {found.path for found in cut}
    assert all(path.read_bytes() == before[path] for path in untouched)
    assert len(set(savefiles(logs)) - present) == 1  # it goes on in a new file
    following.stop()


@pytest.mark.parametrize(
    ("rounds", "how"), [(5, []), (2, ["--direct"])], ids=["buffered", "direct"]
)
def test_killed_again_and_again(
    link: Link, record: Record, logs: Path, million: Load, rounds: int, how: list[str]
) -> None:
    moments = random.Random(9)
    repairs = 0
    for _ in range(rounds):
        mine = killed(link, record, logs, million, moments.uniform(0, 1.2), *how)
        cut = torn(mine)
        repaired(record, logs, mine, cut)
        repairs += len(cut)
        # The killed run's packets are there without a hole, from its first one on.
        numbers = numbers_of(walk_all(mine))
        assert numbers
        assert_run(numbers, 0, len(numbers) - 1)
    assert repairs >= rounds - 1
    walks = walk_all(savefiles(logs))
    assert tcpdump_counts([found.path for found in walks]) == sum(f.packets for f in walks)
