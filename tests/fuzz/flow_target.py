"""What must be true of every sequence of frames: decoding, defragmentation, reassembly, storing.

`one_input` feeds an engine whose limits are small, so that they are met, and raises AssertionError
when a property is violated. Memory errors are AddressSanitizer's to find: each record may lie in
memory of its own, where a read beyond it is one.
"""

import ctypes
import os
import shutil
import struct
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree

from daemonlogger_py.errors import SourceError
from daemonlogger_py.flow.collector import Collector
from daemonlogger_py.flow.decode import decodes
from daemonlogger_py.flow.engine import Counters, Engine
from daemonlogger_py.flow.events import (
    Data,
    Datagram,
    Gap,
    Noted,
    StreamClosed,
    StreamEvent,
    StreamOpened,
)
from daemonlogger_py.flow.sink import Sink
from daemonlogger_py.readers.streams.console import Console, OrderedConsole
from daemonlogger_py.readers.streams.files import Files
from daemonlogger_py.readers.streams.names import Template
from daemonlogger_py.readers.streams.outlet import Outlet
from daemonlogger_py.readers.streams.packets import FlowPcaps, Unprocessed
from daemonlogger_py.readers.streams.printing import Printing
from daemonlogger_py.readers.streams.several import Several
from daemonlogger_py.readers.streams.store import Store
from daemonlogger_py.readers.streams.writer import Writer

from .flow_trial import FlowTrial
from .model import MICROSECONDS, NANOSECONDS, read_classic

TEMPLATE = "%A.%a-%B.%b%V%v%C%c"
MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None


def one_input(data: bytes) -> None:
    """Hold everything that must be true of the input `data`."""
    trial = FlowTrial.of(data)
    drive = {
        "collector": drive_collector,
        "report": drive_report,
        "files": drive_files,
        "several": drive_several,
        "packets": drive_packets,
    }[trial.sink]
    drive(trial)


def exact(record: bytes) -> object:
    """The same bytes in memory that ends where they do."""
    return (ctypes.c_ubyte * len(record)).from_buffer_copy(record)


class Run:
    """One engine and its sink; what it counts is held against what it was fed."""

    def __init__(self, trial: FlowTrial, sink: Sink) -> None:
        self.trial = trial
        self.fed = 0
        self.captured_bytes = 0
        self.before_feed: Callable[[int], None] = lambda _: None
        first_ns, until_ns = trial.span_ns
        self.engine = Engine(
            sink,
            tunnels=trial.tunnels,
            datagrams=trial.datagrams,
            skip_bytes=trial.skip_bytes,
            idle_ns=trial.idle_ns,
            max_flows=trial.max_flows,
            memory_bytes=trial.memory_bytes,
            purge=trial.purge,
            first_ns=first_ns,
            until_ns=until_ns,
        )

    def feeds(self) -> Iterator[None]:
        """Feed everything; control comes back while what was fed is still in memory."""
        trial = self.trial
        for number, records in enumerate(trial.feeds):
            linktype = trial.linktypes[number % 2]
            self.before_feed(linktype)
            only_known = trial.only_known and number % 3 == 2
            buffers = [exact(part) for part in (records if trial.apart else (b"".join(records),))]
            try:
                for buffer in buffers:
                    self.engine.feed(
                        buffer, linktype, nanosecond=trial.nanosecond, only_known=only_known
                    )
            except SourceError:
                assert not decodes(linktype)
                continue
            assert decodes(linktype) or not buffers
            self.fed += len(records)
            self.captured_bytes += sum(len(record) - 16 for record in records)
            yield
            del buffers
            self.check()
        self.engine.finish()
        yield
        self.engine.finish()
        self.check_end()

    def check(self) -> Counters:
        """Every packet is counted once, and limits are kept."""
        found = self.engine.counters()
        assert found.packets + found.outside == self.fed, found
        assert found.tcp_packets + found.not_ip + found.unprocessed == found.packets, found
        assert found.fragments <= found.packets, found
        assert found.flows <= self.trial.max_flows, found
        assert found.open_streams <= found.most_open_streams <= found.streams, found
        assert found.open_streams <= 2 * found.flows, found
        oddities = self.engine.oddities()
        assert all(0 < count <= found.packets for count in oddities.values()), oddities
        return found

    def check_end(self) -> None:
        """Nothing is left open."""
        assert self.check().open_streams == 0


