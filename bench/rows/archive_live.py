"""Recording 200,000 packets/s into a ring that is searched, indexed and verified meanwhile.

Recorder and sender have a core each; the readers, of ordinary priority but for the indexer that
lowers its own, run where the kernel puts them. The sender goes before them, as another machine's
would. Each begins again as soon as it has ended.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

from bench.lab import Lab, Recorded, Sending, ext4_volume
from bench.measure import ToolError, interleaved, started
from bench.peers import find_ours
from bench.results import OURS, Figure, Goal, Row
from bench.rows.archive import NOWHERE
from bench.session import Session

PART, LOOPS = 1_000_000, 3
RATE = 200_000
VOLUME_BYTES = 4 << 30
ALONE = f"{OURS}, nobody reads"
PREFIX = "t"
# A flow of load.py, which the index knows, and what no index holds.
VERBS = {
    "extract": ("extract", "-w", str(NOWHERE), "host", "10.0.0.7"),
    "extract, a scan": ("extract", "-w", str(NOWHERE), "tcp[13] & 4 != 0"),
    "verify": ("verify", "--no-progress"),
}


def run_live(session: Session) -> Iterator[Row]:
    """Yield the packets lost, with readers and without."""
    load = session.load(session.scaled(PART))
    sending = Sending(load.path, load.packets, LOOPS, RATE, undisturbed=True)
    ended: dict[str, int] = dict.fromkeys(VERBS, 0)
    with Lab(session.work).up() as lab, ext4_volume(session.work, VOLUME_BYTES) as volume:

        def once(name: str) -> Recorded:
            with session.output(volume) as out:
                readers = Readers(session.work, out, ended)
                return lab.record(
                    command(lab.interface, out),
                    out,
                    sending,
                    during=readers.at_work if name == OURS else contextlib.nullcontext,
                    ballast_bytes=load.file_bytes * (LOOPS + 1),
                )

        found, failures = interleaved([OURS, ALONE], session.rounds, once)
    reached = [one.sent_per_s for one in found[OURS]]
    ran = ", ".join(f"{verb} {times} times" for verb, times in ended.items())
    yield Row(
        "archive-live-drops",
        f"live to ext4, {sending.packets * LOOPS:,} packets at {RATE:,} packets/s, while the ring "
        "is extracted from, indexed and verified: packets lost",
        "packets",
        tuple(
            Figure(
                name,
                tuple(float(one.lost) for one in found[name]),
                session.plain(command(lab.interface, session.work / "out")),
                f"failed: {failures[name]}" if name in failures else "",
            )
            for name in (OURS, ALONE)
        ),
        (Goal(0),),
        note=f"in all rounds: {ran}; `dlctl index --follow` all the time"
        + (f"; the sender reached {min(reached):,.0f} packets/s" if reached else ""),
    )


def command(interface: str, out: Path) -> list[str]:
    """Return the command line of the recorder."""
    argv = [*find_ours(), "-i", interface, "-l", str(out), "-n", PREFIX]
    return [*argv, "-r", "-m", "100000", "-s", "10m"]


class Readers:
    """All who read a ring while it is recorded, for as long as a block runs."""

    def __init__(self, work: Path, folder: Path, ended: dict[str, int]) -> None:
        self._work = work
        self._folder = folder
        self._ended = ended
        self._over = threading.Event()
        self._failures: list[str] = []

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """Let them read. Raises ToolError when one of them failed."""
        index = ("index", "--follow", "--no-progress")
        threads = [
            threading.Thread(target=self._again_and_again, args=(verb, words))
            for verb, words in VERBS.items()
        ]
        with started(self._command(index), self._work / "reader-index") as indexer:
            for thread in threads:
                thread.start()
            try:
                yield
            finally:
                self._over.set()
                for thread in threads:
                    thread.join()
                if not indexer.running():
                    self._failures.append(f"index: {indexer.messages()}")
        if self._failures:
            raise ToolError("; ".join(self._failures))

    def _command(self, words: tuple[str, ...]) -> list[str]:
        verb, *others = words
        return [*find_ours("dlctl"), verb, "--ring", str(self._folder), *others]

    def _again_and_again(self, verb: str, words: tuple[str, ...]) -> None:
        log = self._work / f"reader-{verb.replace(', ', '-').replace(' ', '-')}"
        while not self._over.is_set():
            with started(self._command(words), log) as child:
                while child.running() and not self._over.wait(0.02):
                    pass
                if self._over.is_set():
                    return
                try:
                    child.wait(1)
                except ToolError as error:
                    self._failures.append(f"{verb}: {error}")
                    return
                self._ended[verb] += 1
