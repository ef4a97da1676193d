"""One run of the benchmark: what the rows share — tools, loads, lab, directories, rounds.

A load is generated when a row first asks for it and dropped when the next one does not need it,
so that memory holds one load and one output at a time.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.load import IMIX, Load, write_load
from bench.measure import Ballast, Cost, run, undisturbed
from bench.peers import Tool
from bench.results import Figure
from bench.ring_load import Ring, write_ring
from bench.streams_load import Capture, write_capture

Mix = tuple[tuple[int, int], ...]


@dataclass(slots=True)
class Session:
    """What a row module gets."""

    tools: dict[str, Tool]
    work: Path
    rounds: int
    quick: bool
    ring_home: Path | None = None
    _loads: dict[tuple[int, Mix], Load] = field(default_factory=dict)
    _captures: dict[int, Capture] = field(default_factory=dict)
    _rings: dict[int, Ring] = field(default_factory=dict)

    def scaled(self, packets: int) -> int:
        """Return packets, or a twentieth of them in a quick run."""
        return packets // 20 if self.quick else packets

    def load(self, packets: int, mix: Mix = IMIX, *, keep: bool = False) -> Load:
        """Return a load of so many packets; with keep, others stay on disk as well."""
        key = (packets, mix)
        if key not in self._loads:
            if not keep:
                self.drop_loads()
            name = f"load-{packets}-{'-'.join(str(caplen) for caplen, _ in mix)}.pcap"
            self._loads[key] = write_load(self.work / name, packets, mix)
        return self._loads[key]

    def capture(self, total_bytes: int) -> Capture:
        """Return a capture of conversations of so many bytes; other loads are dropped."""
        if total_bytes not in self._captures:
            self.drop_loads()
            path = self.work / f"streams-{total_bytes // 1_000_000}-MB.pcap"
            self._captures[total_bytes] = write_capture(path, total_bytes)
        return self._captures[total_bytes]

    def ring(self, savefiles: int) -> Ring:
        """Return a ring of so many savefiles of 10 MB; other loads are dropped."""
        if savefiles not in self._rings:
            self.drop_loads()
            folder = (self.ring_home or self.work) / f"ring-{savefiles}"
            folder.mkdir()
            # Known before it is there: what a run that is broken off has made goes as well.
            self._rings[savefiles] = Ring(folder, (), 0, 0, 0, 0, 0)
            self._rings[savefiles] = write_ring(folder, savefiles)
        return self._rings[savefiles]

    def drop_loads(self) -> None:
        """Delete all loads."""
        for ring in self._rings.values():
            shutil.rmtree(ring.folder, ignore_errors=True)
        self._rings.clear()
        for load in [*self._loads.values(), *self._captures.values()]:
            load.path.unlink(missing_ok=True)
        self._loads.clear()
        self._captures.clear()

    @contextlib.contextmanager
    def output(self, parent: Path | None = None) -> Iterator[Path]:
        """Make an empty directory for one run of one tool; remove it with its files."""
        out = (parent or self.work) / "out"
        out.mkdir()
        try:
            yield out
        finally:
            shutil.rmtree(out, ignore_errors=True)

    @property
    def log(self) -> Path:
        """Return where a tool's messages go."""
        return self.work / "messages"

    def timed(
        self, argv: Callable[[Path], Sequence[str]], ballast_bytes: int, limit_s: float = 120
    ) -> Cost:
        """Run a tool into an empty directory on touched memory; return its cost."""

        def once() -> Cost:
            with self.output() as out:
                Ballast(ballast_bytes).release()
                return run(argv(out), self.log, limit_s)

        return undisturbed(once)

    def present(self, names: Sequence[str]) -> list[Tool]:
        """Return the tools of these names that are installed."""
        return [self.tools[name] for name in names if self.tools[name].installed]

    def figures(
        self,
        names: Sequence[str],
        values: dict[Tool, list[float]],
        failures: dict[Tool, str],
        command: Callable[[Tool], Sequence[str]],
        notes: dict[str, str] | None = None,
    ) -> tuple[Figure, ...]:
        """Make the figures of a row, in the order of names; what is missing says why."""
        found = []
        for name in names:
            tool = self.tools[name]
            if not tool.installed:
                found.append(Figure(name, (), note="not installed"))
                continue
            note = f"failed: {failures[tool]}" if tool in failures else (notes or {}).get(name, "")
            shown = self.plain(command(tool))
            found.append(Figure(name, tuple(values.get(tool, ())), shown, note))
        return tuple(found)

    def plain(self, argv: Sequence[str]) -> str:
        """Return a command line without the directories of this run."""
        words = list(argv)
        for directory in (self.work, self.ring_home):
            words = [word.replace(f"{directory}/", "") for word in words]
        first = words[0].rsplit("/", 1)[-1]
        rest = [word.rsplit("/", 1)[-1] if word.endswith(".py") else word for word in words[1:]]
        return " ".join([first, *rest])

    def say(self, words: str) -> None:
        """Tell on standard error what is going on."""
        print(f"{time.strftime('%H:%M:%S')} {words}", file=sys.stderr, flush=True)
