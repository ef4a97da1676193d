"""All limits of a savefile together, against what a reader of the manual expects."""

from hypothesis import given
from hypothesis import strategies as st

from daemonlogger_py.config.recorder import RollTime
from daemonlogger_py.engine.protocol import Stop

from ..pcaps import make
from .bench import Bench
from .fakes import FakeSource, Step

S = 10**9


def expected_files(
    packets: list[make.Packet],
    roll_size: int,
    roll_packets: int | None,
    roll_s: int | None,
    count: int | None,
    max_files: int | None,
) -> list[list[make.Packet]]:
    """What a reader of the manual expects in each savefile."""
    files: list[list[make.Packet]] = []
    held: list[make.Packet] = []
    size = 24
    boundary_ns = None
    for received, packet in enumerate(packets, 1):
        if boundary_ns is not None and packet.time_ns >= boundary_ns:
            if held:
                files.append(held)
                held, size = [], 24
            if len(files) == max_files:
                break
            while boundary_ns <= packet.time_ns:
                boundary_ns += (roll_s or 0) * S
        if boundary_ns is None and roll_s is not None:
            boundary_ns = packet.time_ns + roll_s * S
        held.append(packet)
        size += 16 + len(packet.data)
        if received == count:
            break
        if size >= roll_size or len(held) == roll_packets:
            files.append(held)
            held, size = [], 24
            if len(files) == max_files:
                break
    return [*files, held] if held else files


@given(
    steps=st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 200)), min_size=1, max_size=60),
    script=st.lists(st.tuples(st.integers(0, 9), st.sampled_from([Stop.FULL, Stop.WAKE]))),
    roll_size=st.sampled_from([1 << 31, 400]) | st.integers(1, 2000),
    roll_packets=st.none() | st.integers(1, 10),
    roll_s=st.none() | st.integers(1, 5),
    count=st.none() | st.integers(1, 60),
    max_files=st.none() | st.integers(1, 9),
    direct=st.booleans(),
)
def test_all_limits_together(
    steps: list[tuple[int, int]],
    script: list[tuple[int, Stop]],
    roll_size: int,
    roll_packets: int | None,
    roll_s: int | None,
    count: int | None,
    max_files: int | None,
    direct: bool,
) -> None:
    now_ns, packets = make.START_NS, []
    for number, (step_ms, size) in enumerate(steps):
        now_ns += step_ms * 10**6
        packets.append(make.Packet(now_ns, bytes([number]) * size))
    with Bench() as bench:
        source = FakeSource(packets, [Step(n, stop) for n, stop in script])
        totals = bench.record(
            source,
            roll_size=roll_size,
            roll_packets=roll_packets,
            roll_time=None if roll_s is None else RollTime(roll_s, "s"),
            count=count,
            max_files=max_files,
            direct=direct,
        )
        files = expected_files(packets, roll_size, roll_packets, roll_s, count, max_files)

        assert list(bench.savefiles().values()) == files
        assert totals.written == sum(len(held) for held in files)
        assert totals.received == totals.written + totals.lost
        assert totals.files == len(files)
        assert totals.size_bytes == bench.size_bytes()
