"""What is refused when a capture is opened, and a pipe that says little while it is.

The pipe is waited for, but nobody else is, and Ctrl-C ends it; each in a process of its own: what
is tested for there would stop the whole run.
"""

import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from daemonlogger_py.engine.offline import FileSource
from daemonlogger_py.engine.offline_handle import OfflineHandle
from daemonlogger_py.errors import SourceError

from ..pcaps import make
from .reading import Pipe, piped, source_on

CAPTURES = make.captures()
WAIT_S = 10.0

OPENS = """
import os, sys, threading, time
sys.path[:0] = {modules!r}
from daemonlogger_py.engine.offline import FileSource
def say(*words):  # a line at once: two threads say something
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())
def turn():
    turns = 0
    while True:
        turns += 1
        say("turn", turns)
        time.sleep(0.001)
threading.Thread(target=turn, daemon=True).start()
source = FileSource({fd}, name="standard input", wake_fd=-1)
say("opened", source.linktype)
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


@pytest.mark.parametrize(
    "data",
    [
        CAPTURES["empty.pcap"],
        CAPTURES["cut_in_file_header.pcap"],
        CAPTURES["not_pcap.txt"],
        b"\x1f\x8b" + bytes(40),
        make.file_header(version=(1, 4)),
        make.section()[:-1],
        make.section(),
        make.block(6, bytes(32)),
        struct.pack("<IIIHHq", 0x0A0D0D0A, 0xFFFFFFF0, 0x1A2B3C4D, 1, 0, -1),
    ],
    ids=range(9),
)
def test_what_is_no_savefile_is_refused(data: bytes) -> None:
    with (
        pytest.raises(SourceError, match=r"^-R x.pcap: not a savefile, at byte offset 0: .") as no,
        source_on(data),
    ):
        pass

    assert "\n" not in str(no.value)


@pytest.mark.parametrize("order", "<>")
def test_linktype_that_no_savefile_can_have_is_refused(order: str) -> None:
    data = make.file_header(order=order, linktype=make.ETHERNET | 0x00300000)

    with pytest.raises(SourceError, match=r"^-R x.pcap: .*link-layer type"), source_on(data):
        pass


def test_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(SourceError, match=r"^-R here: Is a directory$"):
            FileSource(fd, name="here", wake_fd=-1)
    finally:
        os.close(fd)


def test_handle_that_was_not_opened_is_closed() -> None:
    handle = OfflineHandle.__new__(OfflineHandle)

    with pytest.raises(ValueError, match="the source is closed"):
        handle.refilter("udp")


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
