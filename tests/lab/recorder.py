"""Drives ``daemonlogger`` as its user does: flags, standard error, signals, exit status.

Knows the recorder from outside only: its messages, its process under /proc, its files.
"""

import os
import re
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import NamedTuple

from .commands import finish
from .network import Namespace
from .processes import all_end, descendants

# A machine may be busy: who waits does not wait longer for it when all is well.
START_SECONDS = 60.0
END_SECONDS = 60.0


class Line(NamedTuple):
    """One line of standard error and the monotonic time at which it was read."""

    time_ns: int
    text: str


@dataclass(frozen=True)
class Totals:
    """The statistics as printed at the end and on USR1."""

    received: int
    kernel_dropped: int
    interface_dropped: int
    lost: int
    written: int
    files: int
    written_bytes: int

    def account_for(self, sent: int) -> None:
        """Assert that every packet sent is written, lost or dropped, and none twice."""
        assert self.received + self.kernel_dropped == sent, (self, sent)
        assert self.written + self.lost == self.received, self


# Said when the process that keeps the catalog has more to do than is waited for.
UNFINISHED = r"catalog is not complete yet: process (\d+) goes on with it"
PHRASES = {
    "received": r"\b(\d+) packets? received\b",
    "kernel_dropped": r"\b(\d+) packets? dropped by the kernel \(\d+(?:\.\d+)?%\)",
    "interface_dropped": r"\b(\d+) packets? dropped by the interface\b",
    "lost": r"\b(\d+) packets? lost by daemonlogger\b",
    "written": r"\b(\d+) packets? written to \d+ files?, \d+ bytes\b",
    "files": r"\b\d+ packets? written to (\d+) files?, \d+ bytes\b",
    "written_bytes": r"\b\d+ packets? written to \d+ files?, (\d+) bytes\b",
}


def parse_totals(text: str) -> Totals:
    """Return the last statistics in what the recorder said; a missing one is an error."""
    values = {}
    for part in fields(Totals):
        found = re.findall(PHRASES[part.name], text)
        assert found, f"no line says {PHRASES[part.name]!r} in:\n{text}"
        values[part.name] = int(found[-1])
    return Totals(**values)


def daemonlogger() -> list[str]:
    """Return the command under test: the console script of this Python, else the module."""
    script = Path(sys.executable).with_name("daemonlogger")
    if script.exists():
        return [str(script)]
    return [sys.executable, "-m", "daemonlogger_py.cli.daemonlogger"]


