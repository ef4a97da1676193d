"""The process that runs hooks: started by `hooks` before the recorder gives its privileges up.

It gives up the same ones the same way, but stays out of the recorder's sandbox, in which nothing
can be executed. It begins with nothing of the recorder's memory, packets among it, and with no
descriptor but its end of a socket pair, of which each message is one JSON object:

    recorder -> runner   the setup, once; then {"file", "facts"} for each savefile
    runner -> recorder   {"refused": why | null}, once; then {"file", "failure": why | null}

It takes a savefile only when it can run the hook at once, so the queue is the recorder's. It lives
as long as the recorder's end of the socket is open, whoever closes it: then it ends what runs, and
itself. Signals that are meant for the recorder, as a terminal or a service manager sends them to
everybody, are none of its business. What a single hook does is guarded by `hook_guard`.
"""

import json
import os
import select
import signal
import socket
import time
from collections import deque
from contextlib import suppress
from typing import Any, NamedTuple, NoReturn

from daemonlogger_py.errors import DaemonloggerError
from daemonlogger_py.service.hook_guard import KILL_S, Guard, Hook, become_reaper, descendants
from daemonlogger_py.service.privileges import Identity, drop
from daemonlogger_py.service.sealed import NAMES

_MESSAGE_BYTES = 1 << 17
_POLL_S = 0.02
# Added to the umask: what a hook makes of a recording is for those who may read the recording.
_UMASK = 0o027


class Setup(NamedTuple):
    """How hooks are run; names and units as `hooks.HookRunner`'s."""

    command: list[str]
    environment: dict[str, str]
    identity: Identity | None
    chroot: str | None
    at_once: int
    limit_s: float
    grace_s: float


class _Running(NamedTuple):
    pid: int
    file: str
    lifeline: socket.socket


class Runner:
    """Runs hooks as `setup` says for savefiles that the recorder names on `link`.

    `proc_fd` is the directory /proc and `null_fd` /dev/null, which a chroot may not have.
    """

    def __init__(self, link: socket.socket, setup: Setup, proc_fd: int, null_fd: int) -> None:
        self._link = link
        self._setup = setup
        self._proc_fd = proc_fd
        self._null_fd = null_fd
        self._running: dict[int, _Running] = {}  # by the descriptor of the lifeline
        self._reports: deque[bytes] = deque()
        self._ending = False
        self._unheard = False

    def run(self) -> None:
        """Run hooks until the recorder closes its end, then end what runs."""
        while not self._ending:
            self._turn()
        for running in self._running.values():
            running.lifeline.shutdown(socket.SHUT_WR)
        while self._running:
            self._turn()
        self._end_strays()
        self._send_reports()

    def _turn(self) -> None:
        waiter = select.poll()
        if not self._unheard:
            waiter.register(self._link, self._wanted())
        for fd in self._running:
            waiter.register(fd, select.POLLIN)
        for fd, events in waiter.poll():
            if fd in self._running:
                self._ended(self._running.pop(fd))
                continue
            self._unheard |= bool(events & (select.POLLHUP | select.POLLERR))
            if self._unheard or events & select.POLLRDHUP:
                self._ending = True
            elif events & select.POLLIN:
                self._take()
            if events & select.POLLOUT:
                self._send_reports()

    def _wanted(self) -> int:
        """Which events on the link there is a use for right now."""
        wanted = 0 if self._ending else select.POLLRDHUP
        if self._reports:
            return wanted | select.POLLOUT  # one thing after the other: reports are bounded so
        if len(self._running) < self._setup.at_once and not self._ending:
            wanted |= select.POLLIN
        return wanted

    def _take(self) -> None:
        with suppress(BlockingIOError):
            message = self._link.recv(_MESSAGE_BYTES)
            if message:
                order = json.loads(message)
                # The recorder is confined, and hooks are not: it must not choose what they load.
                facts = {name: str(order["facts"][name]) for name in NAMES & {*order["facts"]}}
                self._start(str(order["file"]), facts)

    def _start(self, file: str, facts: dict[str, str]) -> None:
        setup = self._setup
        hook = Hook(setup.command, setup.environment | facts, setup.limit_s, setup.grace_s)
        try:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                pid = os.fork()
                if pid == 0:
                    self._guard(hook, ours, theirs)
        except OSError as error:  # no process or descriptor to be had
            self._report(file, f"cannot be started: {error.strerror}")
            return
        self._running[ours.fileno()] = _Running(pid, file, ours)

    def _guard(self, hook: Hook, ours: socket.socket, theirs: socket.socket) -> NoReturn:
        """In the guard's process: hold nothing open by which others know that the runner lives.

        The link stays: so its end tells the recorder that all guards are gone, too.
        """
        try:
            ours.close()
            for running in self._running.values():
                running.lifeline.close()
            failure = Guard(hook, theirs, self._proc_fd, self._null_fd).run()
            theirs.send(json.dumps({"failure": failure}).encode())
        finally:
            os._exit(0)

    def _ended(self, running: _Running) -> None:
        """A guard has reported and ends, or was killed and will never report."""
        with running.lifeline:
            report = b""
            with suppress(OSError):
                report = running.lifeline.recv(_MESSAGE_BYTES)
        os.waitpid(running.pid, 0)
        if report:
            self._report(running.file, json.loads(report)["failure"])
        else:
            self._end_strays()
            self._report(running.file, "killed with the process that guarded it")

    def _end_strays(self) -> None:
        """Kill what the guards that were killed had guarded: it is this process's child now."""
        until = time.monotonic() + KILL_S
        while strays := self._strays():
            for pid in strays:
                with suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
                with suppress(ChildProcessError):  # its parent's, which is to be killed first
                    os.waitpid(pid, os.WNOHANG)
            if time.monotonic() >= until:
                return
            time.sleep(_POLL_S)

    def _strays(self) -> set[int]:
        strays = {*descendants(self._proc_fd, os.getpid())}
        for running in self._running.values():
            strays -= {running.pid, *descendants(self._proc_fd, running.pid)}
        return strays

    def _report(self, file: str, failure: str | None) -> None:
        self._reports.append(json.dumps({"file": file, "failure": failure}).encode())

    def _send_reports(self) -> None:
        with suppress(OSError):  # later, unless nobody is there any more
            while self._reports:
                self._link.send(self._reports[0])
                self._reports.popleft()


