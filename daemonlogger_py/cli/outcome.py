"""How a command ends: what it raised becomes one line on standard error and an exit status.

Status 0 done, 1 failed while running, 2 bad command line, 130 interrupted. What is not ours to
expect stays a traceback: that is a defect.
"""

import os
import sys
from collections.abc import Callable

from daemonlogger_py.errors import DaemonloggerError

INTERRUPTED = 130  # 128 + SIGINT, as a shell reports a program that died of it


class OutputError(Exception):
    """Standard output does not take what is written to it."""


def write_out(text: str) -> None:
    """Write `text` and a line end to standard output, at once."""
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except OSError as error:
        raise OutputError from error


def run(program: str, command: Callable[[], int]) -> int:
    """Return the exit status of `command`, or that of the failure it ended with, which is told."""
    _open_standard_descriptors()
    try:
        return command()
    except DaemonloggerError as error:
        _complain(program, str(error))
        return error.exit_status
    except OutputError as error:
        # What is still buffered would fail again when the interpreter closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        if not isinstance(error.__cause__, BrokenPipeError):  # `| head` has read enough
            _complain(program, f"standard output: {error.__cause__}")
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED


def _open_standard_descriptors() -> None:
    # Started with one closed (2>&-), the next file opened would get its number, and a savefile
    # would get the messages.
    while True:
        fd = os.open(os.devnull, os.O_RDWR)
        if fd > 2:
            os.close(fd)
            return


def _complain(program: str, message: str) -> None:
    # A file name may hold a line end; the message is one line whatever it quotes.
    if sys.stderr is not None:
        sys.stderr.write(f"{program}: {' '.join(message.split())}\n")
