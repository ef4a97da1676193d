"""Several sinks behind one: each is told everything, and keeps its own of each stream."""

import os
from pathlib import Path

import pytest

from daemonlogger_py.errors import StorageError
from daemonlogger_py.flow.collector import Collector
from daemonlogger_py.flow.sink import Sink
from daemonlogger_py.readers.streams.console import Console, OrderedConsole
from daemonlogger_py.readers.streams.files import Files
from daemonlogger_py.readers.streams.names import Template
from daemonlogger_py.readers.streams.outlet import Outlet
from daemonlogger_py.readers.streams.packets import FlowPcaps, Unprocessed
from daemonlogger_py.readers.streams.printing import Printing
from daemonlogger_py.readers.streams.several import Several

from ...flow.segments import ACK, SYN, UDP, Record, Side, ethernet, ipv4, timed, udp
from ...pcaps.make import file_header
from ...pcaps.parse import parse
from .sinking import content, feed, in_memory

CLIENT = Side()
SERVER = CLIENT.peer()
OTHER = Side(port=50_000)
FRAMES = [
    CLIENT.syn(),
    SERVER.syn(flags=SYN | ACK),
    OTHER.sends(10, b"begins in the middle"),
    CLIENT.sends(5, b"world"),
    SERVER.sends(0, b"answer"),
    ethernet(ipv4(udp(53, 53, b"query"), "10.0.0.1", "10.0.0.2", UDP)),
    CLIENT.sends(0, b"hello"),
    CLIENT.sends(0, b"HELLO"),
    CLIENT.sends(2000, b"behind a hole"),
    CLIENT.fin(10),
    SERVER.fin(6),
    OTHER.rst(30),
]


def printing(fd: int) -> Printing:
    return Printing(Outlet(fd), Template("%a"), raw=True)


def printed(make: type[Console] | type[OrderedConsole], frames: list[bytes]) -> bytes:
    with in_memory() as fd:
        feed(make(printing(fd)), timed(frames))
        return content(fd)


@pytest.mark.parametrize("split", [len(FRAMES), 4])
def test_each_does_as_if_it_were_alone(tmp_path: Path, split: int) -> None:
    out = os.open(tmp_path, os.O_RDONLY)
    with in_memory() as first, in_memory() as second, in_memory() as third:
        pcaps = FlowPcaps(Files(out, Template("%a"), 5))
        unprocessed = Unprocessed(str(tmp_path / "w"))
        for sink in (pcaps, unprocessed):
            sink.source(file_header())
        several = Several(
            [
                OrderedConsole(printing(first)),
                Console(printing(second)),
                pcaps,
                OrderedConsole(printing(third)),
                unprocessed,
            ]
        )
        items = timed(FRAMES)
        feed(several, items[:split], items[split:])
        for sink in (pcaps, unprocessed):
            sink.close()

        assert content(first) == content(third) == printed(OrderedConsole, FRAMES)
        assert content(second) == printed(Console, FRAMES)
    os.close(out)
    found = {path.name: len(parse(path.read_bytes()).records) for path in tmp_path.iterdir()}
    assert found == {"40000.pcap": 6, "00080.pcap": 3, "50000.pcap": 2, "w": 1}


def test_streams_of_each_stay_apart() -> None:
    """Both hold bytes of the same stream at the same time, and of others."""
    frames = [
        side.sends(offset, b"%d " % offset)
        for offset in (90, 60, 30, 0)
        for side in (CLIENT, SERVER, OTHER)
    ]
    frames = [CLIENT.syn(), SERVER.syn(), OTHER.syn(), *frames]
    with in_memory() as first, in_memory() as second:
        feed(
            Several([OrderedConsole(printing(first)), OrderedConsole(printing(second))]),
            timed(frames),
        )
        assert content(first) == content(second) == printed(OrderedConsole, frames)


def test_packets_are_asked_for_only_where_one_wants_them() -> None:
    """A lone ACK makes a flow only for who wants packets."""
    items: list[Record] = timed([CLIENT.sends(0)])
    with in_memory() as fd:
        without = feed(Several([Sink(), OrderedConsole(printing(fd))]), items)
        with_packets = feed(Several([Sink(), Sink(), Console(printing(fd))]), items)

    assert (without.counters().flows, with_packets.counters().flows) == (0, 1)


def test_events_reach_a_collector_beside_others() -> None:
    with in_memory() as fd:
        alone, beside = Collector(), Collector()
        feed(alone, timed(FRAMES))
        feed(Several([OrderedConsole(printing(fd)), beside, Console(printing(fd))]), timed(FRAMES))

    assert list(map(repr, beside.take())) == list(map(repr, alone.take()))


@pytest.mark.parametrize("place", [0, 1, 2])
def test_failure_is_that_of_the_sink_that_failed(tmp_path: Path, place: int) -> None:
    (tmp_path / "40000.pcap").mkdir()
    out = os.open(tmp_path / "40000.pcap", os.O_RDONLY)
    pcaps = FlowPcaps(Files(out, Template("x/%a"), 5))
    pcaps.source(file_header())
    (tmp_path / "40000.pcap/x").touch()
    with in_memory() as fd:
        sinks: list[Sink] = [Console(printing(fd)), OrderedConsole(printing(fd))]
        sinks.insert(place, pcaps)
        with pytest.raises(StorageError, match=r"^x/40000.pcap: Not a directory$"):
            feed(Several(sinks), timed(FRAMES))
    os.close(out)


@pytest.mark.parametrize("sinks", [[], [Sink()], [Sink(), None]])
def test_not_several(sinks: list[Sink]) -> None:
    with pytest.raises(ValueError, match="are not several sinks"):
        Several(sinks)
