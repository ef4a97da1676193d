"""Opening a pipe that says little: it waits, but nobody else does, and Ctrl-C ends it.

Each in a process of its own: what is tested for here would stop the whole run.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ..pcaps import make
from .reading import Pipe, piped

CAPTURES = make.captures()
WAIT_S = 10.0

OPENS = """
import os, sys, threading, time
sys.path[:0] = {modules!r}
from daemonlogger_py.engine.offline import FileSource
turns = 0
def turn():
    global turns
    while True:
        turns += 1
        print("turn", turns, flush=True)
        time.sleep(0.001)
threading.Thread(target=turn, daemon=True).start()
source = FileSource({fd}, name="standard input", wake_fd=-1)
print("opened", source.linktype, flush=True)
"""
# How much of a capture has arrived: nothing, a part of what tells its format, a part of a block
# that libpcap waits for the end of.
STALLS = [
    ("us.pcap", 0),
    ("us.pcap", 10),
    ("us.pcapng", 23),
    ("us.pcapng", 30),
    ("us.pcapng", 47),
]


@contextmanager
def opening(pipe: Pipe) -> Iterator[subprocess.Popen[str]]:
    script = OPENS.format(modules=[p for p in sys.path if p], fd=pipe.read_fd)
    with subprocess.Popen(
        [sys.executable, "-c", script],
        pass_fds=[pipe.read_fd],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize(("name", "size"), STALLS)
def test_other_threads_go_on_while_a_pipe_is_opened(name: str, size: int) -> None:
    with piped() as pipe:
        pipe.put(CAPTURES[name][:size])
        with opening(pipe) as process:
            assert process.stdout is not None
            while pipe.unread():  # it has taken everything, and is opening still
                assert process.poll() is None
                time.sleep(0.001)
            for _ in range(50):
                assert process.stdout.readline().startswith("turn")
            pipe.put(CAPTURES[name][size:])
            pipe.end()
            out, errors = process.communicate(timeout=WAIT_S)

        assert (process.returncode, errors) == (0, "")
        assert f"opened {make.ETHERNET}\n" in out


@pytest.mark.parametrize(("name", "size"), STALLS)
def test_interrupt_ends_the_opening_of_a_pipe(name: str, size: int) -> None:
    with piped() as pipe:
        pipe.put(CAPTURES[name][:size])
        with opening(pipe) as process:
            assert process.stdout is not None
            for _ in range(50):
                assert process.stdout.readline().startswith("turn")
            while pipe.unread():
                time.sleep(0.001)
            os.kill(process.pid, signal.SIGINT)
            _, errors = process.communicate(timeout=WAIT_S)

        assert process.returncode == -signal.SIGINT
        assert errors.splitlines()[-1] == "KeyboardInterrupt"
