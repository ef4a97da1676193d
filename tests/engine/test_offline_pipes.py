"""Pipes as a source: any chunks, stalls, deadlines, wake-ups and endings; nothing is lost."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemonlogger_py.engine.buffer import Buffer
from daemonlogger_py.engine.offline import FileSource
from daemonlogger_py.engine.protocol import NEVER_NS, Stop
from daemonlogger_py.errors import SourceError
from daemonlogger_py.record.signals import Signals

from ..pcaps import make
from ..pcaps.parse import parse
from .reading import MANY, Pipe, drain, fed, fill, piped, records_of

# A source that does not wake up would wait for ever.
pytestmark = pytest.mark.timeout(30)

CAPTURES = make.captures()
MIXTURE = parse(CAPTURES["us.pcap"]).records
FORMATS = ["us.pcap", "us_big_endian.pcap", "modified.pcap", "us.pcapng"]


@contextmanager
def opened(pipe: Pipe, filter_text: str = "") -> Iterator[FileSource]:
    source = pipe.source(filter_text=filter_text)
    try:
        yield source
    finally:
        source.close()


def split(data: bytes, at: list[int]) -> list[bytes]:
    edges = [0, *sorted(at), len(data)]
    return [data[a:b] for a, b in pairwise(edges) if a < b]


def ends(name: str) -> list[int]:
    """Offsets behind each packet of a capture of the mixture."""
    data = CAPTURES[name]
    found = [0]
    for cut in range(len(data)):
        count = len(parse(data[:cut]).records) if cut >= 24 else 0
        if count == len(found):
            found.append(cut)
    return [*found[1:], len(data)]


def wait_until_read(pipe: Pipe) -> None:
    """Wait until the other thread has taken all that was put."""
    while pipe.unread():
        time.sleep(0.0005)


@given(
    name=st.sampled_from(FORMATS),
    cuts=st.lists(st.integers(0, 2672), max_size=30),
    capacity=st.sampled_from([1 << 16, 1 << 19]),
)
def test_any_chunks_give_the_same_records(name: str, cuts: list[int], capacity: int) -> None:
    chunks = split(CAPTURES[name], [min(cut, len(CAPTURES[name])) for cut in cuts])
    with piped() as pipe, fed(pipe, chunks), opened(pipe) as source:
        taken, reason = drain(source, capacity)

        assert reason is Stop.END
        assert records_of(source, taken) == MIXTURE


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("chunk_bytes", [1000, 4096, 65536, 1 << 20])
def test_more_than_a_pipe_holds(order: str, chunk_bytes: int) -> None:
    held = make.stamped([bytes([i % 251]) * (i % 1500) for i in range(3000)])
    data = make.classic(held, order=order)
    chunks = [data[i : i + chunk_bytes] for i in range(0, len(data), chunk_bytes)]
    with piped() as pipe, fed(pipe, chunks), opened(pipe) as source:
        taken, reason = drain(source, 1 << 17)

        assert reason is Stop.END
        assert taken == make.classic(held)[24:]


@pytest.mark.parametrize("order", "<>")
def test_one_byte_at_a_time(order: str) -> None:
    held = make.mixture()[:2]
    data = make.classic(held, order=order)
    chunks = [data[i : i + 1] for i in range(len(data))]
    with piped() as pipe, fed(pipe, chunks), opened(pipe) as source:
        assert drain(source) == (make.classic(held)[24:], Stop.END)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("whole", [0, 1, 11])
def test_deadline_on_a_stalled_pipe(name: str, whole: int) -> None:
    end = ends(name)[whole - 1] if whole else (24 if name.endswith(".pcap") else 48)
    with piped() as pipe:
        pipe.put(CAPTURES[name][:end])
        with opened(pipe) as source:
            buffer = Buffer(1 << 17)
            for _ in range(3):
                assert fill(source, buffer, deadline_ns=0) is Stop.DEADLINE
            assert buffer.packets == whole
            pipe.put(CAPTURES[name][end:])
            pipe.end()
            assert fill(source, buffer) is Stop.END
            assert records_of(source, bytes(buffer)) == MIXTURE


@pytest.mark.parametrize("name", FORMATS)
def test_deadline_in_the_future_is_waited_for(name: str) -> None:
    with piped() as pipe:
        pipe.put(CAPTURES[name][: ends(name)[0]])
        with opened(pipe) as source:
            buffer = Buffer(1 << 17)
            deadline_ns = time.monotonic_ns() + 3_000_000
            assert fill(source, buffer, deadline_ns=deadline_ns) is Stop.DEADLINE

            assert time.monotonic_ns() >= deadline_ns
            assert buffer.packets == 1


@pytest.mark.parametrize("name", FORMATS)
def test_record_does_not_wait_longer_than_its_hold(name: str) -> None:
    hold_ns = 3_000_000
    with piped() as pipe:
        pipe.put(CAPTURES[name][: ends(name)[0]])
        with opened(pipe) as source:
            buffer = Buffer(1 << 17)
            assert fill(source, buffer, hold_ns=hold_ns) is Stop.DEADLINE

            assert buffer.packets == 1
            assert time.monotonic_ns() >= buffer.waiting_since_ns + hold_ns


@pytest.mark.parametrize("name", FORMATS)
def test_hold_does_not_end_the_wait_for_a_first_record(name: str) -> None:
    end = ends(name)[0]
    chunks = [CAPTURES[name][end:]]
    with piped() as pipe:
        pipe.put(CAPTURES[name][: 24 if name.endswith(".pcap") else 48])
        with opened(pipe) as source:
            pipe.put(CAPTURES[name][24 if name.endswith(".pcap") else 48 : end])
            buffer = Buffer(1 << 17)
            assert fill(source, buffer, hold_ns=0) is Stop.DEADLINE
            assert buffer.packets == 1
            buffer.clear()
            with fed(pipe, chunks):
                assert fill(source, buffer, hold_ns=0) in (Stop.DEADLINE, Stop.END)
                assert buffer.packets > 0


@pytest.mark.parametrize("name", FORMATS)
def test_wake_up_ends_a_fill_and_loses_nothing(name: str) -> None:
    end = ends(name)[4]
    with piped() as pipe:
        pipe.put(CAPTURES[name][:end])
        with opened(pipe) as source:
            buffer = Buffer(1 << 17)
            pipe.wake()
            assert fill(source, buffer) is Stop.WAKE
            assert fill(source, buffer, deadline_ns=0) is Stop.WAKE, "it is the caller's to drain"
            os.read(pipe.wake_fd, 64)
            pipe.put(CAPTURES[name][end:])
            pipe.end()

            assert fill(source, buffer) is Stop.END
            assert records_of(source, bytes(buffer)) == MIXTURE


@pytest.mark.parametrize("name", FORMATS)
def test_wake_up_ends_a_wait(name: str) -> None:
    with piped() as pipe:
        pipe.put(CAPTURES[name][: ends(name)[4]])
        with opened(pipe) as source:

            def wake() -> None:
                wait_until_read(pipe)
                pipe.wake()

            thread = threading.Thread(target=wake)
            thread.start()
            buffer = Buffer(1 << 17)
            reason = fill(source, buffer)
            thread.join()

            assert reason is Stop.WAKE
            assert buffer.packets == 5


def test_wake_up_is_noticed_among_records_that_are_all_refused() -> None:
    held = make.stamped([b"\0" * 20] * 10_000)
    with piped() as pipe:
        data = make.classic(held, order=">")
        with fed(pipe, [data]), opened(pipe, filter_text="ether[0] = 1") as source:
            pipe.wake()
            buffer = Buffer(1 << 17)
            assert fill(source, buffer) is Stop.WAKE
            os.read(pipe.wake_fd, 64)
            assert fill(source, buffer) is Stop.END
            assert buffer.packets == 0


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("torn_bytes", [0, 5, 30])
def test_finishing_a_stalled_pipe(name: str, torn_bytes: int) -> None:
    """What is in memory still comes; a record that has not arrived is no damage."""
    end = ends(name)[3]
    with piped() as pipe:
        pipe.put(CAPTURES[name][:end])
        with opened(pipe) as source:
            buffer = Buffer(1 << 17)
            assert fill(source, buffer, packets_left=2) is Stop.PACKETS
            pipe.put(CAPTURES[name][end : end + torn_bytes])
            if torn_bytes == 0 or name == "us.pcap":
                # libpcap waits in the middle of a record: see below.
                assert fill(source, buffer, deadline_ns=0) is Stop.DEADLINE
                assert buffer.packets == 4
            source.finish()

            assert fill(source, buffer) is Stop.END
            assert source.failure is None
            assert records_of(source, bytes(buffer)) == MIXTURE[:4]


def test_finishing_hands_out_what_was_read_and_not_looked_at() -> None:
    """One read takes many records; a budget ends the fill among them."""
    with piped() as pipe:
        pipe.put(CAPTURES["us.pcap"][:-20])
        with opened(pipe) as source:
            buffer = Buffer(1 << 17)
            assert fill(source, buffer, packets_left=3) is Stop.PACKETS
            source.finish()

            assert fill(source, buffer) is Stop.END
            assert source.failure is None
            assert records_of(source, bytes(buffer)) == MIXTURE[:11]


@pytest.mark.parametrize("order", "<>")
def test_records_that_fill_whole_reads_do_not_wait_for_more(order: str) -> None:
    """Where a block of libpcap's reading ends with a record, what follows in memory still comes."""
    whole = 1 << 12
    held = [
        make.Packet(make.START_NS, b"a" * (whole - 48 - 32)),
        *(make.Packet(make.START_NS, bytes([i]) * (whole - 32)) for i in range(7)),
    ]
    data = make.section(order) + make.interface(order=order)
    data += b"".join(make.enhanced(packet, order=order) for packet in held)
    with piped() as pipe:
        pipe.put(data)
        with opened(pipe) as source:
            buffer = Buffer(1 << 17)
            assert fill(source, buffer, deadline_ns=0) is Stop.DEADLINE

            assert bytes(buffer) == make.classic(held)[24:]


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("count", [1, 30, 60])
def test_finishing_hands_out_everything_that_was_received(order: str, count: int) -> None:
    """Also what opening read in advance, and what libpcap has not looked at."""
    held = make.stamped([bytes([i]) * 1000 for i in range(count)])
    data = make.section(order) + make.interface(order=order)
    data += b"".join(make.enhanced(packet, order=order) for packet in held)
    with piped() as pipe:
        pipe.put(data)
        with opened(pipe) as source:
            source.finish()
            taken, reason = drain(source)

            assert reason is Stop.END
            assert [r.data for r in records_of(source, taken)] == [p.data for p in held]


