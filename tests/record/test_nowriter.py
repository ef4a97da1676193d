"""What stands for the writer of a soft tap: buffers come straight back, and nothing is written."""

import inspect

from daemonlogger_py.record.buffers import LEAST, BufferPool
from daemonlogger_py.record.nowriter import NoWriter
from daemonlogger_py.record.writer import Writer


def test_buffers_come_straight_back() -> None:
    pool = BufferPool(65_551, 0)
    writer = NoWriter(pool)
    writer.start()
    writer.roll(100, "exit", 0)
    for _ in range(3 * LEAST):
        buffer = pool.take()
        assert buffer is not None
        writer.write(buffer, 24, len(buffer))
    writer.close("exit", 0)

    assert pool.allocated == 1
    assert (writer.files, writer.written_packets, writer.written_bytes) == (0, 0, 0)
    assert not writer.busy


def test_it_takes_every_order_that_the_writer_takes() -> None:
    orders = ("start", "roll", "write", "write_end", "say", "tick", "give_up_soon", "close")
    for name in orders:
        theirs = inspect.signature(getattr(Writer, name)).parameters
        ours = inspect.signature(getattr(NoWriter, name)).parameters
        assert [p.kind for p in ours.values()] == [p.kind for p in theirs.values()], name
