"""The Python function of ``-e python``: given each closed stream's bytes, its text is reported.

It runs in a process of its own, forked from a worker: one that raises, dies, does not end or says
too much costs its result for that stream, and the next one gets a new process. What it prints goes
to standard error; standard input is empty.

The function takes one parameter, the bytes of the stream (tcpflow's man page says string: of bytes,
as its time had it), lost ones being NULs, and returns a str for the report, or None.
"""

import io
import os
import select
import signal
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from time import monotonic
from typing import Any

from daemonlogger_py.config.streams import Plugin
from daemonlogger_py.errors import StorageError, UsageError
from daemonlogger_py.readers.streams import forked
from daemonlogger_py.readers.streams.facts import PluginResult
from daemonlogger_py.readers.streams.outdir import OutDir

MOST_TEXT_BYTES = 1 << 20  # of one result, in UTF-8
MOST_STREAM_BYTES = 256 << 20  # it is given whole, as one bytes object

_NUMBER = struct.Struct("<I")
# An answer: what it is, how many bytes follow.
_ANSWER = struct.Struct("<BI")
_TEXT, _NOTHING, _CUT, _FAILED = range(4)
_GRACE_S = 5.0  # the alarm of a process whose parent is gone
_START_S = 60.0  # importing the module

Function = Callable[[bytes], object]


def check(plugin: Plugin) -> None:
    """Import the module and look the function up, in a process of its own.

    Raises UsageError if that fails.
    """
    host = _Process(plugin, None)
    try:
        problem = host.started()
    finally:
        host.kill()
    if problem:
        raise UsageError(f"-e python: {problem}")


class PluginHost:
    """Calls the function for streams below an output directory, in a process that may die."""

    def __init__(self, plugin: Plugin, outdir_fd: int) -> None:
        self._plugin = plugin
        self._outdir_fd = outdir_fd
        self._process: _Process | None = None

    def call(self, name: str) -> PluginResult:
        """Return what the function makes of the stream of that file."""
        if self._process is None:
            self._process = _Process(self._plugin, self._outdir_fd)
            if problem := self._process.started():
                self.close()
                return PluginResult(None, problem)
        result, alive = self._process.call(name)
        if not alive:
            self.close()
        return result

    def close(self) -> None:
        """End the process; may be called twice."""
        if self._process is not None:
            self._process.kill()
            self._process = None


class _Process:
    """One process, until something goes wrong with it."""

    def __init__(self, plugin: Plugin, outdir_fd: int | None) -> None:
        self._timeout_s = plugin.timeout_s
        theirs_in, self._to = os.pipe()
        self._from, theirs_out = os.pipe()
        try:
            self._pid = forked.fork()
        except OSError as error:
            for fd in (theirs_in, self._to, self._from, theirs_out):
                os.close(fd)
            why = f"no process can be started for the plug-in: {error.strerror}"
            raise StorageError(why) from error
        if not self._pid:
            _in_child(plugin, outdir_fd, theirs_in, theirs_out)
        os.close(theirs_in)
        os.close(theirs_out)

    def started(self) -> str:
        """Wait for the module to be imported; returns why it was not, or ""."""
        return self._answer(max(_START_S, self._timeout_s))[0].problem

    def call(self, name: str) -> tuple[PluginResult, bool]:
        """Return the result, and whether the process can be asked again."""
        encoded = os.fsencode(name)
        with suppress(BrokenPipeError):  # it has died; the answer says how
            os.write(self._to, _NUMBER.pack(len(encoded)) + encoded)
        return self._answer(self._timeout_s)

    def kill(self) -> int:
        """End it, whatever it does, and return its status."""
        if not self._pid:
            return 0
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        os.close(self._to)
        os.close(self._from)
        status = os.waitpid(self._pid, 0)[1]
        self._pid = 0
        return status

    def _answer(self, timeout_s: float) -> tuple[PluginResult, bool]:
        deadline = monotonic() + timeout_s
        head = self._read(_ANSWER.size, deadline)
        if head is None:
            return PluginResult(None, f"it did not end within {timeout_s:g} s"), False
        if len(head) == _ANSWER.size:
            kind, count = _ANSWER.unpack(head)
            text = self._read(count, deadline) or b""
            if len(text) == count:
                return _result(kind, text.decode("utf-8", "replace"))
        return PluginResult(None, f"its process {forked.ended(self._reaped())}"), False

    def _reaped(self) -> int:
        """Status of a process that closed its end: it is about to end, or made to."""
        deadline = monotonic() + _GRACE_S
        while monotonic() < deadline:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            if pid:
                self._pid = 0
                os.close(self._to)
                os.close(self._from)
                return status
            select.select([], [], [], 0.001)
        return self.kill()

    def _read(self, count: int, deadline: float) -> bytes | None:
        """Return `count` bytes, fewer at the end of what comes, None if it takes too long."""
        data = b""
        while len(data) < count:
            left_s = deadline - monotonic()
            if left_s <= 0 or not select.select([self._from], [], [], left_s)[0]:
                return None
            piece = os.read(self._from, count - len(data))
            if not piece:
                break
            data += piece
        return data


