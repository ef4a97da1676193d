"""How a command ends: what it raised becomes one line on standard error and an exit status.

Status 0 done, 1 failed while running, 2 bad command line, 130 interrupted. What is not ours to
expect stays a traceback: that is a defect.
"""

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from daemonlogger_py.errors import DaemonloggerError, OutputError

FAILED = 1
NO_THREAD = "can't start new thread"  # how the interpreter says so
UNWRITTEN = 120  # as the interpreter says that it could not write what was left to write
INTERRUPTED = 130  # 128 + SIGINT, as a shell reports a program that died of it


def write_out(text: str) -> None:
    """Write `text` and a line end to standard output, at once."""
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except OSError as error:
        raise OutputError(f"standard output: {error.strerror}") from error


def run(program: str, command: Callable[[], int]) -> int:
    """Return the exit status of `command`, or that of the failure it ended with, which is told."""
    _open_standard_descriptors()
    try:
        return command()
    except OutputError as error:
        # What is still buffered would fail again when the interpreter closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        if not isinstance(error.__cause__, BrokenPipeError):  # `| head` has read enough
            _complain(program, str(error))
        return error.exit_status
    except DaemonloggerError as error:
        if not error.told:
            _complain(program, str(error))
        return error.exit_status
    except KeyboardInterrupt:
        return INTERRUPTED
    except RuntimeError as error:
        if str(error) != NO_THREAD:
            raise
        _complain(program, "no thread can be started: processes are limited (ulimit -u, TasksMax)")
        return FAILED


def leave(status: int) -> NoReturn:
    """End the process, now that nothing is left to be done but what the interpreter does for order.

    Taking all modules down would be a good part of the time that a short search takes.
    """
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            try:
                stream.flush()
            except OSError:
                status = status or UNWRITTEN
    os._exit(status)


def _open_standard_descriptors() -> None:
    # Started with one closed (2>&-), the next file opened would get its number, and a savefile
    # would get the messages.
    while True:
        fd = os.open(os.devnull, os.O_RDWR)
        if fd > 2:
            os.close(fd)
            break
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", errors="backslashreplace", closefd=False)


def _complain(program: str, message: str) -> None:
    # A file name may hold a line end, or what a terminal obeys; the message is one plain line.
    shown = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in " ".join(message.split()))
    with suppress(OSError):  # the exit status says it too
        sys.stderr.write(f"{program}: {shown}\n")
        sys.stderr.flush()