def main(link_fd: int) -> None:
    """Be the runner for the recorder at the other end of the socket `link_fd`."""
    with socket.socket(fileno=link_fd) as link:
        link.set_inheritable(False)
        # For the guards: they wait for SIGCHLD, which must not be ignored as our parent may have.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        message = link.recv(_MESSAGE_BYTES)
        if not message:
            return  # it ended first
        received = json.loads(message)
        setup = Setup(**received | {"identity": _identity(received["identity"])})
        # By name there may be neither in a chroot.
        null_fd = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        proc_fd = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        refused = _prepare(setup)
        link.send(json.dumps({"refused": refused}).encode())
        if refused is None:
            # Until here a failure nobody thought of was seen where the recorder was started.
            os.dup2(null_fd, 2)
            link.settimeout(0)
            Runner(link, setup, proc_fd, null_fd).run()


def _identity(fields: list[Any] | None) -> Identity | None:
    if fields is None:
        return None
    uid, gid, groups, name = fields
    return Identity(uid, gid, tuple(groups), name)


def _prepare(setup: Setup) -> str | None:
    """Become who hooks run as, where they run; return why that is not possible."""
    try:
        drop(setup.identity, setup.chroot)
        os.chdir("/")
    except DaemonloggerError as error:
        return str(error)
    os.umask(os.umask(_UMASK) | _UMASK)
    become_reaper()
    return _why_not(setup.command[0], setup.environment["PATH"])


def _why_not(command: str, path: str) -> str | None:
    """Why `command` cannot be executed by who this process is, as far as that can be known."""
    if "/" in command:
        candidates = [command]
    else:
        candidates = [os.path.join(directory, command) for directory in path.split(os.pathsep)]
    found = [candidate for candidate in candidates if os.path.isfile(candidate)]
    if not found:
        return f"{command}: no such command"
    if not any(os.access(candidate, os.X_OK) for candidate in found):
        return f"{found[0]}: may not be executed by the user that hooks run as"
    return None