def _result(kind: int, text: str) -> tuple[PluginResult, bool]:
    if kind == _FAILED:
        return PluginResult(None, text), True
    if kind == _NOTHING:
        return PluginResult(None), True
    cut = f"its text is cut at {MOST_TEXT_BYTES} bytes" if kind == _CUT else ""
    return PluginResult(text, cut), True


def _in_child(plugin: Plugin, outdir_fd: int | None, tasks_fd: int, answers_fd: int) -> None:
    try:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        nothing, other_end = os.pipe()  # another root directory may have no /dev/null
        os.close(other_end)
        os.dup2(nothing, 0)
        os.dup2(2, 1)
        sys.stdin = io.TextIOWrapper(io.FileIO(0, closefd=False))
        standard_error = io.FileIO(2, "w", closefd=False)
        sys.stdout = sys.stderr = io.TextIOWrapper(
            standard_error, errors="replace", line_buffering=True, write_through=True
        )
        _close_all_but({tasks_fd, answers_fd} | (set() if outdir_fd is None else {outdir_fd}))
        _run(plugin, outdir_fd, tasks_fd, answers_fd)
    except BaseException as error:  # nothing may get into what the parent was doing
        _complain(_said(error))
    finally:
        os._exit(0)


def _close_all_but(kept: set[int]) -> None:
    """Whoever waits for the end of what the parent has open is to wait for the parent only."""
    begin = 3
    for fd in (*sorted(kept), os.sysconf("SC_OPEN_MAX")):
        if begin < fd:  # an empty range is all there is, for some versions of Python
            os.closerange(begin, fd)
        begin = max(begin, fd + 1)


def _run(plugin: Plugin, outdir_fd: int | None, tasks_fd: int, answers_fd: int) -> None:
    home = os.getpid()
    try:
        function = _load(plugin)
    except BaseException as error:  # of a user's module, which may also raise SystemExit
        _end_unless(home, error)
        _tell(answers_fd, _FAILED, _said(error))
        os._exit(1)
    _end_unless(home)
    _tell(answers_fd, _NOTHING, "")
    if outdir_fd is None:
        return
    outdir = OutDir(outdir_fd)  # which has a descriptor of its own
    os.close(outdir_fd)
    with open(tasks_fd, "rb") as tasks:
        while length := tasks.read(_NUMBER.size):
            name = os.fsdecode(tasks.read(*_NUMBER.unpack(length)))
            # Should the parent die meanwhile, nobody else would end a function that does not.
            signal.setitimer(signal.ITIMER_REAL, plugin.timeout_s + _GRACE_S)
            try:
                answer = _called(function, outdir, name)
            except (Exception, SystemExit, KeyboardInterrupt) as error:
                _end_unless(home, error)
                answer = _FAILED, _said(error)
            _end_unless(home)
            signal.setitimer(signal.ITIMER_REAL, 0)
            _tell(answers_fd, *answer)


def _end_unless(home: int, error: BaseException | None = None) -> None:
    """End a process that the user's code forked and that came back from it.

    It has the pipes, too: an answer of its own would be taken for that of the next stream.
    """
    if os.getpid() == home:
        return
    if isinstance(error, SystemExit) and (error.code is None or isinstance(error.code, int)):
        os._exit((error.code or 0) & 0xFF)
    if error is not None:
        _complain(f"in a process that the plug-in forked: {_said(error)}")
    os._exit(1)


def _complain(problem: str) -> None:
    with suppress(OSError):
        os.write(2, f"-e python: {problem}\n".encode("utf-8", "replace"))


def _load(plugin: Plugin) -> Function:
    if plugin.path:
        sys.path.insert(0, os.path.abspath(plugin.path))
    found: Any = import_module(plugin.module)
    for part in plugin.function.split("."):
        found = getattr(found, part)
    if not callable(found):
        raise TypeError(f"{plugin.function} of {plugin.module} is no function")
    function: Function = found
    return function


def _called(function: Function, outdir: OutDir, name: str) -> tuple[int, str]:
    fd = outdir.open(name)
    try:
        size = os.fstat(fd).st_size
        if size > MOST_STREAM_BYTES:
            return _FAILED, f"not called: the stream has more than {MOST_STREAM_BYTES} bytes"
        with open(fd, "rb", closefd=False) as file:
            stream = file.read()
    finally:
        os.close(fd)
    result = function(stream)
    if result is None:
        return _NOTHING, ""
    if not isinstance(result, str):
        return _FAILED, f"it returned {type(result).__name__}; accepted: str or None"
    return _TEXT, result


def _said(error: BaseException) -> str:
    try:
        text = f"{type(error).__name__}: {error}"
    except Exception:
        text = type(error).__name__
    return text[:1000]


def _tell(fd: int, kind: int, text: str) -> None:
    encoded = text.encode("utf-8", "replace")
    if len(encoded) > MOST_TEXT_BYTES:
        kind = _CUT if kind == _TEXT else kind
        # Not in the middle of a character.
        encoded = encoded[:MOST_TEXT_BYTES].decode("utf-8", "ignore").encode()
    data = memoryview(_ANSWER.pack(kind, len(encoded)) + encoded)
    while data:
        data = data[os.write(fd, data) :]
