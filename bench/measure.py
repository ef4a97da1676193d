"""Run a tool and say what it cost: wall by the monotonic clock, CPU by its own rusage.

Every child is known here until it was waited for, is bounded in time, and is ended by its pid
when the benchmark is interrupted. Memory is prepared before a run (see Ballast). What a tool is
and what a row compares is left to peers.py and rows/.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

Subject = TypeVar("Subject")
Sample = TypeVar("Sample")

MADV_NOHUGEPAGE = 15
MADV_POPULATE_WRITE = 23
_CHUNK_BYTES = 32 << 20
_TAKEN_BACK = "/sys/module/page_reporting/parameters/reported_kib"
_DISTURBED_KIB = 16 << 10
_RETRIES = 1
_LONG_S = 2.5
_STDERR_BYTES = 400
_SAMPLED_S = 0.002


class ToolError(Exception):
    """A tool ended with a failure, or had to be killed; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a finished child cost."""

    wall_s: float
    cpu_s: float


class Child:
    """A started tool: its pid, its standard error in a file, its cost once it ended."""

    def __init__(self, argv: Sequence[str], log: Path) -> None:
        self._log = log
        self._name = " ".join(argv)
        with log.open("wb") as errors:
            self._began = time.monotonic()
            self._process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors
            )
        self.pid = self._process.pid
        self.cost: Cost | None = None

    def signal(self, number: int) -> None:
        """Send a signal unless the child was already waited for."""
        if self.cost is None:
            os.kill(self.pid, number)

    def wait(self, limit_s: float, *, may_fail: bool = False) -> Cost:
        """Wait for the end. Raises ToolError when it failed, or was killed after limit_s."""
        killed = threading.Event()

        def kill() -> None:
            killed.set()
            self.signal(signal.SIGKILL)

        timer = threading.Timer(limit_s, kill)
        timer.start()
        try:
            _, status, usage = os.wait4(self.pid, 0)
        finally:
            timer.cancel()
        wall_s = time.monotonic() - self._began
        self.cost = Cost(wall_s, usage.ru_utime + usage.ru_stime)
        # Popen must not wait for a pid that is gone.
        self._process.returncode = code = os.waitstatus_to_exitcode(status)
        if killed.is_set():
            raise ToolError(f"killed after {limit_s:g} s: {self._name}")
        if code and not may_fail:
            raise ToolError(f"exit status {code}: {self._name}: {self.messages()}")
        return self.cost

    def running(self) -> bool:
        """Say whether it still runs; it is waited for by wait()."""
        if self.cost is not None:
            return False
        ended = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
        return ended is None

    def messages(self) -> str:
        """Return the end of what the child printed, on one line."""
        return " ".join(self._log.read_text(errors="replace").split())[-_STDERR_BYTES:]

    def printed(self) -> str:
        """Return everything the child printed."""
        return self._log.read_text(errors="replace")

    def end(self) -> None:
        """Kill the child by its pid, if it still runs, and reap it."""
        if self.cost is None:
            self.signal(signal.SIGKILL)
            with contextlib.suppress(ToolError, ChildProcessError):
                self.wait(10, may_fail=True)


@contextlib.contextmanager
def started(argv: Sequence[str], log: Path) -> Iterator[Child]:
    """Start a tool; whatever happens in the block, it does not outlive it."""
    child = Child(argv, log)
    try:
        yield child
    finally:
        child.end()


def run(argv: Sequence[str], log: Path, limit_s: float = 120) -> Cost:
    """Run a tool to its end. Raises ToolError when it fails or takes longer than limit_s."""
    with started(argv, log) as child:
        return child.wait(limit_s)


def peak_bytes(argv: Sequence[str], log: Path, limit_s: float = 120) -> int:
    """Run a tool to its end; return the most memory it and its children held, in bytes.

    What the kernel keeps for a process itself (ru_maxrss) would be this benchmark's own peak
    where that was higher, as a child begins as its parent's copy.
    """
    peak = 0
    over = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not over.wait(_SAMPLED_S):
            now = sum(_status_bytes(pid, "VmRSS") for pid in _family(child.pid))
            peak = max(peak, now, _status_bytes(child.pid, "VmHWM"))

    with started(argv, log) as child:
        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            child.wait(limit_s)
        finally:
            over.set()
            watcher.join()
    return peak


def _family(pid: int) -> list[int]:
    """Return a process and all below it."""
    found = [pid]
    for one in found:
        with contextlib.suppress(OSError):
            found += map(int, Path(f"/proc/{one}/task/{one}/children").read_text().split())
    return found


def _status_bytes(pid: int, name: str) -> int:
    """Return a size from a process's status; 0 where it has ended, or not begun."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        argv = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return 0
    if argv == Path("/proc/self/cmdline").read_bytes():
        return 0  # it still is our copy
    for line in status.splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return 0


