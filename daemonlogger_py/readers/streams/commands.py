"""Commands run for files that are complete (-S tcp_cmd, http_cmd), and descriptors told of them.

No shell is involved: a command is its words, the file's path is added as the last one.
"""

import os
import subprocess
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from signal import SIGKILL, SIGTERM, Signals
from time import monotonic

from daemonlogger_py.readers.inputs.stopping import Stopping
from daemonlogger_py.readers.stalls import StalledError, Taker

AT_ONCE = 10  # as tcpflow
MOST_WAITING = 1000  # files; beyond, `run` waits for a command to end
END_S = 60.0  # that commands have to end once the run is to stop
GRACE_S = 5.0  # between being told to end and being killed

_POLL_S = 0.02

Tell = Callable[[str], None]


class Patience:
    """How long commands are waited for: until `stopping`, then for `limit_s` more."""

    def __init__(self, stopping: Callable[[], bool], limit_s: float = END_S) -> None:
        self._stopping = stopping
        self._limit_s = limit_s
        self._deadline: float | None = None

    def is_over(self) -> bool:
        """Whether there is no time left; to be asked often, as it tells when the stop was seen."""
        if self._deadline is None and self._stopping():
            self._deadline = monotonic() + self._limit_s
        return self._deadline is not None and monotonic() >= self._deadline


class Commands:
    """Runs a command for each of many files, up to ten at once, as files come.

    Each is in a session of its own: what ends us on a terminal does not end it. Its standard input
    is empty; its output is ours. `tell` is given a line for each that cannot be started or fails.
    """

    def __init__(
        self,
        words: Sequence[str],
        tell: Tell,
        *,
        at_once: int = AT_ONCE,
        most_waiting: int = MOST_WAITING,
    ) -> None:
        self.done = 0
        self.failed = 0  # of those done: with another status than 0, or never started
        self._words = tuple(words)
        self._tell = tell
        self._at_once = at_once
        self._most_waiting = most_waiting
        self._waiting: deque[str] = deque()
        self._running: dict[int, tuple[subprocess.Popen[bytes], str]] = {}

    def run(self, path: str, stopping: Callable[[], bool] = bool) -> None:
        """Run the command for a file, now or later.

        Waits while too many files do, unless `stopping` says that there is no time for that.
        """
        self._waiting.append(path)
        self.look_after()
        while len(self._waiting) > self._most_waiting and not stopping():
            self._wait(_POLL_S)

    def look_after(self) -> None:
        """Take note of commands that ended, and start those that wait. Never waits."""
        for pid in [pid for pid, (process, _) in self._running.items() if _over(process)]:
            self._end(*self._running.pop(pid))
        while self._waiting and len(self._running) < self._at_once:
            self._start(self._waiting.popleft())

    def finish(self, out_of_time: Callable[[], bool] = bool, grace_s: float = GRACE_S) -> None:
        """Run what waits and wait for all to end; once `out_of_time`, make them end instead."""
        while (self._waiting or self._running) and not out_of_time():
            self._wait(_POLL_S)
        if self._waiting:
            self._tell(f"{self._words[0]}: not run for {len(self._waiting)} files: no time is left")
            self.failed += len(self._waiting)
            self.done += len(self._waiting)
            self._waiting.clear()
        for number, wait_s in ((SIGTERM, grace_s), (SIGKILL, grace_s)):
            for process, _ in self._running.values():
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, number)
            deadline = monotonic() + wait_s
            while self._running and monotonic() < deadline:
                self._wait(_POLL_S)

    def _wait(self, timeout_s: float) -> None:
        if self._running:
            process, _ = next(iter(self._running.values()))
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout_s)
        self.look_after()

    def _start(self, path: str) -> None:
        nothing, other_end = os.pipe()  # another root directory may have no /dev/null
        os.close(other_end)
        try:
            process = subprocess.Popen((*self._words, path), stdin=nothing, start_new_session=True)
        except (OSError, ValueError) as error:
            self.done += 1
            self.failed += 1
            self._tell(f"{self._words[0]}: cannot be run for {path}: {error}")
            return
        finally:
            os.close(nothing)
        self._running[process.pid] = (process, path)

    def _end(self, process: subprocess.Popen[bytes], path: str) -> None:
        self.done += 1
        status = process.returncode
        if status:
            self.failed += 1
            self._tell(f"{self._words[0]} {path}: {_status(status)}")


class Alerts:
    """Tells a descriptor, which stays its owner's, that files were opened and closed.

    A line each: open or close, a tab, the path. Once it cannot be written to, or its reader holds
    that up when `stopping` is requested, that is told and nothing more is written.
    """

    def __init__(self, fd: int, tell: Tell, stopping: Stopping) -> None:
        self._fd = fd
        self._tell = tell
        self._taker = Taker(fd, f"descriptor {fd}", stopping)

    def opened(self, path: str) -> None:
        """A file was created."""
        self._write("open", path)

    def closed(self, path: str) -> None:
        """A file is complete."""
        self._write("close", path)

    def close(self) -> None:
        """Tell of nothing more; may be called twice."""
        self._taker.close()
        self._fd = -1

    def _write(self, event: str, path: str) -> None:
        if self._fd < 0:
            return
        try:
            self._taker.write(os.fsencode(f"{event}\t{path}\n"))
        except OSError as error:
            self._give_up(error.strerror or str(error))
        except StalledError:
            self._give_up("whoever reads it holds it up")

    def _give_up(self, why: str) -> None:
        self._tell(f"descriptor {self._fd} is told of no more files: {why}")
        self.close()


def _over(process: subprocess.Popen[bytes]) -> bool:
    return process.poll() is not None


def _status(status: int) -> str:
    if status > 0:
        return f"ended with status {status}"
    with suppress(ValueError):
        return f"was ended by {Signals(-status).name}"
    return f"was ended by signal {-status}"
