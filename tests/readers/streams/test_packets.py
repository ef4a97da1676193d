"""Savefiles of packets: one for each stream's addresses, and one of what belongs to none."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from daemonlogger_py.errors import StorageError
from daemonlogger_py.flow.engine import Engine
from daemonlogger_py.readers.inputs.stopping import Stopping
from daemonlogger_py.readers.stalls import StalledError
from daemonlogger_py.readers.streams.files import Files
from daemonlogger_py.readers.streams.names import Template
from daemonlogger_py.readers.streams.packets import FlowPcaps, Unprocessed

from ...flow.segments import (
    ACK,
    ETHERNET,
    RAW,
    SYN,
    UDP,
    Record,
    Side,
    cut,
    ethernet,
    ipv4,
    records,
    timed,
    udp,
)
from ...pcaps.make import MICROSECONDS, NANOSECONDS, file_header
from ...pcaps.parse import parse

CLIENT = Side()
SERVER = CLIENT.peer()
NAME = "010.000.000.001.40000-010.000.000.002.00080.pcap"
BACK = "010.000.000.002.00080-010.000.000.001.40000.pcap"
FIRST_NS = 10**18
CONNECTION = [
    CLIENT.syn(),
    SERVER.syn(flags=SYN | ACK),
    CLIENT.sends(0),
    CLIENT.sends(0, b"hello"),
    SERVER.sends(0),
    CLIENT.fin(5),
    SERVER.fin(0),
    CLIENT.sends(6),
]


def header(linktype: int = ETHERNET, snaplen: int = 1514, *, nanosecond: bool = False) -> bytes:
    magic = NANOSECONDS if nanosecond else MICROSECONDS
    return file_header(magic=magic, linktype=linktype, snaplen=snaplen)


def datagram(number: int, *, linktype: int = ETHERNET) -> bytes:
    packet = ipv4(udp(1000 + number, 53, b"payload"), "10.0.0.1", "10.0.0.2", UDP)
    return packet if linktype == RAW else ethernet(packet)


@pytest.fixture
def outdir(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    (tmp_path / "out").mkdir()
    fd = os.open(tmp_path / "out", os.O_RDONLY | os.O_DIRECTORY)
    yield tmp_path / "out", fd
    os.close(fd)


def flow_pcaps(fd: int, *, template: str = "%A.%a-%B.%b", most: int = 10, **of: int) -> FlowPcaps:
    sink = FlowPcaps(Files(fd, Template(template), most), **of)
    sink.source(header())
    return sink


def held(path: Path) -> list[Record]:
    found = parse(path.read_bytes())
    assert found.whole
    return [
        (time_ns, record.data, record.origlen)
        for time_ns, record in zip(found.times_ns(), found.records, strict=True)
    ]


def whole(items: list[Record]) -> list[Record]:
    return [(item[0], item[1], item[2] if len(item) == 3 else len(item[1])) for item in items]


def test_each_direction_has_all_its_packets(outdir: tuple[Path, int]) -> None:
    place, fd = outdir
    sink = flow_pcaps(fd)
    items = timed(CONNECTION)
    engine = Engine(sink)
    engine.feed(records(items), ETHERNET)
    engine.finish()
    sink.close()

    assert sorted(os.listdir(place)) == [NAME, BACK]
    assert held(place / NAME) == whole([items[i] for i in (0, 2, 3, 5, 7)])
    assert held(place / BACK) == whole([items[i] for i in (1, 4, 6)])
    assert (sink.packets, sink.created, sink.forgotten) == (8, 2, 0)
    assert (place / NAME).stat().st_mtime_ns == FIRST_NS
    assert (place / BACK).stat().st_mtime_ns == FIRST_NS + 1_000_000


def test_file_goes_on_when_the_addresses_are_used_again(outdir: tuple[Path, int]) -> None:
    place, fd = outdir
    sink = flow_pcaps(fd)
    again = Side(isn=700_000)
    items = timed([*CONNECTION, again.syn(), again.sends(0, b"again")])
    engine = Engine(sink)
    engine.feed(records(items[:5]), ETHERNET)
    engine.feed(records(items[5:]), ETHERNET)
    engine.finish()
    sink.close()

    assert sorted(os.listdir(place)) == [NAME, BACK]
    assert len(held(place / NAME)) == 7


def test_header_is_that_of_the_source(outdir: tuple[Path, int]) -> None:
    place, fd = outdir
    sink = flow_pcaps(fd)
    with_fcs = ETHERNET | 0x24000000
    sink.source(header(with_fcs, 96, nanosecond=True))
    item = (FIRST_NS + 123_456_789, CLIENT.syn())
    engine = Engine(sink)
    engine.feed(records([item], nanosecond=True), ETHERNET, nanosecond=True)
    sink.close()

    assert (place / NAME).read_bytes()[:24] == header(with_fcs, 96, nanosecond=True)
    assert held(place / NAME) == whole([item])


def test_packets_cut_by_snaplen_keep_their_lengths(outdir: tuple[Path, int]) -> None:
    place, fd = outdir
    sink = flow_pcaps(fd)
    item = cut(timed([CLIENT.sends(0, b"x" * 1000)])[0], 60)
    Engine(sink).feed(records([item]), ETHERNET)
    sink.close()

    assert held(place / NAME) == [item]


def test_packets_of_another_linktype_or_resolution_have_their_own_file(
    outdir: tuple[Path, int],
) -> None:
    place, fd = outdir
    sink = flow_pcaps(fd)
    engine = Engine(sink)
    frame = CLIENT.sends(0, b"data")
    sources = [(ETHERNET, False), (RAW, False), (ETHERNET, True), (ETHERNET, False)]
    for linktype, nanosecond in sources:
        sink.source(header(linktype, nanosecond=nanosecond))
        data = frame[14:] if linktype == RAW else frame
        engine.feed(
            records([(FIRST_NS, data)], nanosecond=nanosecond), linktype, nanosecond=nanosecond
        )
    sink.close()

    stem = NAME.removesuffix(".pcap")
    found = {path.name: parse(path.read_bytes()) for path in place.iterdir()}
    told = {name: (one.linktype, one.nanosecond, len(one.records)) for name, one in found.items()}
    assert told == {
        NAME: (ETHERNET, False, 2),
        f"{stem}c1.pcap": (RAW, False, 1),
        f"{stem}c2.pcap": (ETHERNET, True, 1),
    }  # fmt: skip


def test_largest_snaplen_of_all_sources_is_in_the_header(outdir: tuple[Path, int]) -> None:
    place, fd = outdir
    sink = flow_pcaps(fd)
    engine = Engine(sink)
    for number, snaplen in enumerate([96, 65535, 1514, 0]):
        sink.source(header(snaplen=snaplen or 9000))
        engine.feed(records(timed([CLIENT.sends(number, b"x")])), ETHERNET)
        if number == 1:
            assert parse((place / NAME).read_bytes() or file_header()).snaplen == 262144
    sink.close()

    assert parse((place / NAME).read_bytes()).snaplen == 65535
    assert len(held(place / NAME)) == 4


@pytest.mark.parametrize("most", [1, 3, 1000])
@pytest.mark.parametrize("memory_bytes", [1, 4 << 20])
def test_many_files_and_little_memory(
    outdir: tuple[Path, int], most: int, memory_bytes: int
) -> None:
    place, fd = outdir
    sink = flow_pcaps(fd, most=most, memory_bytes=memory_bytes)
    sides = [Side(port=port) for port in range(1000, 1040)]
    items = timed([side.sends(n * 1400, bytes([n]) * 1400) for n in range(30) for side in sides])
    engine = Engine(sink)
    engine.feed(records(items), ETHERNET)
    sink.close()

    assert len(os.listdir(place)) == 40
    for number, side in enumerate(sides):
        name = NAME.replace("40000", f"{side.port:05}")
        assert held(place / name) == whole(items[number::40])


def test_files_that_are_too_many_are_forgotten(outdir: tuple[Path, int]) -> None:
    place, fd = outdir
    sink = flow_pcaps(fd, max_files=2)
    frames = [Side(port=port).sends(0, b"x") for port in (1, 2, 1, 3, 1, 2)]
    Engine(sink).feed(records(timed(frames)), ETHERNET)
    sink.close()

    # That of port 2 was the one without a packet for longest when 3 came.
    stem = NAME.removesuffix(".pcap").replace("40000", "{}")
    assert {path.name: len(held(path)) for path in place.iterdir()} == {
        stem.format("00001") + ".pcap": 3,
        stem.format("00002") + ".pcap": 1,
        stem.format("00002") + "c1.pcap": 1,
        stem.format("00003") + ".pcap": 1,
    }
    assert sink.forgotten == 2


def test_packets_without_data_are_enough_for_a_file(outdir: tuple[Path, int]) -> None:
    place, fd = outdir
    sink = flow_pcaps(fd, template="%t/%N-%E%V%v")
    engine = Engine(sink)
    client = Side(vlans=(42,))
    frames = [client.sends(0), client.peer().sends(0), client.peer().sends(0)]
    engine.feed(records(timed(frames)), ETHERNET)
    engine.finish()
    sink.close()

    assert {str(path.relative_to(place)): len(held(path)) for path in place.glob("*/*")} == {
        "1000000000/000-02:00:00:00:00:01--42.pcap": 1,
        "1000000000/001-02:00:00:00:00:02--42.pcap": 2,
    }


def test_prompt_does_not_wait(outdir: tuple[Path, int]) -> None:
    place, fd = outdir
    waiting, prompt = flow_pcaps(fd), flow_pcaps(fd, template="p%a", prompt=True)
    for sink in (waiting, prompt):
        Engine(sink).feed(records(timed(CONNECTION)), ETHERNET)

    assert (place / NAME).stat().st_size == 0
    assert len(held(place / "p40000.pcap")) == 5
    for sink in (waiting, prompt):
        sink.close()
        sink.close()
    assert len(held(place / NAME)) == 5


def test_file_that_cannot_be_made(outdir: tuple[Path, int]) -> None:
    place, fd = outdir
    (place / "010.000.000.001").write_bytes(b"")
    sink = flow_pcaps(fd, template="%A/%a")

    with pytest.raises(StorageError, match=r"^010.000.000.001/40000.pcap: Not a directory$"):
        Engine(sink).feed(records(timed(CONNECTION)), ETHERNET)


def test_file_that_went_away(outdir: tuple[Path, int]) -> None:
    place, fd = outdir
    sink = flow_pcaps(fd, most=1)
    Engine(sink).feed(records(timed(CONNECTION)), ETHERNET)
    (place / NAME).unlink()  # it is not open at the moment
    with pytest.raises(StorageError, match=f"^{NAME}: No such file"):
        sink.close()


@pytest.mark.parametrize("bad", [b"", bytes(24), header()[:-1], file_header(order=">")])
def test_what_is_no_file_header(outdir: tuple[Path, int], tmp_path: Path, bad: bytes) -> None:
    for sink in (flow_pcaps(outdir[1]), Unprocessed(str(tmp_path / "w"))):
        with pytest.raises(ValueError, match="begin a savefile of this machine"):
            sink.source(bad)
        sink.close()


def test_packets_of_no_source(outdir: tuple[Path, int], tmp_path: Path) -> None:
    pcaps = FlowPcaps(Files(outdir[1], Template("%a"), 1))
    for sink in (pcaps, Unprocessed(str(tmp_path / "w"))):
        with pytest.raises(ValueError, match="no source"):
            Engine(sink).feed(records(timed([CLIENT.syn(), datagram(1)])), ETHERNET)
        sink.close()


# -w


def test_only_what_belongs_to_no_stream(tmp_path: Path) -> None:
    path = tmp_path / "w.pcap"
    sink = Unprocessed(str(path))
    sink.source(header())
    arp = ethernet(bytes(28), ethertype=0x0806)
    items = timed([CLIENT.syn(), datagram(1), arp, CLIENT.sends(0, b"x"), datagram(2)])
    Engine(sink).feed(records(items), ETHERNET)
    sink.close()

    assert held(path) == whole([items[1], items[4]])
    assert path.read_bytes()[:24] == header()
    assert sink.packets == 2


def test_any_number_of_sources_in_one_file(tmp_path: Path) -> None:
    path = tmp_path / "w.pcap"
    sink = Unprocessed(str(path))
    engine = Engine(sink)
    for number, snaplen in enumerate([96, 9000, 1514]):
        sink.source(header(snaplen=snaplen))
        engine.feed(records(timed([datagram(number)])), ETHERNET)
    engine.finish()
    assert sink.paths == [str(path)]
    sink.close()

    assert [item[1] for item in held(path)] == [datagram(n) for n in range(3)]
    assert parse(path.read_bytes()).snaplen == 9000


def test_packets_that_may_not_be_mixed(tmp_path: Path) -> None:
    """Microseconds go into a file of nanoseconds, which loses nothing; not the other way."""
    path = tmp_path / "w"
    sink = Unprocessed(str(path))
    engine = Engine(sink)
    sources = [(ETHERNET, False), (RAW, True), (ETHERNET, True), (RAW, False), (ETHERNET, False)]
    for number, (linktype, nanosecond) in enumerate(sources):
        sink.source(header(linktype, nanosecond=nanosecond))
        item = (FIRST_NS + number * 1001, datagram(number, linktype=linktype))
        engine.feed(records([item], nanosecond=nanosecond), linktype, nanosecond=nanosecond)
    assert sink.paths == [f"{path}", f"{path}.1", f"{path}.2"]
    sink.close()

    found = [parse((tmp_path / name).read_bytes()) for name in ("w", "w.1", "w.2")]
    assert [(one.linktype, one.nanosecond) for one in found] == [
        (ETHERNET, False),
        (RAW, True),
        (ETHERNET, True),
    ]
    assert [one.times_ns() for one in found] == [
        [FIRST_NS, FIRST_NS + 4000],
        [FIRST_NS + 1001, FIRST_NS + 3000],
        [FIRST_NS + 2002],
    ]


def test_old_file_is_overwritten_but_none_of_a_name_it_did_not_give(tmp_path: Path) -> None:
    path, other = tmp_path / "w", tmp_path / "other"
    other.write_bytes(b"old and longer than any header is")
    path.symlink_to(other)
    (tmp_path / "w.1").symlink_to(tmp_path / "nowhere")
    (tmp_path / "w.2").write_bytes(b"a source, perhaps")
    sink = Unprocessed(str(path))
    sink.source(header())
    sink.source(header(RAW))
    assert sink.paths == [f"{path}", f"{path}.3"]
    sink.close()

    assert other.read_bytes() == header()
    assert not (tmp_path / "nowhere").exists()
    assert (tmp_path / "w.2").read_bytes() == b"a source, perhaps"
    assert (tmp_path / "w.3").read_bytes() == header(RAW)


def test_file_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="missing/w: No such file"):
        Unprocessed(str(tmp_path / "missing/w"))


def test_full_device() -> None:
    sink = Unprocessed("/dev/full")
    with pytest.raises(StorageError, match=r"^/dev/full: No space left"):
        sink.source(header())
    sink.close()


def test_pipe_whose_reader_went_away(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    sink = Unprocessed(str(path), prompt=True)
    sink.source(header())
    assert parse(os.read(reading, 100)).snaplen == 262144  # it cannot be raised later
    os.close(reading)

    with pytest.raises(StorageError, match="fifo: Broken pipe"):
        Engine(sink).feed(records(timed([datagram(1)])), ETHERNET)
    sink.close()


def test_a_fifo_that_nobody_reads_is_waited_for_until_somebody_asks(
    tmp_path: Path, stopping: Stopping
) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    threading.Timer(0.2, stopping.request).start()
    with pytest.raises(StalledError, match=r"stopped: nobody reads -w .*/fifo"):
        Unprocessed(str(path), stopping=stopping)


def test_a_fifo_whose_reader_comes_late_gets_all(tmp_path: Path, stopping: Stopping) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    got: list[bytes] = []
    reader = threading.Timer(0.3, lambda: got.append(path.read_bytes()))
    reader.start()
    sink = Unprocessed(str(path), stopping=stopping)
    sink.source(header())
    Engine(sink).feed(records(timed([datagram(n) for n in range(5000)])), ETHERNET)
    sink.close()
    reader.join()

    assert len(parse(got[0]).records) == 5000


@pytest.mark.usefixtures("impatient")
def test_a_fifo_whose_reader_takes_nothing_holds_up_nobody_who_is_asked(
    tmp_path: Path, stopping: Stopping
) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    sink = Unprocessed(str(path), stopping=stopping)
    sink.source(header())
    stopping.request()
    with pytest.raises(StalledError, match=r"stopped: -w .*/fifo was held up by its reader"):
        Engine(sink).feed(records(timed([datagram(n) for n in range(50_000)])), ETHERNET)
    sink.close()
    os.close(reading)


@contextmanager
def stdout_to(path: Path) -> Iterator[None]:
    kept = os.dup(1)
    with path.open("wb") as file:
        os.dup2(file.fileno(), 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def test_standard_output(tmp_path: Path) -> None:
    with stdout_to(tmp_path / "stdout"):
        sink = Unprocessed("-")
        engine = Engine(sink)
        for snaplen in (96, 70_000):
            sink.source(header(snaplen=snaplen))
            engine.feed(records(timed([datagram(n) for n in range(2000)])), ETHERNET)
        with pytest.raises(StorageError, match="linktype 101 cannot follow"):
            sink.source(header(RAW))
        sink.close()
        os.write(1, b"open")

    data = (tmp_path / "stdout").read_bytes()
    assert data.endswith(b"open")
    found = parse(data.removesuffix(b"open"))
    assert (len(found.records), found.snaplen) == (4000, 70_000)


def test_waiting_packets_and_prompt_ones(tmp_path: Path) -> None:
    sizes = []
    for prompt in (False, True):
        path = tmp_path / f"{prompt}"
        sink = Unprocessed(str(path), prompt=prompt)
        sink.source(header())
        Engine(sink).feed(records(timed([datagram(1)])), ETHERNET)
        sizes.append(path.stat().st_size)
        sink.close()
        sink.close()
        assert len(held(path)) == 1

    assert sizes == [24, 24 + 16 + len(datagram(1))]