def test_finishing_in_the_middle_of_a_file_is_no_damage(tmp_path) -> None:
    held = make.stamped([b"x" * 1000] * 300)
    path = tmp_path / "x.pcap"
    path.write_bytes(make.classic(held))
    with path.open("rb") as file, piped() as pipe:
        source = FileSource(file.fileno(), name="x.pcap", wake_fd=pipe.wake_fd)
        buffer = Buffer(100_000)
        assert fill(source, buffer) is Stop.FULL
        source.finish()
        reason = fill(source, Buffer(1 << 20))

        assert (reason, source.failure) == (Stop.END, None)
        source.close()


@pytest.mark.parametrize("name", ["us_big_endian.pcap", "modified.pcap", "us.pcapng"])
@pytest.mark.parametrize("torn_bytes", [3, 13, 30])
def test_finishing_in_the_middle_of_a_record_that_libpcap_reads(name: str, torn_bytes: int) -> None:
    end = ends(name)[3]
    with piped() as pipe:
        pipe.put(CAPTURES[name][: end + torn_bytes])
        with opened(pipe) as source:

            def finish() -> None:
                wait_until_read(pipe)
                source.finish()
                pipe.wake()

            thread = threading.Thread(target=finish)
            thread.start()
            buffer = Buffer(1 << 17)
            reason = fill(source, buffer)
            thread.join()

            assert (reason, source.failure) == (Stop.END, None)
            assert records_of(source, bytes(buffer)) == MIXTURE[:4]


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("torn_bytes", [0, 13])
def test_signal_finishes_a_stalled_pipe(name: str, torn_bytes: int) -> None:
    """As in the recorder: the handler finishes the source, wherever it waits."""
    end = ends(name)[3]
    with piped() as pipe, closing(Signals()) as signals, signals:
        pipe.wake_fd = signals.wake_fd
        pipe.put(CAPTURES[name][: end + torn_bytes])
        with opened(pipe) as source:
            signals.on_finish = source.finish

            def send() -> None:
                wait_until_read(pipe)
                os.kill(os.getpid(), signal.SIGTERM)

            thread = threading.Thread(target=send)
            thread.start()
            buffer = Buffer(1 << 17)
            reason = fill(source, buffer)
            thread.join()
            while reason in (Stop.WAKE, Stop.DEADLINE):  # between records the loop is asked first
                signals.drain()
                reason = fill(source, buffer)

            assert signals.finish is signal.SIGTERM
            assert (reason, source.failure) == (Stop.END, None)
            assert records_of(source, bytes(buffer)) == MIXTURE[:4]


