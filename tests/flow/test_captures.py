"""Real captures through the engine: every packet counted once, every stream told in order.

The captures are those of this repository and, where somebody keeps more in ``shared/pcaps`` beside
it, those as well. That the bytes are right is shown by readers/streams/test_peers.py.
"""

import os
from pathlib import Path

import pytest

from daemonlogger_py.engine.buffer import Buffer
from daemonlogger_py.engine.offline import FileSource
from daemonlogger_py.engine.protocol import NEVER_NS, Stop
from daemonlogger_py.errors import SourceError
from daemonlogger_py.flow.collector import Collector
from daemonlogger_py.flow.decode import decodes
from daemonlogger_py.flow.engine import Engine
from daemonlogger_py.flow.events import Data, Gap, StreamClosed, StreamEvent, StreamOpened

from ..pcaps.found import found

FILES = found()
# As the recorder has them, and as tight as they get.
LIMITS: list[dict[str, int]] = [{}, {"max_flows": 1, "memory_bytes": 1, "idle_ns": 1}]


def feeds(path: Path) -> tuple[int, bool, list[tuple[bytes, int]]]:
    """Linktype, resolution, and runs of records with their number. Raises SourceError."""
    wake_fd = os.eventfd(0)
    fd = os.open(path, os.O_RDONLY)
    try:
        source = FileSource(fd, name=path.name, wake_fd=wake_fd)
        found = []
        buffer = Buffer(20_000)
        reason = Stop.FULL
        while reason is Stop.FULL:
            buffer.clear()
            reason = Stop(source.fill(buffer, NEVER_NS, NEVER_NS, NEVER_NS, NEVER_NS, NEVER_NS))
            found.append((bytes(buffer), buffer.packets))
        linktype, nanosecond = source.linktype, source.nanosecond
        source.close()
        return linktype, nanosecond, found
    finally:
        os.close(fd)
        os.close(wake_fd)


def check_order(events: list[StreamEvent]) -> None:
    """Each stream is opened, told without a hole or an overlap, and closed."""
    at: dict[int, int] = {}
    closed = set()
    for event in events:
        number = event.stream.number
        assert number not in closed
        if isinstance(event, StreamOpened):
            at[number] = 0
        elif isinstance(event, Data | Gap):
            assert event.offset == at[number]
            at[number] += len(event.data) if isinstance(event, Data) else event.count
        elif isinstance(event, StreamClosed):
            closed.add(number)
    assert closed == set(at)


@pytest.mark.parametrize("limits", LIMITS, ids=["roomy", "tight"])
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_packets_are_counted_and_streams_told(path: Path, limits: dict[str, int]) -> None:
    try:
        linktype, nanosecond, runs = feeds(path)
    except SourceError:
        return  # told by whoever opens it
    collector = Collector(stream_bytes=2000 if limits else 1 << 22)
    engine = Engine(collector, tunnels=True, datagrams=True, **limits)
    events = []
    for data, _ in runs:
        if not decodes(linktype):
            with pytest.raises(SourceError, match="is not decoded"):
                engine.feed(data, linktype, nanosecond=nanosecond)
            return
        engine.feed(data, linktype, nanosecond=nanosecond)
        events += collector.take()
        assert engine.counters().flows <= limits.get("max_flows", 1 << 20)
    engine.finish()
    events += collector.take()

    found = engine.counters()
    assert found.packets == sum(packets for _, packets in runs)
    assert found.packets == found.not_ip + found.tcp_packets + found.unprocessed
    assert found.open_streams == 0
    assert found.streams == sum(isinstance(event, StreamOpened) for event in events)
    assert collector.ordering().held_bytes == 0
    check_order(events)