def drive_collector(trial: FlowTrial) -> None:
    """Events keep their contract."""
    collector = Collector(
        event_bytes=trial.event_bytes,
        prompt=trial.prompt,
        notes=trial.findx,
        max_bytes=trial.max_bytes,
        stream_bytes=trial.stream_bytes,
        memory_bytes=trial.held_bytes,
        policy="last" if trial.last_wins else "first",
    )
    run = Run(trial, collector)
    contract = Contract(trial)
    for _ in run.feeds():
        contract.take(collector.take())
    assert collector.take() == []
    assert collector.ordering().held_bytes == 0
    contract.check_end(run.engine.counters(), run.captured_bytes)


class Contract:
    """What events.py says: each stream opened, its bytes and gaps without a hole, closed."""

    def __init__(self, trial: FlowTrial) -> None:
        self.trial = trial
        self.next_offset: dict[int, int | None] = {}  # None: nothing was told yet
        self.open: set[int] = set()
        self.data_bytes = 0
        self.told_bytes: dict[int, int] = {}

    def take(self, events: list[StreamEvent]) -> None:
        """Hold the next events."""
        for event in events:
            number = event.stream.number
            if isinstance(event, StreamOpened):
                assert number not in self.next_offset
                self.next_offset[number] = None
                self.open.add(number)
                continue
            assert number in self.open, event
            if isinstance(event, StreamClosed):
                self.open.remove(number)
            elif isinstance(event, Data | Gap):
                self.advance(number, event)
            else:
                assert isinstance(event, Datagram | Noted)
                assert not isinstance(event, Datagram) or len(event.data) <= event.length

    def advance(self, number: int, event: Data | Gap) -> None:
        """The next bytes begin where those before end."""
        count = len(event.data) if isinstance(event, Data) else event.count
        assert count > 0
        expected = self.next_offset[number]
        if expected is None:
            # Bytes may come before the one that offsets count from, as long as none was told.
            assert event.offset <= 0, event
        else:
            assert event.offset == expected, event
        self.next_offset[number] = event.offset + count
        if isinstance(event, Data):
            assert count <= max(self.trial.event_bytes, 65_536)
            self.data_bytes += count
            self.told_bytes[number] = self.told_bytes.get(number, 0) + count
            most = self.trial.max_bytes
            assert most is None or self.told_bytes[number] <= most

    def check_end(self, found: Counters, captured_bytes: int) -> None:
        """Every stream was told, and no byte twice."""
        assert not self.open
        assert len(self.next_offset) == found.streams
        assert self.data_bytes <= captured_bytes


def drive_report(trial: FlowTrial) -> None:
    """Without files, the report has every stream, and is XML."""
    store = Store(store=False)
    run = Run(trial, store)
    rows: list[ElementTree.Element] = []
    for _ in run.feeds():
        rows += rows_of(store)
    check_rows(rows, run)


def rows_of(store: Store, *hands: Writer) -> list[ElementTree.Element]:
    """Let writers do what was noted; rows of what was closed."""
    batch = store.take()
    for hand in hands:
        hand.execute(batch)
    return list(ElementTree.fromstring(b"<all>" + batch.rows(b"", True) + b"</all>"))


def check_rows(rows: list[ElementTree.Element], run: Run) -> None:
    """Each stream has a row, whose gaps lie in it."""
    assert len(rows) == run.engine.counters().streams
    for row in rows:
        told = row.find("tcpflow")
        assert told is not None
        gaps = [(int(gap.attrib["file_offset"]), int(gap.attrib["len"])) for gap in row.iter("gap")]
        at = 0
        for offset, count in gaps:
            assert offset >= at
            assert count > 0
            at = offset + count
        assert len(gaps) == int(told.get("gaps", "0"))
        assert sum(count for _, count in gaps) == int(told.get("gap_bytes", "0"))
        assert int(told.attrib["packets"]) > 0


@contextmanager
def directory() -> Iterator[tuple[Path, int]]:
    """Give a directory in memory, and a descriptor of it."""
    path = tempfile.mkdtemp(prefix="fuzz-streams-", dir=MEMORY)
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield Path(path), fd
    finally:
        os.close(fd)
        shutil.rmtree(path)


