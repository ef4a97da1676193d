"""What is left of a gap around savefiles that no catalog knows."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemonlogger_py.savefile.catalog_rows import Entry, Gap
from daemonlogger_py.savefile.names import SavefileName
from daemonlogger_py.savefile.strays import parted

from ..pcaps import make
from ..record.bench import at
from ..record.cataloging import NAMING, SECOND_NS, RingDirectory

STOPPED = Gap(number=1, kind="stopped", from_ns=100 * SECOND_NS, run=1, detail="SIGTERM")


@pytest.fixture
def ring(tmp_path: Path) -> Iterator[RingDirectory]:
    with RingDirectory(tmp_path) as made:
        yield made


def left_of(ring: RingDirectory, gap: Gap = STOPPED) -> list[Gap]:
    with ring.catalog() as catalog:
        return parted(gap, catalog, ring.fd, NAMING.listed(ring.fd))


def leave(ring: RingDirectory, epoch: int, *, modified_s: int, packets: int = 1) -> SavefileName:
    name = ring.leave(epoch, packets)
    os.utime(ring.path / name.name, ns=(0, modified_s * SECOND_NS))
    return name


def test_a_gap_ends_where_one_without_a_catalog_began(ring: RingDirectory) -> None:
    leave(ring, 90, modified_s=95)  # before it
    leave(ring, 200, modified_s=210)
    with ring.being_written(leave(ring, 300, modified_s=310)):
        assert left_of(ring) == [STOPPED._replace(to_ns=200 * SECOND_NS)]

    assert left_of(ring) == [
        STOPPED._replace(to_ns=200 * SECOND_NS),
        Gap(kind="stopped", from_ns=310 * SECOND_NS, detail="a recorder without a catalog"),
    ]


def test_it_began_within_the_second_it_is_named_after(ring: RingDirectory) -> None:
    """Its first packet may come hours later."""
    name = leave(ring, 200, modified_s=9000)
    (ring.path / name.name).write_bytes(make.classic(at([0], start_ns=8000 * SECOND_NS)))
    assert left_of(ring)[0].to_ns == 201 * SECOND_NS


def test_what_holds_no_packet_proves_nothing_unless_it_is_written(ring: RingDirectory) -> None:
    empty = leave(ring, 200, modified_s=200, packets=0)
    (ring.path / "t.300").touch()
    (ring.path / "t.400").mkdir()
    (ring.path / "t.500").symlink_to(ring.path / "t.90")
    (ring.path / "t.600").write_bytes(b"no savefile, though longer than its header")
    assert left_of(ring) == [STOPPED]
    with ring.being_written(empty):
        assert left_of(ring) == [STOPPED._replace(to_ns=200 * SECOND_NS)]


def test_what_the_catalog_knows_is_no_stray(ring: RingDirectory) -> None:
    name = leave(ring, 200, modified_s=210)
    with ring.catalog() as catalog:
        catalog.put(Entry(name.name, name.epoch, name.serial, "sealed", 0, 0))
    assert left_of(ring) == [STOPPED]


def test_packets_of_before_the_gap_do_not_end_it(ring: RingDirectory) -> None:
    """The recorder that ended wrote the last one until then, and may not have said so."""
    leave(ring, 100, modified_s=101)
    assert left_of(ring) == [STOPPED]


@pytest.mark.parametrize(
    "gap",
    [STOPPED._replace(to_ns=900 * SECOND_NS), STOPPED._replace(kind="disk_full")],
    ids=["over", "other"],
)
def test_other_gaps_stay_as_they_are(ring: RingDirectory, gap: Gap) -> None:
    leave(ring, 200, modified_s=210)
    assert left_of(ring, gap) == [gap]


def test_a_crash_stays_one(ring: RingDirectory) -> None:
    leave(ring, 200, modified_s=210)
    crashed = STOPPED._replace(kind="crashed", detail="none runs now")
    _, after = left_of(ring, crashed)
    assert (after.kind, after.detail, after.number) == ("crashed", "none runs now", 0)
