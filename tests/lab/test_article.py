"""The two recording command lines of the article that the project started from.

The lines below are the article's, values aside, in its order. Not expected: the original author's
own two lines of the banner. Its third command line, a tap, is in test_tap.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import MakeVolume, Record
from .load import Load
from .network import Link
from .recorder import UNFINISHED
from .records import assert_closed_at, assert_run, numbers_of, savefiles, walk_all
from .senders import replay
from .volume import UseSampler

PREFIX = "dltest1.lpc"
FLUSHED = [r"\[-\] Packet-buffered output activated"]
SOURCE = [r"\[-\] Interface set to le1", r"\[-\] Logpath set to <DIR>/"]
FIVE = [r"\[-\] Max files to write set to 5"]
OPTIONS = [
    r'\[-\] Log filename set to "dltest1\.lpc"',
    r'\[-\] Pidfile configured to "daemonlogger\.pid"',
    r'\[-\] Pidpath configured to "/run"',
    r"\[-\] Ringbuffer active",
    r"\[-\] Rollover size set to 1000000 bytes",
    r"\[-\] Snaplen set to 1515",
    r"\[-\] Rollover time configured for 0 seconds",
    r"\[-\] Pruning behavior set to oldest IN DIRECTORY",
    r"-\*> DaemonLogger <\*-",
    r"Version \d+\.\d+.*",
    r'Checking partition stats for log directory "<DIR>/+\."',
]
SHARE = [
    r"65% max disk utilization = (\d+) blocks free \(out of (\d+)\)",
    r"Blocksize = (\d+)",
    r"Rollsize = (\d+) blocks",
]
SNIFFING = [r"sniffing on interface le1"]
LOGGING = r"Logging packets to <DIR>/+(dltest1\.lpc\.\d+(?:\.\d+)?)"
ROLLING = [
    r"Size limit reached \((\d+) - 1000000 = (\d+)\), rolling over!",
    r"Rolling over logfile\.\.\.",
]
REACHED = r"Disk max utilization reached, rolling over and pruning"
DELETING = r"\[!\] Ringbuffer: deleting <DIR>/+(dltest1\.lpc\.\d+(?:\.\d+)?)"


class Transcript:
    """What was said, taken line by line; blank lines and blanks at the edges aside."""

    def __init__(self, text: str, directory: Path) -> None:
        self._lines = [line.strip() for line in text.splitlines() if line.strip()]
        self._directory = re.escape(str(directory))
        self._next = 0

    def takes(self, pattern: str) -> re.Match[str] | None:
        """Take the next line if the whole of it matches."""
        if self._next == len(self._lines):
            return None
        whole = pattern.replace("<DIR>", self._directory)
        found = re.fullmatch(whole, self._lines[self._next])
        self._next += found is not None
        return found

    def must(self, pattern: str) -> re.Match[str]:
        """Take the next line, which has to match."""
        found = self.takes(pattern)
        context = "\n".join(self._lines[max(0, self._next - 3) : self._next + 3])
        assert found, f"line {self._next + 1} is not {pattern!r}; around it:\n{context}"
        return found

    def rest(self) -> list[str]:
        """Return the lines not taken yet."""
        return self._lines[self._next :]


@pytest.fixture
def link() -> Iterator[Link]:
    """The article's interface, made as a veth."""
    with Link(receiving="le1") as made:
        yield made


def rolls(said: Transcript, *, prunes: str | None = None) -> tuple[list[str], list[str], list[int]]:
    """Take every roll-over; return the names logged to, the names deleted, the sizes reached."""
    logged = [said.must(LOGGING)[1]]
    deleted: list[str] = []
    reached: list[int] = []
    while size := said.takes(ROLLING[0]):
        assert int(size[1]) - 1_000_000 == int(size[2])
        reached.append(int(size[1]))
        said.must(ROLLING[1])
        pruning = prunes is None or said.takes(prunes)
        before = len(deleted)
        while pruning and (gone := said.takes(DELETING)):
            deleted.append(gone[1])
        assert prunes is None or bool(pruning) == (len(deleted) > before)
        logged.append(said.must(LOGGING)[1])
    # How long the catalog takes, which the original has not, is up to the machine.
    rest = [line for line in said.rest() if not re.search(UNFINISHED, line)]
    strays = [line for line in rest if re.match(r"Size|Rolling|\[!\]|Logging|Disk", line)]
    assert not strays, strays
    return logged, deleted, reached


def test_five_files_of_a_ring(link: Link, record: Record, logs: Path, thousands: Load) -> None:
    words = ["-i", "le1", "-S", "1515", "-s", "1000000", "-m", "5", "-r"]
    words += ["-l", f"{logs}/", "-n", PREFIX]
    recorder = record(*words, interface=None, directory=None)
    sent = replay(link, thousands, pps=20_000)
    totals = recorder.stop()

    said = Transcript(recorder.text, logs)
    for pattern in SOURCE + FIVE + OPTIONS + SNIFFING:
        said.must(pattern)
    logged, deleted, reached = rolls(said)
    totals.account_for(sent)
    assert len(reached) == 14 or len(reached) == 15  # 40,000 packets are 15.5 MB

    walks = walk_all(savefiles(logs, PREFIX))
    names = [found.path.name for found in walks]
    assert len(names) == 5
    assert logged == deleted + names  # the oldest went, in their order
    assert_closed_at(walks, 1_000_000)
    assert [found.size_bytes for found in walks[:-1]] == reached[-4:]
    numbers = numbers_of(walks)
    assert_run(numbers, sent - len(numbers), sent - 1)  # the newest data, in the newest file
    assert sorted(path.name for path in savefiles(logs, PREFIX)) == sorted(names)


@pytest.mark.alone
def test_share_of_a_volume(
    link: Link, record: Record, logs: Path, volume: MakeVolume, wide: Load
) -> None:
    size_bytes = 24 << 20
    small = volume(size_bytes)
    words = ["-i", "le1", "-S", "1515", "-s", "1000000", "-M", "65", "-r"]
    words += ["-l", f"{small.path}/", "-n", PREFIX, "-F"]
    recorder = record(*words, interface=None, directory=None)
    with UseSampler(small) as use:
        sent = replay(link, wide, loops=9, pps=50_000)
        totals = recorder.stop()
    assert totals.written_bytes >= 20 * size_bytes
    assert use.samples > 1000
    assert use.most <= 0.65
    assert small.used_share() <= 0.65
    assert use.most > 0.65 - 2 * 1_000_000 / size_bytes  # and no more was pruned than needed

    said = Transcript(recorder.text, small.path)
    for pattern in FLUSHED + SOURCE + OPTIONS:
        said.must(pattern)
    free, total = (int(value) for value in said.must(SHARE[0]).groups())
    assert abs(free - total * 35 / 100) <= 1
    block = int(said.must(SHARE[1])[1])
    assert abs(int(said.must(SHARE[2])[1]) - 1_000_000 / block) <= 1
    for pattern in SNIFFING:
        said.must(pattern)
    logged, deleted, _ = rolls(said, prunes=REACHED)
    assert deleted

    totals.account_for(sent)
    assert totals.lost == 0
    assert totals.kernel_dropped == 0
    walks = walk_all(savefiles(small.path, PREFIX))
    assert logged == deleted + [found.path.name for found in walks]
    assert_closed_at(walks, 1_000_000)
    numbers = numbers_of(walks)
    assert_run(numbers, sent - len(numbers), sent - 1, period=wide.count)