def drive_files(trial: FlowTrial) -> None:
    """Files are where and as large as the report says; what is in the gaps is zero."""
    with directory() as (path, fd):
        store = Store(
            writers=2,
            max_bytes=trial.max_bytes,
            last_wins=trial.last_wins,
            findx=trial.findx,
            stream_rows=3,  # so few that they are put away and merged
        )
        hands = [
            Writer(
                Files(fd, Template(TEMPLATE), trial.max_open),
                number,
                max_bytes=trial.max_bytes,
                last_wins=trial.last_wins,
                findx=trial.findx,
            )
            for number in range(2)
        ]
        run = Run(trial, store)
        rows: list[ElementTree.Element] = []
        for _ in run.feeds():
            rows += rows_of(store, *hands)
        check_rows(rows, run)
        check_files(trial, path, rows)


def check_files(trial: FlowTrial, path: Path, rows: list[ElementTree.Element]) -> None:
    """Every file is told once, and holds zeros where bytes are missing."""
    names = [name for row in rows if (name := row.findtext("filename")) is not None]
    suffixes = ("", ".findx") if trial.findx else ("",)
    expected = sorted(name + suffix for name in names for suffix in suffixes)
    assert sorted(one.name for one in path.iterdir()) == expected
    for row in rows:
        name = row.findtext("filename")
        size = int(row.findtext("filesize") or "0")
        if name is None:
            assert size == 0
            continue
        with (path / name).open("rb") as file:
            length = os.fstat(file.fileno()).st_size
            assert length <= size if trial.max_bytes is None else length <= trial.max_bytes
            for gap in row.iter("gap"):
                file.seek(int(gap.attrib["file_offset"]))
                assert not any(file.read(min(int(gap.attrib["len"]), 70_000)))
        if trial.findx:
            lines = (path / f"{name}.findx").read_bytes().splitlines()
            spans = [(int(line.split(b"|")[0]), int(line.split(b"|")[2])) for line in lines]
            assert [offset for offset, _ in spans] == sorted(offset for offset, _ in spans)
            end = stored = 0
            for offset, count in spans:
                # Only the policy that lets later bytes win has rows for what comes again.
                assert trial.last_wins or offset >= end or not count
                stored += max(0, offset + count - max(end, offset))
                end = max(end, offset + count)
            if trial.max_bytes is None:
                # A gap behind the last byte is not in the file.
                missing = sum(
                    int(gap.attrib["len"])
                    for gap in row.iter("gap")
                    if int(gap.attrib["file_offset"]) < size
                )
                assert stored == size - missing


def drive_packets(trial: FlowTrial) -> None:
    """Packets are copied, whole, into savefiles of their linktype: each once, or not at all."""
    with directory() as (path, fd):
        flows = FlowPcaps(
            Files(fd, Template(TEMPLATE), trial.max_open),
            memory_bytes=trial.held_bytes,
            max_files=trial.max_flows,
            prompt=trial.prompt,
        )
        others = Unprocessed(str(path / "others"), prompt=trial.prompt)
        run = Run(trial, Several([flows, others]))

        def source(linktype: int) -> None:
            magic = NANOSECONDS if trial.nanosecond else MICROSECONDS
            header = struct.pack("=IHHiIII", magic, 2, 4, 0, 0, 262_144, linktype)
            flows.source(header)
            others.source(header)

        run.before_feed = source
        for _ in run.feeds():
            pass
        flows.close()
        others.close()
        copied = {"others": 0, "flows": 0}
        for file in path.iterdir():
            written = read_classic(file.read_bytes())
            assert written is not None
            assert written.whole
            assert written.native
            assert written.linktype in trial.linktypes
            assert written.nanosecond is trial.nanosecond
            copied["others" if file.name.startswith("others") else "flows"] += len(written.records)
        found = run.engine.counters()
        assert copied["others"] == others.packets == found.unprocessed
        assert copied["flows"] == flows.packets <= found.tcp_packets


def drive_several(trial: FlowTrial) -> None:
    """What is printed has no effect on what is stored, whatever is printed."""
    sink_fd = os.open(os.devnull, os.O_WRONLY)
    try:
        printing = Printing(
            Outlet(sink_fd),
            Template(TEMPLATE),
            names=trial.prompt,
            raw=trial.last_wins,
            hex=trial.findx,
            json=trial.nanosecond,
            max_bytes=trial.max_bytes,
        )
        ordered = OrderedConsole(
            printing, gaps=True, stream_bytes=trial.stream_bytes, memory_bytes=trial.held_bytes
        )
        store = Store(store=False)
        run = Run(trial, Several([Console(printing), ordered, store]))
        rows: list[ElementTree.Element] = []
        for _ in run.feeds():
            rows += rows_of(store)
        check_rows(rows, run)
    finally:
        os.close(sink_fd)
