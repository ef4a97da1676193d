"""One hook, from its start to the end of everything it started: a process of its own for that.

Whatever a hook leaves in the background becomes the guard's child, wherever it hid: no session,
group or second fork leads out. So a hook is over when all of it is over, its time is the time of
all of it, and when its time is up the guard ends all of it. Which hooks run, and when, is the
runner's (`hook_runner`), which forks the guards.

No descriptor leads from a hook back here but its standard error, whose last line is kept for the
report. If the guard is killed, so is the hook; what that leaves becomes the runner's.
"""

import ctypes
import errno
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

# What SIGKILL needs on a busy machine; who is not gone then is in the kernel's hands.
KILL_S = 2.0
_KILL_AGAIN_S = 0.02
NICENESS = 5
# Of a hook's standard error, to find the last line in and to tell of it.
_TAIL_BYTES = 1024
_TOLD_CHARACTERS = 200
_READ_BYTES = 1 << 16
# linux/prctl.h
_SET_PDEATHSIG = 1
_SET_CHILD_SUBREAPER = 36
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_libc = ctypes.CDLL(None, use_errno=True)


class Hook(NamedTuple):
    """What to run, and how long it may: `limit_s`, then `grace_s` after the signal to end."""

    command: Sequence[str]
    environment: Mapping[str, str]
    limit_s: float
    grace_s: float


class Guard:
    """Guards one hook in this process, which has to be a fresh fork with one thread.

    `lifeline` reports its end of stream when the hook is to be ended; `proc_fd` is the directory
    /proc and `null_fd` /dev/null, which a chroot may not have.
    """

    def __init__(self, hook: Hook, lifeline: socket.socket, proc_fd: int, null_fd: int) -> None:
        self._hook = hook
        self._proc_fd = proc_fd
        self._null_fd = null_fd
        self._lifeline_fd = lifeline.fileno()
        self._abandoned = False
        self._pid = -1
        self._status: int | None = None
        self._tail = b""
        self._stderr_fd = -1
        self._wake_fd = -1
        self._waiter = select.poll()

    def run(self) -> str | None:
        """Run the hook and end all of it; return what went wrong, None if nothing did."""
        _step_back()
        become_reaper()
        self._notice_ends()
        try:
            self._start()
        except OSError as error:
            hint = ": a script begins with #! and its interpreter"
            hint = hint if error.errno == errno.ENOEXEC else ""
            return f"cannot be started: {error.strerror}{hint}"
        except subprocess.SubprocessError as error:  # what is done before it is executed failed
            return f"cannot be started: {error}"
        if self._outlive(time.monotonic() + self._hook.limit_s, stop=True):
            verdict = self._how_it_ended()
        else:
            verdict = self._why_it_is_ended()
            self._end()
        if verdict is None:
            return None
        words = self._last_words()
        return f"{verdict}: {words}" if words else verdict

    def _start(self) -> None:
        guard = os.getpid()
        process = subprocess.Popen(
            self._hook.command,
            env=self._hook.environment,
            cwd="/",
            stdin=self._null_fd,
            stdout=self._null_fd,
            stderr=subprocess.PIPE,
            start_new_session=True,
            preexec_fn=lambda: _before_exec(guard),
        )
        self._pid = process.pid
        if process.stderr is not None:
            self._stderr_fd = process.stderr.fileno()
            os.set_blocking(self._stderr_fd, False)
            self._waiter.register(self._stderr_fd, select.POLLIN)
        self._process = process  # or its pipe would be closed

    # Waiting

    def _notice_ends(self) -> None:
        """Have the end of any child end a wait."""
        self._wake_fd, write_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(write_fd, warn_on_full_buffer=False)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGCHLD,))
        self._waiter.register(self._wake_fd, select.POLLIN)
        self._waiter.register(self._lifeline_fd, select.POLLRDHUP)

    def _outlive(self, until: float, *, stop: bool) -> bool:
        """Wait for the hook and all it left; return whether they were gone by `until`.

        With `stop`, no longer than the lifeline holds.
        """
        while self._reap():
            if time.monotonic() >= until or (stop and self._abandoned):
                return False
            self._turn(until)
        return True

    def _reap(self) -> bool:
        """Take in who has ended; return whether anybody is left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid == self._pid:
                self._status = status

    def _turn(self, until: float) -> None:
        ahead_ms = max(0.0, until - time.monotonic()) * 1000 + 1
        for fd, _ in self._waiter.poll(ahead_ms):
            if fd == self._wake_fd:
                with suppress(BlockingIOError):
                    os.read(fd, _READ_BYTES)
            elif fd == self._lifeline_fd:
                self._abandoned = True
                self._waiter.unregister(fd)
            elif not self._read_stderr():
                self._waiter.unregister(fd)

    def _read_stderr(self) -> bool:
        try:
            read = os.read(self._stderr_fd, _READ_BYTES)
        except BlockingIOError:
            return True
        self._tail = (self._tail + read)[-_TAIL_BYTES:]
        return bool(read)

    # Ending

    def _end(self) -> None:
        for pid in self._everybody():
            _signal(pid, signal.SIGTERM)
        if self._outlive(time.monotonic() + self._hook.grace_s, stop=False):
            return
        until = time.monotonic() + KILL_S
        while self._reap() and time.monotonic() < until:
            for pid in self._everybody():  # again: who was just being forked is not in it
                _signal(pid, signal.SIGKILL)
            self._turn(time.monotonic() + _KILL_AGAIN_S)

    def _everybody(self) -> list[int]:
        return descendants(self._proc_fd, os.getpid())

    def _how_it_ended(self) -> str | None:
        if not self._status:
            return None
        code = os.waitstatus_to_exitcode(self._status)
        return f"exit status {code}" if code > 0 else f"killed by {_signal_name(-code)}"

    def _why_it_is_ended(self) -> str:
        if self._abandoned:
            return "ended with the recorder"
        ended = f"ended after {self._hook.limit_s:g} s"
        if self._status is None:
            return ended
        how = self._how_it_ended()
        return f"{f'{how}, ' if how else ''}what it left behind was {ended}"

    def _last_words(self) -> str:
        if self._stderr_fd >= 0:
            self._read_stderr()  # what it said right before its end
        lines = self._tail.decode(errors="replace").split("\n")
        said = [line.strip() for line in lines if line.strip()]
        return said[-1][:_TOLD_CHARACTERS] if said else ""


def _step_back() -> None:
    """Let this process, and the hook, run after the recorder."""
    if os.sched_getscheduler(0) in (os.SCHED_FIFO, os.SCHED_RR):  # as the recorder may have
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    os.nice(NICENESS)


def become_reaper() -> None:
    """Have orphans among this process's descendants become its children."""
    _prctl(_SET_CHILD_SUBREAPER, 1)