@pytest.mark.parametrize("name", FORMATS)
def test_stall_in_the_middle_of_a_record_outlasts_a_wake_up(name: str) -> None:
    """HUP or USR1 while half a record is there: the other half is still waited for."""
    end = ends(name)[3]
    with piped() as pipe:
        pipe.put(CAPTURES[name][: end + 13])
        with opened(pipe) as source:

            def wake_and_go_on() -> None:
                wait_until_read(pipe)
                pipe.wake()
                pipe.put(CAPTURES[name][end + 13 :])
                pipe.end()

            thread = threading.Thread(target=wake_and_go_on)
            thread.start()
            buffer = Buffer(1 << 17)
            reason = fill(source, buffer)
            thread.join()
            if reason is Stop.WAKE:
                os.read(pipe.wake_fd, 64)
                reason = fill(source, buffer)

            assert reason is Stop.END
            assert records_of(source, bytes(buffer)) == MIXTURE


@pytest.mark.parametrize("size", [0, 10, 23])
def test_pipe_that_ends_within_the_file_header(size: int) -> None:
    with piped() as pipe:
        pipe.put(CAPTURES["us.pcap"][:size])
        pipe.end()
        with pytest.raises(SourceError, match=r"^-R standard input: not a savefile"):
            pipe.source()


@pytest.mark.parametrize("name", FORMATS)
def test_budgets_hold_on_a_pipe(name: str) -> None:
    times_ns = parse(CAPTURES[name]).times_ns()
    with piped() as pipe:
        pipe.put(CAPTURES[name])
        with opened(pipe) as source:
            buffer = Buffer(1 << 17)
            assert source.fill(buffer, MANY, 3, NEVER_NS, MANY, NEVER_NS) == Stop.PACKETS
            assert source.fill(buffer, MANY, MANY, times_ns[7], MANY, NEVER_NS) == Stop.TIME
            assert source.fill(buffer, 1, MANY, NEVER_NS, MANY, NEVER_NS) == Stop.SIZE
            assert buffer.packets == 8
            assert source.fill(buffer, MANY, MANY, NEVER_NS, MANY, 0) == Stop.DEADLINE
            assert records_of(source, bytes(buffer)) == MIXTURE
