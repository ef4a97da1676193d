"""What directory and catalog disagree on, and what a survey says of a savefile."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemonlogger_py.record import census
from daemonlogger_py.savefile.catalog_rows import ARCHIVED, OPEN, RECOVERED, SEALED, Entry
from daemonlogger_py.savefile.holes import Hole

from .cataloging import NAMING, SECOND_NS, RingDirectory


@pytest.fixture
def ring(tmp_path: Path) -> Iterator[RingDirectory]:
    with RingDirectory(tmp_path) as made:
        yield made


def test_a_survey_tells_what_the_savefile_does(ring: RingDirectory) -> None:
    name = ring.leave(1000, packets=4)
    entry = census.surveyed(ring.fd, name)

    path = ring.path / name.name
    assert (entry.name, entry.epoch, entry.state) == ("t.1000", 1000, SEALED)
    assert (entry.packets, entry.first_ns, entry.last_ns) == (4, 1000 * SECOND_NS, 1003 * SECOND_NS)
    assert entry.size_bytes == path.stat().st_size
    assert entry.modified_ns == entry.sealed_ns == path.stat().st_mtime_ns
    assert entry.sha256 == hashlib.sha256(path.read_bytes()).digest()
    assert census.last_packet_ns(ring.fd, name.name) == 1003 * SECOND_NS


def test_what_is_being_written_gone_or_no_file_is_not_surveyed(ring: RingDirectory) -> None:
    name = ring.leave(1000)
    with ring.being_written(name):
        assert census.is_being_written(ring.fd, name.name)
        with pytest.raises(BlockingIOError):
            census.surveyed(ring.fd, name)
        assert census.surveyed(ring.fd, name, sealed=True).packets  # nobody is asked
    assert not census.is_being_written(ring.fd, name.name)
    (ring.path / name.name).unlink()
    assert not census.is_there(ring.fd, name.name)
    assert not census.is_being_written(ring.fd, name.name)
    assert census.last_packet_ns(ring.fd, name.name) == 0
    with pytest.raises(FileNotFoundError):
        census.surveyed(ring.fd, name)
    (ring.path / name.name).mkdir()
    with pytest.raises(FileNotFoundError):
        census.surveyed(ring.fd, name)


def test_one_that_is_pruned_while_it_is_read_is_let_go_of(
    ring: RingDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = ring.leave(1000)
    path = ring.path / name.name
    os.truncate(path, 8 << 20)
    read, pread = 0, os.preadv

    def pruned_meanwhile(fd: int, buffers: list[memoryview], offset: int) -> int:
        nonlocal read
        path.unlink(missing_ok=True)
        read += (got := pread(fd, buffers, offset))
        return got

    monkeypatch.setattr(os, "preadv", pruned_meanwhile)
    with pytest.raises(FileNotFoundError, match="pruned while it was read"):
        census.surveyed(ring.fd, name)
    assert 0 < read < 8 << 20


def test_a_census_finds_what_is_unknown_altered_and_gone(ring: RingDirectory) -> None:
    known, altered, new, gone = (ring.leave(epoch) for epoch in (1000, 1100, 1200, 1300))
    being_written = ring.leave(1400)
    with ring.catalog() as catalog:
        for name in (known, altered, gone):
            catalog.seal(census.surveyed(ring.fd, name))
        catalog.put(Entry(being_written.name, 1400, 0, OPEN, 0, 0, run=7))
        catalog.put(Entry("t.900", 900, 0, ARCHIVED, 24, 0))
        os.utime(ring.path / altered.name, (1, 1))
        (ring.path / gone.name).unlink()
        (ring.path / "t.1500").symlink_to(ring.path / known.name)
        (ring.path / "other.1600").write_bytes(b"")
        found = census.take(catalog, ring.fd, NAMING)

    assert found.unknown == [altered, new, being_written]
    assert found.gone == [gone.name]
    assert [(entry.name, entry.run) for entry in found.open] == [(being_written.name, 7)]
    assert found.archived == ["t.900"]


def test_others_are_served_during_a_long_census(
    ring: RingDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(census, "_AT_ONCE", 2)
    names = [ring.leave(epoch) for epoch in range(1000, 1005)]
    with ring.catalog() as catalog:
        for name in names:
            catalog.seal(census.surveyed(ring.fd, name))
        (ring.path / names[2].name).unlink()
        served: list[int] = []
        found = census.take(catalog, ring.fd, NAMING, lambda: served.append(1))

    assert len(served) == 3
    assert (found.unknown, found.gone) == ([], [names[2].name])


def test_what_pruning_does_not_explain_is_a_hole(ring: RingDirectory) -> None:
    names = [ring.leave(epoch) for epoch in range(1000, 1800, 100)]
    with ring.catalog() as catalog:
        for name in names:
            catalog.seal(census.surveyed(ring.fd, name))
        for number in (0, 1, 3, 4, 6):
            (ring.path / names[number].name).unlink()
        found = census.take(catalog, ring.fd, NAMING)

    assert found.gone == [names[number].name for number in (0, 1, 3, 4, 6)]
    assert found.holes == [
        Hole(("t.1300", "t.1400"), 6, 1300 * SECOND_NS, 1402 * SECOND_NS),
        Hole(("t.1600",), 3, 1600 * SECOND_NS, 1602 * SECOND_NS),
    ]


def test_what_is_compressed_is_no_hole(ring: RingDirectory) -> None:
    names = [ring.leave(epoch) for epoch in range(1000, 1500, 100)]
    with ring.catalog() as catalog:
        for name in names:
            catalog.seal(census.surveyed(ring.fd, name))
        for name in names[:2]:
            (ring.path / name.name).rename(ring.path / f"{name.name}.zst")
        (ring.path / names[3].name).unlink()
        found = census.take(catalog, ring.fd, NAMING)

    assert found.gone == [names[number].name for number in (0, 1, 3)]
    assert [hole.names for hole in found.holes] == [(names[3].name,)]


def test_an_entry_that_was_never_hashed_is_surveyed(ring: RingDirectory) -> None:
    name = ring.leave(1000)
    with ring.catalog() as catalog:
        catalog.put(census.surveyed(ring.fd, name)._replace(sha256=None))
        assert census.take(catalog, ring.fd, NAMING).unknown == [name]


def test_what_only_the_recorder_knew_is_kept(ring: RingDirectory) -> None:
    entry = census.surveyed(ring.fd, ring.leave(1000))
    known = entry._replace(
        state=OPEN, opened_ns=5, sealed_ns=None, dropped=6, lost=7, run=9, sha256=None
    )

    kept = census.completed(entry, known, recovered=False)
    assert kept == entry._replace(opened_ns=5, dropped=6, lost=7, run=9)
    sealed = census.completed(entry, known._replace(sealed_ns=8), recovered=False)
    assert sealed == kept._replace(sealed_ns=8)
    recovered = census.completed(entry, known, recovered=True)
    assert (recovered.state, recovered.why) == (RECOVERED, "killed")
    assert census.completed(entry, recovered, recovered=False).state == RECOVERED
    assert census.completed(entry, None, recovered=False) == entry