def descendants(proc_fd: int, ancestor: int) -> list[int]:
    """List the PIDs of all children of `ancestor`, of their children, and so on.

    `proc_fd` is the directory /proc. Not every kernel lists the children of a process there.
    """
    children: dict[int, list[int]] = {}
    for pid, parent in _parents(proc_fd):
        children.setdefault(parent, []).append(pid)
    found = list(children.get(ancestor, ()))
    for pid in found:  # grows while it is walked
        found += children.get(pid, ())
    return found


def _parents(proc_fd: int) -> Iterator[tuple[int, int]]:
    # Opened anew: where reading has come to is shared by all who have it from the runner.
    directory_fd = os.open(".", _DIRECTORY, dir_fd=proc_fd)
    try:
        names = os.listdir(directory_fd)
    finally:
        os.close(directory_fd)
    for name in names:
        if name.isdigit():
            with suppress(OSError):  # ended meanwhile
                # "PID (name) state PPID ...", where the name may hold anything (proc(5)).
                stat = _read(f"{name}/stat", proc_fd)
                yield int(name), int(stat.rpartition(b")")[2].split()[1])


def _read(name: str, dir_fd: int) -> bytes:
    fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=dir_fd)
    try:
        return os.read(fd, _READ_BYTES)
    finally:
        os.close(fd)


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(OSError):  # ended meanwhile, or a set-user-id program's
        os.kill(pid, number)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"


def _before_exec(guard: int) -> None:
    """In the hook's process, right before it becomes the command."""
    _prctl(_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != guard:
        os._exit(1)  # the guard was killed before that counted
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _prctl(option: int, value: int) -> None:
    numbers = map(ctypes.c_ulong, (value, 0, 0, 0))
    if _libc.prctl(option, *numbers) < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
