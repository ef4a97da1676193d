"""A wake-up is noticed, does not block, and is gone once it was looked at."""

import os
import select

import pytest

from daemonlogger_py.service.wakeup import WakePipe


def readable(pipe: WakePipe) -> bool:
    return select.select([pipe.wake_fd], [], [], 0)[0] != []


def test_a_wake_up_lasts_until_it_is_drained() -> None:
    pipe = WakePipe()
    assert not readable(pipe)
    pipe.wake()
    pipe.wake()
    assert readable(pipe)
    pipe.drain()
    assert not readable(pipe)
    pipe.drain()
    pipe.close()


def test_a_full_pipe_is_not_waited_for() -> None:
    pipe = WakePipe()
    for _ in range(100_000):
        pipe.wake()
    pipe.drain()

    assert not readable(pipe)
    pipe.close()


def test_no_program_that_is_started_inherits_it() -> None:
    pipe = WakePipe()
    fds = pipe.wake_fd, pipe._wake_write_fd

    assert not any(os.get_inheritable(fd) for fd in fds)
    pipe.close()
    for fd in fds:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)