class Recorder:
    """One ``daemonlogger`` process in a namespace; everything it says is kept with its time."""

    def __init__(
        self,
        namespace: Namespace,
        *arguments: str | Path,
        cwd: Path,
        environment: dict[str, str] | None = None,
    ) -> None:
        self._namespace = namespace
        self._lines: list[Line] = []
        self._heard = threading.Condition()
        self._process = subprocess.Popen(
            namespace.command(*daemonlogger(), *arguments),
            cwd=cwd,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        self.pid = self._process.pid
        self._started: list[int] = []  # by the recorder, as it was killed
        self._reader = threading.Thread(target=self._listen)
        self._reader.start()

    def _listen(self) -> None:
        assert self._process.stderr is not None
        for text in self._process.stderr:
            with self._heard:
                self._lines.append(Line(time.monotonic_ns(), text.rstrip("\n")))
                self._heard.notify_all()
        with self._heard:
            self._heard.notify_all()

    @property
    def lines(self) -> list[Line]:
        """Everything said so far."""
        with self._heard:
            return list(self._lines)

    @property
    def text(self) -> str:
        """Everything said so far, as one text."""
        return "\n".join(line.text for line in self.lines)

    def says(self, pattern: str, *, after: int = 0, timeout: float = START_SECONDS) -> Line:
        """Wait for a line that matches, from the after-th line on; return it."""
        deadline = time.monotonic() + timeout
        with self._heard:
            position = after
            while True:
                for line in self._lines[position:]:
                    if re.search(pattern, line.text):
                        return line
                position = max(after, len(self._lines))
                left = deadline - time.monotonic()
                said = "\n".join(line.text for line in self._lines)
                assert self._reader.is_alive(), f"ended without {pattern!r}:\n{said}"
                assert left > 0, f"not said within {timeout} s: {pattern!r}:\n{said}"
                # The end of the reader is no notification while it holds nothing to read.
                self._heard.wait(min(left, 0.5))

    def grows(
        self, measure: Callable[[], int], least: int, *, timeout: float = START_SECONDS
    ) -> int:
        """Wait until measure() is least or more; return the monotonic time in nanoseconds then."""
        deadline = time.monotonic() + timeout
        while (value := measure()) < least:
            assert self.running(), f"ended at {value} of {least}:\n{self.text}"
            assert time.monotonic() < deadline, f"only {value} of {least}:\n{self.text}"
            time.sleep(0.002)
        return time.monotonic_ns()

    def receiving(self) -> None:
        """Wait until it says that it listens and the kernel lists its packet socket."""
        self.says(r"sniffing on interface ")
        deadline = time.monotonic() + START_SECONDS
        while not self._packet_sockets():
            assert time.monotonic() < deadline, f"no packet socket:\n{self.text}"
            time.sleep(0.005)

    def listening(self) -> None:
        """The same, and a savefile is open."""
        self.receiving()
        self.says(r"Logging packets to ")

    def _packet_sockets(self) -> set[str]:
        table = Path(f"/proc/{self.pid}/net/packet").read_text().splitlines()[1:]
        running = {row.split()[8] for row in table if row.split()[5] == "1"}
        return running & {
            target[len("socket:[") : -1]
            for target in self.descriptors().values()
            if target.startswith("socket:[")
        }

    def descriptors(self) -> dict[int, str]:
        """Return the open descriptors and what each is."""
        found = {}
        for entry in Path(f"/proc/{self.pid}/fd").iterdir():
            try:
                found[int(entry.name)] = str(entry.readlink())
            except FileNotFoundError:  # closed meanwhile
                continue
        return found

    def kernel_buffer_bytes(self) -> int:
        """Return the size of the packet socket's ring as it is mapped into the process."""
        total = 0
        for row in Path(f"/proc/{self.pid}/maps").read_text().splitlines():
            if "socket:[" in row:
                start, end = row.split()[0].split("-")
                total += int(end, 16) - int(start, 16)
        return total

    def send(self, number: signal.Signals) -> int:
        """Send a signal; return the monotonic time in nanoseconds just before."""
        now = time.monotonic_ns()
        os.kill(self.pid, number)
        return now

    def ended(self, *, timeout: float = END_SECONDS) -> int:
        """Wait for its end, its last line and a whole catalog; return the exit status."""
        try:
            status = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {timeout} s:\n{self.text}") from None
        self._reader.join(10)
        pids = [int(pid) for pid in re.findall(UNFINISHED, self.text)]
        assert all_end(pids, END_SECONDS), f"the catalog is not complete yet:\n{self.text}"
        return status

    def end_ns(self, *, timeout: float = END_SECONDS) -> int:
        """Wait for its end and return the monotonic time in nanoseconds at which it was seen."""
        # Popen.wait with a timeout sleeps between its looks; a pidfd wakes at once.
        handle = os.pidfd_open(self.pid)
        try:
            ready, _, _ = select.select([handle], [], [], timeout)
            now = time.monotonic_ns()
        finally:
            os.close(handle)
        assert ready, f"still running after {timeout} s:\n{self.text}"
        return now

    def stop(self, number: signal.Signals = signal.SIGINT) -> Totals:
        """Send a signal that finishes it; exit 0 and the totals are due."""
        self.send(number)
        status = self.ended()
        assert status == 0, f"exit {status}:\n{self.text}"
        return self.totals()

    def totals(self) -> Totals:
        """Return the last statistics it printed."""
        return parse_totals(self.text)

    def running(self) -> bool:
        """Say whether the process still runs."""
        return self._process.poll() is None

    def kill(self) -> None:
        """End it, by SIGKILL if it still runs; may be called twice."""
        if self._process.poll() is None:
            self._started += descendants(self.pid)
            self._process.kill()
        self._process.wait(10)
        self._reader.join(10)
        finish(self._process)

    def clear(self) -> None:
        """The same, and nobody writes any more: its catalog's process outlives a recorder."""
        self.kill()
        all_end(self._started, END_SECONDS)
