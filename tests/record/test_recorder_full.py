"""A ring on a volume that is too small: it goes on, and nothing is lost except by pruning."""

import errno
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemonlogger_py.engine.protocol import Stop
from daemonlogger_py.record import room, writer

from ..pcaps import make
from .bench import Bench, at, packets_in
from .desk import Disk
from .fakes import FakeSource, Step


def everything(bench: Bench, disk: Disk) -> list[make.Packet]:
    """The packets of all savefiles there ever were, in the order of their names."""
    paths = [str(facts["path"]) for facts in bench.told.facts("savefile")]
    left = [name for path in paths if (name := os.path.basename(path)) in bench.names()]
    assert len(paths) == len(disk.pruned) + len(left)
    contents = [*disk.pruned, *(bench.path(name).read_bytes() for name in left)]
    return [packet for data in contents for packet in packets_in(data)]


@given(
    sizes=st.lists(st.integers(0, 900), min_size=1, max_size=80),
    script=st.lists(
        st.tuples(st.integers(1, 12), st.sampled_from([Stop.FULL, Stop.DEADLINE]), st.just(False)),
        max_size=30,
    ),
    room_bytes=st.integers(9000, 30_000),
    roll_size=st.sampled_from([1 << 31, 6000, 12_000]),
    direct=st.booleans(),
    flush=st.booleans(),
)
def test_nothing_is_lost_except_by_pruning(
    sizes: list[int],
    script: list[tuple[int, Stop, bool]],
    room_bytes: int,
    roll_size: int,
    direct: bool,
    flush: bool,
) -> None:
    packets = [
        make.Packet(make.START_NS + n * 10**8, bytes([n]) * size) for n, size in enumerate(sizes)
    ]
    with Bench() as bench:
        bench.patch.setattr(writer, "LEAST_EARLY_BYTES", 2000)
        bench.patch.setattr(room, "RETRY_S", 0.001)
        disk = Disk(bench.folder, bench.patch, room_bytes, errno.ENOSPC)
        source = FakeSource(packets, [Step(count, stop) for count, stop, _ in script])
        totals = bench.record(source, ring=True, roll_size=roll_size, direct=direct, flush=flush)

        assert everything(bench, disk) == packets
        assert (totals.received, totals.written, totals.lost) == (len(packets), len(packets), 0)
        sizes_written = sum(map(len, disk.pruned)) + bench.size_bytes()
        assert totals.size_bytes == sizes_written


@pytest.mark.parametrize("direct", [False, True])
@pytest.mark.parametrize("live", [False, True])
def test_volume_is_filled_many_times_over(bench: Bench, direct: bool, live: bool) -> None:
    bench.patch.setattr(writer, "LEAST_EARLY_BYTES", 4096)
    packets = at([n / 2000 for n in range(1500)], size=1000)
    disk = Disk(bench.folder, bench.patch, 100_000, errno.ENOSPC)
    steps = [Step(10, Stop.FULL) for _ in range(150)]
    totals = bench.record(FakeSource(packets, steps, live=live), ring=True, direct=direct)

    assert everything(bench, disk) == packets
    assert totals.lost == 0
    # The first savefile filled the volume; those after it leave room for others.
    assert len(bench.told.texts("early_roll")) >= 1
    assert len(disk.pruned) > 10


def test_first_savefiles_of_the_ring_are_the_oldest(bench: Bench) -> None:
    """What is pruned is what came first, also across an early roll-over."""
    bench.patch.setattr(writer, "LEAST_EARLY_BYTES", 4096)
    packets = at(range(900), size=500)
    disk = Disk(bench.folder, bench.patch, 50_000, errno.ENOSPC)
    bench.record(FakeSource(packets, [Step(5, Stop.FULL) for _ in range(180)]), ring=True)

    assert [p for data in disk.pruned for p in packets_in(data)] == packets[
        : sum(len(packets_in(data)) for data in disk.pruned)
    ]
    newest = packets_in(bench.path(bench.names()[-1]).read_bytes())
    assert newest[-1] == packets[-1]
