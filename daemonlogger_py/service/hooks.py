"""Hooks (``--on-roll``): the recorder's end of the process that runs a command for each savefile.

A savefile that was sealed costs whoever sealed it one queue entry. A thread passes the entries on
and takes the reports; the commands run in a process of their own (`hook_runner`), so that neither
their number, their time nor their failure is felt by the recording.

When to call: `start` before there is any thread, before privileges are dropped and the process
detaches; `watch` after all that; `close` at the end, whichever of them were called.
"""

import os
import select
import socket
import sys
import threading
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple, Protocol

from daemonlogger_py.errors import UsageError
from daemonlogger_py.service.sealed import Sealed, environment

# Only a recorder that has hooks needs these, and it imports them in `start`: after a chroot the
# files they are in may be out of reach.
if TYPE_CHECKING:
    import subprocess

    from daemonlogger_py.service.privileges import Identity

# Savefiles whose hook has not ended; those beyond are skipped, and counted.
LIMIT = 1000
AT_ONCE = 4
# A hook and what it started are told to end after this, and killed after another GRACE_S.
LIMIT_S = 300.0
GRACE_S = 5.0
CLOSE_S = 30.0
# For what takes no time but on a machine that has none: a start, a kill, a last report.
SLACK_S = 10.0
SAY_SKIPPED_S = 10.0
_MESSAGE_BYTES = 1 << 17  # far beyond any path and any report
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "TZ", "HOME")
# -I and -S: nothing from the current directory, PYTHON* variables or site-packages takes part. The
# package is found where this one was, which is then not searched for anything else.
_ARGUMENTS = (
    "-I",
    "-S",
    "-c",
    (
        "import sys; sys.path.insert(0, sys.argv[1]); import daemonlogger_py; del sys.path[0]; "
        "from daemonlogger_py.service.hook_runner import main; main(int(sys.argv[2]))"
    ),
    os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))),
)


class Tell(Protocol):
    """Says what happened: a short event name, the line a person reads, the facts in it."""

    def __call__(self, event: str, text: str, /, **facts: object) -> None:
        """Say it."""


class HookCounts(NamedTuple):
    """What became of the hooks so far; the rest is running or waits."""

    done: int
    failed: int
    skipped: int


