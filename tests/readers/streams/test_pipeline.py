"""Batches come out in the order they went in, whole, and a failure is not forgotten."""

import os
import threading

import pytest

from daemonlogger_py.engine.buffer import Buffer
from daemonlogger_py.errors import StorageError
from daemonlogger_py.flow.engine import Engine
from daemonlogger_py.readers.streams.files import Files
from daemonlogger_py.readers.streams.names import Template
from daemonlogger_py.readers.streams.pipeline import Writing
from daemonlogger_py.readers.streams.store import Store
from daemonlogger_py.readers.streams.writer import Writer
from tests.flow.segments import ETHERNET, Side, records, timed
from tests.readers.streams.stored import TEMPLATE


def buffer_of(data: bytes) -> Buffer:
    buffer = Buffer(len(data) + 1)
    buffer.clear(data)
    return buffer


@pytest.mark.parametrize("writers", [0, 1, 3])
def test_every_batch_comes_out_done_and_in_order(tmp_path, writers):
    store = Store(store=writers > 0, writers=max(1, writers))
    engine = Engine(store)
    directory_fd = os.open(tmp_path, os.O_RDONLY)
    given_back = []
    at_work = [
        Writer(Files(directory_fd, Template(TEMPLATE), 5), number) for number in range(writers)
    ]
    sent = []
    received = []
    with Writing(at_work, given_back.append) as writing:
        for turn in range(50):
            sides = [Side(port=port) for port in range(1, 20)]
            frames = [side.sends(turn * 2, b"%02d" % turn) for side in sides]
            buffer = buffer_of(records(timed(frames)))
            engine.feed(buffer, ETHERNET)
            sent.append(store.take())
            writing.put(sent[-1], buffer)
            received += writing.done()
        engine.finish()
        sent.append(store.take())
        writing.put(sent[-1], None)
        writing.close()
        received += writing.done()
    os.close(directory_fd)

    assert received == sent
    assert len(given_back) == 50
    expected = {b"".join(b"%02d" % turn for turn in range(50))} if writers else set()
    assert {path.read_bytes() for path in tmp_path.iterdir()} == expected


class Failing:
    def __init__(self) -> None:
        self.calls = 0

    def execute(self, _batch):
        self.calls += 1
        raise StorageError("out/x: No space left on device")


def test_a_failure_is_raised_where_its_batch_would_come_out_and_buffers_still_come_back():
    failing = Failing()
    given_back = []
    writing = Writing([failing], given_back.append)
    with writing:
        for _ in range(3):
            writing.put(Store().take(), Buffer(10))
        writing.close()
        with pytest.raises(StorageError, match="No space left"):
            list(writing.done())

    assert failing.calls == 1
    assert len(given_back) == 3


def test_the_threads_end_with_the_block():
    before = threading.active_count()
    with Writing([Failing(), Failing()], lambda _: None):
        assert threading.active_count() == before + 2

    assert threading.active_count() == before
