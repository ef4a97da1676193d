"""Feeds records to an engine with the sink under test, and takes what that printed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from daemonlogger_py.flow.engine import Engine
from daemonlogger_py.flow.sink import Sink

from ...flow.segments import ETHERNET, Record, records

MAGIC_MICROSECONDS = 0xA1B2C3D4


@contextmanager
def in_memory() -> Iterator[int]:
    fd = os.memfd_create("output", os.MFD_CLOEXEC)
    yield fd
    os.close(fd)


def content(fd: int) -> bytes:
    size = os.fstat(fd).st_size
    return os.pread(fd, size, 0)


def feed(
    sink: Sink, *batches: list[Record], linktype: int = ETHERNET, nanosecond: bool = False
) -> Engine:
    """Feed each batch, and finish."""
    engine = Engine(sink)
    for batch in batches:
        engine.feed(records(batch, nanosecond=nanosecond), linktype, nanosecond=nanosecond)
    engine.finish()
    return engine