class HookRunner:
    """Runs `command`, split as a shell would split it but never run by one, for sealed savefiles.

    It runs as `identity` inside `chroot`. Each savefile's hook has `limit_s`, then `grace_s` after
    the signal to end; `at_once` run together, `limit` savefiles wait. Raises UsageError for a
    command that cannot be split.
    """

    def __init__(
        self,
        command: str,
        identity: "Identity | None" = None,
        chroot: str | None = None,
        *,
        limit: int = LIMIT,
        at_once: int = AT_ONCE,
        limit_s: float = LIMIT_S,
        grace_s: float = GRACE_S,
    ) -> None:
        self._words = _split(command, chroot)
        self._identity = identity
        self._chroot = chroot
        self._limit = limit
        self._at_once = at_once
        self._limit_s = limit_s
        self._grace_s = grace_s
        self._process: subprocess.Popen[bytes] | None = None
        self._link: socket.socket | None = None
        self._wake_fd = -1
        self._changed = threading.Lock()
        self._queue: deque[Sealed] = deque()
        self._unfinished = 0  # in the queue, on their way or running
        self._done = 0
        self._failed = 0
        self._skipped = 0
        self._said_skipped = 0
        self._said_skipped_at = float("-inf")
        self._gone = False
        self._end_at: float | None = None
        self._thread: threading.Thread | None = None

    @property
    def pid(self) -> int | None:
        """Process ID of the process that runs the hooks, once it was started."""
        return None if self._process is None else self._process.pid

    @property
    def counts(self) -> HookCounts:
        """How many hooks ended well, how many did not, how many were never run."""
        with self._changed:
            return HookCounts(self._done, self._failed, self._skipped)

    @property
    def unfinished(self) -> int:
        """How many savefiles' hooks run or wait."""
        return self._unfinished

    def start(self) -> None:
        """Start the process and have it drop privileges and look for the command.

        Raises UsageError if it cannot, or if the command cannot be executed by the user it will
        run as.
        """
        import json  # noqa: F401
        import subprocess

        link, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._link = link
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        refused = None
        with theirs:
            try:
                self._process = subprocess.Popen(
                    [sys.executable, *_ARGUMENTS, str(theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,  # Ctrl-C is for the recorder alone
                )
            except OSError as error:
                refused = f"{sys.executable}: {error.strerror}"
        refused = refused or self._agree(link)
        if refused is not None:
            self.close()
            raise UsageError(f"--on-roll: {refused}")
        link.settimeout(0)

    def watch(self, tell: Tell) -> None:
        """Start the thread that passes savefiles on and tells what the hooks report.

        Raises RuntimeError before `start()`, and when no thread is to be had.
        """
        if self._link is None:
            raise RuntimeError("watch() before start()")
        thread = threading.Thread(
            target=self._work, args=(self._link, tell), name="hooks", daemon=True
        )
        thread.start()
        self._thread = thread

    def sealed(self, savefile: Sealed) -> None:
        """Have the hook run for `savefile`; never waits. On any thread."""
        with self._changed:
            if self._gone or self._end_at is not None or self._unfinished >= self._limit:
                self._skipped += 1
            else:
                self._unfinished += 1
                self._queue.append(savefile)
        self._wake()

    def close(self, timeout_s: float = CLOSE_S) -> bool:
        """Wait for what runs and waits, at most `timeout_s`; return whether all of it ended.

        What has not ended then is told to, killed after the grace period, and gone when this
        returns: hooks, what they left behind, and the process that ran them. May be called twice.
        """
        with self._changed:
            if self._end_at is None:
                self._end_at = time.monotonic() + timeout_s
        if self._thread is not None:
            self._wake()
            self._thread.join(timeout_s + self._grace_s + SLACK_S)
            if self._thread.is_alive():  # the runner hangs; its guards end when it is gone
                self._kill()
                self._thread.join(SLACK_S)
        elif self._link is not None:
            self._hang_up(self._link)
            self._await_end(self._link)
        self._let_go()
        return self._unfinished == 0

    # Starting

    def _agree(self, link: socket.socket) -> str | None:
        """Tell the runner what to do; return why it will not, None if it is ready."""
        import json

        setup = {
            "command": self._words,
            "environment": _environment(self._identity),
            "identity": self._identity,
            "chroot": self._chroot,
            "at_once": self._at_once,
            "limit_s": self._limit_s,
            "grace_s": self._grace_s,
        }
        link.settimeout(SLACK_S)
        try:
            link.send(json.dumps(setup).encode())
            answer = link.recv(_MESSAGE_BYTES)
            if not answer:
                return "the process that runs hooks ended at once"
            refused = json.loads(answer)["refused"]
        except TimeoutError:
            return f"the process that runs hooks does not answer within {SLACK_S:g} s"
        except OSError as error:
            return f"the process that runs hooks: {error.strerror}"
        return None if refused is None else str(refused)

    # The thread

    def _work(self, link: socket.socket, tell: Tell) -> None:
        hung_up = False
        waiter = select.poll()
        waiter.register(self._wake_fd, select.POLLIN)
        while True:
            writable = select.POLLOUT if self._queue and not hung_up else 0
            waiter.register(link, select.POLLIN | writable)
            waiter.poll(self._wait_ms(hung_up=hung_up))
            with suppress(BlockingIOError):
                os.eventfd_read(self._wake_fd)
            if not self._receive(link, tell):
                break
            if not hung_up:
                self._send(link)
                hung_up = self._is_over()
                if hung_up:
                    self._hang_up(link)
            self._say_skipped(tell)
        self._ended(tell, expected=hung_up)

    def _wait_ms(self, *, hung_up: bool) -> float | None:
        until = float("inf")
        if self._end_at is not None and not hung_up:
            until = self._end_at
        if self._skipped > self._said_skipped:
            until = min(until, self._said_skipped_at + SAY_SKIPPED_S)
        if until == float("inf"):
            return None
        return max(0.0, until - time.monotonic()) * 1000 + 1

    def _is_over(self) -> bool:
        with self._changed:
            return self._end_at is not None and (
                self._unfinished == 0 or time.monotonic() >= self._end_at
            )

    def _send(self, link: socket.socket) -> None:
        import json

        while self._queue:
            order = {"file": self._queue[0].path, "facts": environment(self._queue[0])}
            try:
                link.send(json.dumps(order).encode())
            except OSError:  # no room now, or the runner has gone, which reading tells
                return
            self._queue.popleft()

    def _receive(self, link: socket.socket, tell: Tell) -> bool:
        """Take all reports there are; return False once no more can come."""
        while True:
            try:
                report = link.recv(_MESSAGE_BYTES)
            except BlockingIOError:
                return True
            except ConnectionResetError:
                continue  # it ended without taking all; its reports are there all the same
            except OSError:
                return False
            if not report:
                return False
            self._report(report, tell)

    def _report(self, report: bytes, tell: Tell) -> None:
        import json

        facts = json.loads(report)
        path, failure = str(facts["file"]), facts["failure"]
        with self._changed:
            self._unfinished -= 1
            self._done += failure is None
            self._failed += failure is not None
        if failure is not None:
            text = f"[!] --on-roll: {_one_line(path)}: {_one_line(str(failure))}"
            tell("hook_failed", text, path=path, failure=str(failure))

    def _say_skipped(self, tell: Tell, *, last: bool = False) -> None:
        now = time.monotonic()
        with self._changed:
            new = self._skipped - self._said_skipped
            if not new or (not last and now < self._said_skipped_at + SAY_SKIPPED_S):
                return
            self._said_skipped = self._skipped
            self._said_skipped_at = now
        text = f"[!] --on-roll: not run for {new} savefiles ({self._said_skipped} in all)"
        tell("hooks_skipped", text, new=new, total=self._said_skipped)

    def _ended(self, tell: Tell, *, expected: bool) -> None:
        """No report comes any more, as the runner and all guards are gone."""
        with self._changed:
            self._gone = True
            self._skipped += self._unfinished
        status = self._wait()
        if not expected:
            how = "ended" if status is None or status >= 0 else f"was killed by signal {-status}"
            text = f"[!] --on-roll: the process that runs hooks {how}; recording goes on without"
            tell("hooks_gone", text, pid=self.pid)
        self._say_skipped(tell, last=True)

    # Ending

    def _hang_up(self, link: socket.socket) -> None:
        """Tell the runner that this is the end; it ends what runs, and itself."""
        with suppress(OSError):
            link.shutdown(socket.SHUT_WR)

    def _await_end(self, link: socket.socket) -> None:
        """Wait until the runner has closed its end, which is the last thing it does."""
        link.settimeout(self._grace_s + SLACK_S)
        try:
            while link.recv(_MESSAGE_BYTES):
                pass
        except TimeoutError:
            self._kill()
        except OSError:
            pass
        self._wait()

    def _kill(self) -> None:
        if self.pid is not None:
            with suppress(OSError):
                os.kill(self.pid, 9)

    def _wait(self) -> int | None:
        """Leave no zombie; return its exit status, None where it is not to be had."""
        import subprocess

        if self._process is None:
            return None
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(SLACK_S)
        return None

    def _let_go(self) -> None:
        if self._thread is not None and self._thread.is_alive():
            return  # it still uses them
        if self._link is not None:
            self._link.close()
            self._link = None
        with self._changed:
            if self._wake_fd >= 0:
                os.close(self._wake_fd)
            self._wake_fd = -1

    def _wake(self) -> None:
        with self._changed:
            if self._wake_fd >= 0:
                with suppress(BlockingIOError):
                    os.eventfd_write(self._wake_fd, 1)


def _split(command: str, chroot: str | None) -> list[str]:
    import shlex

    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UsageError(f"--on-roll {command!r}: {error}") from None
    if not words or not words[0]:
        raise UsageError(f"--on-roll {command!r}: no command; accepted: a command and arguments")
    if "/" in words[0]:
        # Hooks run in the root directory, as a recorder that detached does.
        words[0] = os.path.join(os.getcwd() if chroot is None else "/", words[0])
    return words


def _environment(identity: "Identity | None") -> dict[str, str]:
    """What a hook gets besides the facts of its savefile: nothing that is the recorder's own."""
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    environment.setdefault("PATH", os.defpath)
    if identity is not None:
        environment["HOME"] = _home(identity.uid)
    return environment


def _home(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_dir
    except KeyError:
        return "/"


def _one_line(text: str) -> str:
    """A path or a hook's words in a message: other control characters are escaped there."""
    return text.replace("\n", "\\n")