def check(argv: Sequence[str], limit_s: float = 60) -> str:
    """Run a command of the lab that must succeed; return what it printed."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=limit_s, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolError(str(error)) from error
    if done.returncode:
        raise ToolError(f"exit status {done.returncode}: {' '.join(argv)}: {done.stderr.strip()}")
    return done.stdout


class Ballast:
    """Memory that was touched just before a run and is given back for the tool to use.

    A virtual machine may hand free pages back to its host, and the first touch afterwards costs
    several times what the tool itself does (on such a machine `cp` of 1.1 GB took 0.4 s or 1.7 s).
    The ballast is released at once, or step by step ahead of a slow writer, because pages that
    stay free for a second are handed back again.
    """

    def __init__(self, size_bytes: int) -> None:
        self._chunks = [self._touched() for _ in range(-(-size_bytes // _CHUNK_BYTES))]
        self._all = len(self._chunks)

    @staticmethod
    def _touched() -> mmap.mmap:
        chunk = mmap.mmap(-1, _CHUNK_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        try:
            chunk.madvise(MADV_NOHUGEPAGE)
            chunk.madvise(MADV_POPULATE_WRITE)
        except OSError:  # a kernel before 5.14
            for page in range(0, _CHUNK_BYTES, mmap.PAGESIZE):
                chunk[page] = 1
        return chunk

    def release(self, total_bytes: int | None = None) -> None:
        """Give back all, or so much that total_bytes were given back altogether."""
        left = 0 if total_bytes is None else self._all - -(-total_bytes // _CHUNK_BYTES)
        while len(self._chunks) > max(0, left):
            self._chunks.pop().close()

    @contextlib.contextmanager
    def ahead_of(self, written: Callable[[], int], lead_bytes: int) -> Iterator[None]:
        """While the block runs, stay lead_bytes ahead of a writer; release the rest at its end."""
        stop = threading.Event()

        def follow() -> None:
            while not stop.wait(0.05):
                self.release(written() + lead_bytes)

        self.release(lead_bytes)
        follower = threading.Thread(target=follow)
        follower.start()
        try:
            yield
        finally:
            stop.set()
            follower.join()
            self.release()


def taken_back_kib() -> int:
    """Return how much memory the hypervisor took back so far; 0 where the kernel does not say."""
    try:
        with open(_TAKEN_BACK) as counter:
            return int(counter.read())
    except (OSError, ValueError):
        return 0


def undisturbed(once: Callable[[], Cost]) -> Cost:
    """Measure, at most twice, until the hypervisor took no memory meanwhile.

    A run that takes seconds is never without it, and is kept as it is.
    """
    for _ in range(_RETRIES):
        before = taken_back_kib()
        cost = once()
        if taken_back_kib() - before < _DISTURBED_KIB or cost.wall_s > _LONG_S:
            return cost
    return once()


def interleaved(
    subjects: Sequence[Subject], rounds: int, once: Callable[[Subject], Sample]
) -> tuple[dict[Subject, list[Sample]], dict[Subject, str]]:
    """Measure every subject once a round; each round begins with another one.

    Interleaving spreads what the machine does meanwhile over all tools. Returns the samples, and
    the reason for every subject that failed; a failed one is not tried again.
    """
    samples: dict[Subject, list[Sample]] = {subject: [] for subject in subjects}
    failures: dict[Subject, str] = {}
    for number in range(rounds):
        first = number % len(subjects) if subjects else 0
        for subject in [*subjects[first:], *subjects[:first]]:
            if subject in failures:
                continue
            try:
                samples[subject].append(once(subject))
            except ToolError as error:
                failures[subject] = str(error)
    return samples, failures
