"""Which savefiles there are, what is believed of them, and what is left out of a span."""

import fcntl
import gzip
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from daemonlogger_py.config.archive import Where
from daemonlogger_py.errors import CatalogError, SourceError, UsageError
from daemonlogger_py.readers import archive as module
from daemonlogger_py.readers import members as members_module
from daemonlogger_py.readers import place
from daemonlogger_py.readers.archive import Archive, Member
from daemonlogger_py.savefile.catalog_rows import ARCHIVED, OPEN, Gap

from .made_ring import (
    EVERY_S,
    FIRST,
    HEADER,
    NS,
    PREFIX,
    SIZE_BYTES,
    add_gap,
    entry,
    make_ring,
    open_catalog,
    write_savefile,
)


def members(*rings: Path, **where: object) -> list[Member]:
    asked = Where(rings=tuple(map(str, rings)), **where)  # type: ignore[arg-type]
    with Archive(asked) as archive:
        assert archive.complaints == []
        return archive.members()


def of_paths(*paths: Path, **where: object) -> list[str]:
    asked = Where(paths=tuple(map(str, paths)), **where)  # type: ignore[arg-type]
    with Archive(asked) as archive:
        return [member.name for member in archive.members()]


def names(found: list[Member]) -> list[str]:
    return [member.name for member in found]


def seconds(number: int) -> int:
    return (FIRST + number) * NS


def test_savefiles_with_what_the_catalog_knows(tmp_path: Path) -> None:
    made = make_ring(tmp_path)
    found = members(tmp_path)
    assert names(found) == made
    first = found[0]
    assert (first.epoch, first.serial, first.size_bytes, first.state) == (
        FIRST, 0, SIZE_BYTES, "sealed",
    )  # fmt: skip
    assert first.shown == f"{tmp_path}/{made[0]}"
    assert first.entry is not None
    assert first.entry.packets == 50
    assert first.directory.index_dir == f"{tmp_path}/{PREFIX}.index"


def test_order_is_by_number(tmp_path: Path) -> None:
    for name in ("p.9", "p.10", "p.10.001", "p.10.1000", "p.10.002", "q.1", "p.x", "p.1.bak"):
        (tmp_path / name).write_bytes(HEADER)
    (tmp_path / "p.11").mkdir()
    (tmp_path / "p.12").symlink_to("p.9")
    found = members(tmp_path, prefix="p")
    assert names(found) == ["p.9", "p.10", "p.10.001", "p.10.002", "p.10.1000"]


@pytest.mark.parametrize("how", ["touched", "grown", "open", "unknown"])
def test_an_entry_is_believed_while_the_file_is_as_it_was(tmp_path: Path, how: str) -> None:
    made = make_ring(tmp_path)
    path = tmp_path / made[0]
    if how == "touched":
        os.utime(path, ns=(1, 1))
    elif how == "grown":
        status = path.stat()
        path.write_bytes(path.read_bytes() + b"x")
        os.utime(path, ns=(1, status.st_mtime_ns))
    else:
        with open_catalog(tmp_path) as catalog:
            known = catalog.entry(made[0])
            assert known is not None
            catalog.put(known._replace(state=OPEN)) if how == "open" else catalog.remove(made[0], 1)
    first, second, _ = members(tmp_path)
    assert (first.entry, first.state) == (None, "unknown")
    assert second.entry is not None


def test_what_is_being_written_is_open(tmp_path: Path) -> None:
    make_ring(tmp_path)
    path = tmp_path / f"{PREFIX}.{FIRST + 1000}"
    path.write_bytes(HEADER)
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        newest = members(tmp_path)[-1]
        assert (newest.name, newest.state, newest.entry) == (path.name, "open", None)
    assert members(tmp_path)[-1].state == "unknown"


def test_asking_again_sees_what_changed(tmp_path: Path) -> None:
    made = make_ring(tmp_path)
    with Archive(Where(rings=(str(tmp_path),))) as archive:
        assert names(archive.members()) == made
        (tmp_path / made[0]).unlink()
        status = write_savefile(tmp_path / f"{PREFIX}.{FIRST + 900}", FIRST + 900)
        with open_catalog(tmp_path) as catalog:
            catalog.seal(entry(f"{PREFIX}.{FIRST + 900}", FIRST + 900, status))
        found = archive.members()
        assert names(found) == [*made[1:], f"{PREFIX}.{FIRST + 900}"]
        assert found[-1].entry is not None


def test_a_member_is_opened_until_it_is_pruned(tmp_path: Path) -> None:
    make_ring(tmp_path)
    with Archive(Where(rings=(str(tmp_path),))) as archive:
        first = archive.members()[0]
        fd = first.open()
        assert os.read(fd, 24) == HEADER
        os.close(fd)
        (tmp_path / first.name).unlink()
        with pytest.raises(FileNotFoundError):
            first.open()


SPANS = [
    (None, None, [0, 1, 2, 3, 4]),
    (seconds(EVERY_S), None, [1, 2, 3, 4]),
    (None, seconds(EVERY_S), [0]),
    (seconds(EVERY_S) + 5000, seconds(EVERY_S) + 5001, [1]),
    (seconds(2 * EVERY_S + 30), seconds(3 * EVERY_S + 5), [2, 3]),
    (seconds(50), seconds(60), []),  # between two packets
    (seconds(10_000), None, []),
    (None, seconds(-10_000), []),
]


@pytest.mark.parametrize(("from_ns", "to_ns", "expected"), SPANS)
def test_a_span_by_the_catalog(
    tmp_path: Path, from_ns: int | None, to_ns: int | None, expected: list[int]
) -> None:
    made = make_ring(tmp_path, savefiles=5)
    found = members(tmp_path, from_ns=from_ns, to_ns=to_ns)
    assert names(found) == [made[number] for number in expected]


@pytest.mark.parametrize(("from_ns", "to_ns", "expected"), SPANS)
@pytest.mark.parametrize("listed", [0, 3])
def test_a_span_without_entries_leaves_nothing_out(
    tmp_path: Path, from_ns: int | None, to_ns: int | None, expected: list[int], listed: int
) -> None:
    made = make_ring(tmp_path, savefiles=5, listed=listed)
    found = names(members(tmp_path, from_ns=from_ns, to_ns=to_ns))
    assert {made[number] for number in expected} <= set(found)
    # Neighbours tell nearly as much: at most one savefile too many, at either end.
    assert len(found) <= len(expected) + 2


def test_what_could_not_be_walked_may_hold_any_time(tmp_path: Path) -> None:
    made = make_ring(tmp_path)
    with open_catalog(tmp_path) as catalog:
        for name, ordered in ((made[0], True), (made[1], False)):
            known = catalog.entry(name)
            assert known is not None
            catalog.put(known._replace(packets=0, first_ns=None, last_ns=None, ordered=ordered))
    assert names(members(tmp_path, from_ns=seconds(100_000))) == [made[1]]


def test_what_could_not_be_walked_reaches_from_its_name_to_its_last_change(tmp_path: Path) -> None:
    make_ring(tmp_path, savefiles=1)
    with open_catalog(tmp_path) as catalog:
        known = next(catalog.entries())
        unwalked = known._replace(packets=0, first_ns=None, last_ns=None, ordered=False)
        catalog.put(unwalked)
    with Archive(Where(rings=(str(tmp_path),))) as archive:
        assert archive.covered() == (seconds(0), seconds(EVERY_S))
        assert archive.covered(from_ns=seconds(20)) == (seconds(20), seconds(EVERY_S))
    with open_catalog(tmp_path) as catalog:
        catalog.put(unwalked._replace(ordered=True))  # there is nothing in it
    with Archive(Where(rings=(str(tmp_path),))) as archive:
        assert archive.covered() == (None, None)


def test_without_a_catalog(tmp_path: Path) -> None:
    made = make_ring(tmp_path)
    (tmp_path / f"{PREFIX}.catalog").unlink()
    found = members(tmp_path)
    assert names(found) == made
    assert {(member.state, member.entry) for member in found} == {("unknown", None)}


def test_a_damaged_catalog_is_complained_of_once(tmp_path: Path) -> None:
    made = make_ring(tmp_path)
    (tmp_path / f"{PREFIX}.catalog").write_bytes(b"no database" * 1000)
    with Archive(Where(rings=(str(tmp_path),))) as archive:
        assert names(archive.members()) == made
        archive.members()
        assert archive.gaps() == []
        ((path, line),) = archive.complaints
    assert path == str(tmp_path / f"{PREFIX}.catalog")
    assert line.startswith(f"{path}: is damaged")
    assert "read without it" in line


def test_a_damaged_row_is_not_believed(tmp_path: Path) -> None:
    import sqlite3

    made = make_ring(tmp_path)
    connection = sqlite3.connect(tmp_path / f"{PREFIX}.catalog")
    connection.execute("UPDATE savefile SET last_ns = 5 WHERE name = ?", (made[0],))
    connection.commit()
    connection.close()
    with Archive(Where(rings=(str(tmp_path),), from_ns=seconds(0))) as archive:
        found = archive.members()
        assert names(found) == made
        assert found[0].entry is None
        assert len(archive.complaints) == 1


def test_rows_of_savefiles_that_are_elsewhere_are_no_members(tmp_path: Path) -> None:
    made = make_ring(tmp_path)
    with open_catalog(tmp_path) as catalog:
        known = catalog.entry(made[0])
        assert known is not None
        catalog.put(known._replace(state=ARCHIVED))
    (tmp_path / made[0]).unlink()
    assert names(members(tmp_path)) == made[1:]


def test_a_directory_stands_for_its_rings_and_captures(tmp_path: Path) -> None:
    for name in ("b.2", "a.10", "a.9", "other.pcap"):
        (tmp_path / name).write_bytes(HEADER)
    (tmp_path / "notes.txt").write_text("nothing to see")
    (tmp_path / "a.8.damaged").write_bytes(HEADER)
    assert of_paths(tmp_path) == ["a.9", "a.10", "b.2", "other.pcap"]


def test_savefiles_that_are_named(tmp_path: Path) -> None:
    made = make_ring(tmp_path)
    (tmp_path / "x.pcap").write_bytes(HEADER)
    paths = [tmp_path / name for name in (made[2], made[0], "x.pcap", made[0])]
    with Archive(Where(paths=tuple(map(str, paths)))) as archive:
        found = archive.members()
        assert names(found) == [made[0], made[2], "x.pcap"]
        assert [member.entry is not None for member in found] == [True, True, False]
        assert found[2].directory.index_dir is None


def test_a_name_in_this_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_ring(tmp_path)
    monkeypatch.chdir(tmp_path)
    with Archive(Where(paths=(f"{PREFIX}.{FIRST}",))) as archive:
        (found,) = archive.members()
        assert (found.shown, found.entry is not None) == (f"{PREFIX}.{FIRST}", True)


def test_a_link_that_is_named_is_followed(tmp_path: Path) -> None:
    (tmp_path / "a.1").write_bytes(HEADER)
    (tmp_path / "link").symlink_to("a.1")
    assert of_paths(tmp_path / "link") == ["link"]


def test_what_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for path, what in (
        ("gone", "No such file or directory"),
        ("empty", "no savefiles in this directory"),
        ("pipe", "not a regular file"),
    ):
        with pytest.raises(SourceError, match=what):
            Archive(Where(paths=(str(tmp_path / path),)))
    for where, what in (
        (Where(rings=(str(tmp_path / "gone"),)), "No such file or directory"),
        (Where(rings=(str(tmp_path / "empty"),)), "no savefiles PREFIX.EPOCH"),
        (Where(rings=(str(tmp_path),), prefix="a/b"), "--prefix"),
    ):
        with pytest.raises(UsageError, match=what):
            Archive(where)


def test_no_descriptor_stays_open(tmp_path: Path) -> None:
    make_ring(tmp_path / "a")
    make_ring(tmp_path / "b")
    before = len(os.listdir("/proc/self/fd"))
    asked = Where(paths=(str(tmp_path / "a"),), rings=(str(tmp_path / "b"),))
    with Archive(asked) as archive:
        assert len(archive.members()) == 6
        archive.close()
    with pytest.raises(SourceError):
        Archive(asked._replace(paths=(*asked.paths, "gone")))
    assert len(os.listdir("/proc/self/fd")) == before


def test_gaps_of_several_rings_by_time(tmp_path: Path) -> None:
    for name, begin in (("a", 100), ("b", 50)):
        make_ring(tmp_path / name)
        add_gap(tmp_path / name, "stopped", begin, begin + 5)
    where = Where(rings=(str(tmp_path / "a"), str(tmp_path / "b")))
    with Archive(where) as archive:
        assert [gap.from_ns for _, gap in archive.gaps()] == [seconds(50), seconds(100)]
        assert [gap.from_ns for _, gap in archive.gaps(seconds(60))] == [seconds(100)]
        assert archive.gaps(to_ns=seconds(50)) == []
    with Archive(where._replace(from_ns=seconds(60))) as archive:
        assert len(archive.gaps()) == 1


def test_savefiles_that_are_named_have_their_own_gaps(tmp_path: Path) -> None:
    made = make_ring(tmp_path)
    add_gap(tmp_path, "stopped", 1, 2)
    add_gap(tmp_path, "dropped", 3, 4, packets=7, savefile=made[1])
    for name, expected in ((made[0], []), (made[1], ["dropped"])):
        with Archive(Where(paths=(str(tmp_path / name),))) as archive:
            assert [gap.kind for _, gap in archive.gaps()] == expected


def test_damaged_gaps_are_complained_of(tmp_path: Path) -> None:
    import sqlite3

    make_ring(tmp_path)
    add_gap(tmp_path, "stopped", 1, 2)
    connection = sqlite3.connect(tmp_path / f"{PREFIX}.catalog")
    connection.execute("UPDATE gap SET kind = 'dropped'")
    connection.commit()
    connection.close()
    with Archive(Where(rings=(str(tmp_path),))) as archive:
        assert archive.gaps() == []
        assert "not all gaps are known" in archive.complaints[0].text


@pytest.mark.parametrize("listed", [0, 3])
def test_what_savefiles_cover(tmp_path: Path, listed: int) -> None:
    make_ring(tmp_path, listed=listed)
    with Archive(Where(rings=(str(tmp_path),))) as archive:
        first_ns, last_ns = archive.covered()
        assert first_ns == seconds(0) + 5000
        assert last_ns is not None
        # Without the catalog the time of the file has to do.
        assert last_ns in (seconds(2 * EVERY_S + 49) + 5000, seconds(3 * EVERY_S))
        assert archive.covered(seconds(30), seconds(40)) == (seconds(30), seconds(40))
        assert archive.covered(seconds(10_000)) == (None, None)


@pytest.mark.parametrize("at_once", [1, 2, 3, 1000])
def test_a_part_at_a_time_is_the_same(
    tmp_path: Path, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_ring(tmp_path, savefiles=7, listed=5)
    with open_catalog(tmp_path) as catalog:
        catalog.remove(made[2], 1)
    paths = tuple(str(tmp_path / name) for name in made)
    wheres = [
        Where(rings=(str(tmp_path),)),
        Where(paths=paths),
        Where(rings=(str(tmp_path),), from_ns=seconds(EVERY_S + 5), to_ns=seconds(5 * EVERY_S)),
    ]
    expected = [_everything(where) for where in wheres]
    assert [len(found) for found in expected] == [7, 7, 5]
    monkeypatch.setattr(module, "_AT_ONCE", at_once)
    monkeypatch.setattr(module, "_ASKED_ONE_BY_ONE", 0)
    assert [_everything(where) for where in wheres] == expected


def _everything(where: Where) -> list[tuple[object, ...]]:
    with Archive(where) as archive:
        return [
            (*one[1:7], one.shown, one.entry and one.entry.first_ns) for one in archive.members()
        ]


def test_what_was_pruned_since_the_listing_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_AT_ONCE", 1)
    made = make_ring(tmp_path, savefiles=4)
    with Archive(Where(rings=(str(tmp_path),))) as archive:
        found = archive.members_of(archive.directories[0])
        assert next(found).name == made[0]
        (tmp_path / made[2]).unlink()
        assert names(list(found)) == [made[1], made[3]]


def test_no_transaction_stays_open_between_two_savefiles(tmp_path: Path) -> None:
    make_ring(tmp_path)
    with Archive(Where(rings=(str(tmp_path),))) as archive:
        found = archive.members_of(archive.directories[0])
        next(found)
        with open_catalog(tmp_path) as catalog:
            catalog.set_pin_quota_bytes(7)
            # All of the log can be taken over: no reader needs what was before.
            assert catalog.query("PRAGMA wal_checkpoint(TRUNCATE)") == [(0, 0, 0)]
        assert len(list(found)) == 2


def test_a_catalog_that_fails_is_asked_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_ring(tmp_path, savefiles=6)
    asked = []

    def fails(*epochs: int) -> None:
        asked.append(epochs)
        raise CatalogError("p.catalog: is locked by another process")

    monkeypatch.setattr(module, "_AT_ONCE", 2)
    with Archive(Where(rings=(str(tmp_path),))) as archive:
        catalog = archive.directories[0].catalog
        monkeypatch.setattr(catalog, "unlinked_entries", fails)
        found = archive.members()
        assert (names(found), {one.entry for one in found}) == (made, {None})
        assert asked == [(FIRST, FIRST + EVERY_S)]
        assert len(archive.complaints) == 1
        monkeypatch.undo()
        assert all(one.entry for one in archive.members())  # it is asked again another time


def test_a_kept_gap_is_one_of_the_catalog(tmp_path: Path) -> None:
    make_ring(tmp_path)
    with open_catalog(tmp_path) as catalog:
        catalog.add_gap(Gap(kind="stopped", from_ns=seconds(400)))
    with Archive(Where(rings=(str(tmp_path),))) as archive:
        ((directory, gap),) = archive.gaps()
        assert directory is archive.directories[0]
        assert (gap.kind, gap.to_ns) == ("stopped", None)


def test_a_ring_that_is_not_there(tmp_path: Path) -> None:
    make_ring(tmp_path)
    asked = Where(rings=(str(tmp_path),), prefix="nope")
    what = f"--ring {tmp_path}: --prefix nope: there is no such ring; accepted: {PREFIX}$"
    with pytest.raises(UsageError, match=what):
        Archive(asked, required=True)
    with Archive(asked) as archive:  # it may be waited for
        assert archive.members() == []
    for path in tmp_path.glob(f"{PREFIX}.[0-9]*"):
        path.unlink()
    with Archive(asked._replace(prefix=PREFIX), required=True) as archive:
        assert archive.members() == []  # it has a catalog


def test_compressed_savefiles_are_read_as_other_peoples_captures(tmp_path: Path) -> None:
    made = make_ring(tmp_path)
    (tmp_path / f"{made[1]}.gz").write_bytes(gzip.compress((tmp_path / made[1]).read_bytes()))
    (tmp_path / "text.gz").write_bytes(gzip.compress(b"no capture"))
    assert of_paths(tmp_path) == made  # as while gzip(1) is at work
    (tmp_path / made[1]).unlink()
    assert of_paths(tmp_path) == [made[0], made[2], f"{made[1]}.gz"]
    with Archive(Where(paths=(str(tmp_path),))) as archive:
        index_dirs = {directory.index_dir for directory in archive.directories}
    assert index_dirs == {f"{tmp_path}/{PREFIX}.index"}


def test_compressed_savefiles_of_a_ring_are_told(tmp_path: Path) -> None:
    made = make_ring(tmp_path)
    for name in (f"{made[0]}.gz", f"{PREFIX}.1.gz", f"{PREFIX}.2.zst", f"{PREFIX}.x.gz", "o.1.gz"):
        (tmp_path / name).touch()
    with Archive(Where(rings=(str(tmp_path),))) as archive:
        assert names(archive.members()) == made
        assert archive.unread == 2
        ((path, text),) = archive.complaints
    assert path == str(tmp_path)
    assert text.startswith(f"{tmp_path}: 2 compressed savefiles are not read with --ring; name")


def test_a_compressed_savefile_of_another_time_is_read(tmp_path: Path) -> None:
    """Recorders gave a name again once its savefile was compressed."""
    made = make_ring(tmp_path)
    other = HEADER + (tmp_path / made[2]).read_bytes()[24:]
    (tmp_path / f"{made[1]}.gz").write_bytes(gzip.compress(other))
    assert of_paths(tmp_path) == [*made, f"{made[1]}.gz"]
    with Archive(Where(rings=(str(tmp_path),))) as archive:
        assert archive.unread == 1


def test_what_is_left_out_beside_its_original_is_told(tmp_path: Path) -> None:
    alike = HEADER + os.urandom(1 << 16)
    for name in ("p.1", "p.2"):
        (tmp_path / name).write_bytes(alike)
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(alike))
        os.utime(tmp_path / f"{name}.gz", (1, 1))
    with Archive(Where(paths=(str(tmp_path),))) as archive:
        for _ in range(2):
            assert names(archive.members()) == ["p.1", "p.2"]
        ((_, text),) = archive.complaints
    assert text == (
        f"{tmp_path}: 2 compressed files are left out, which begin as their originals that are"
        " there: p.1.gz to p.2.gz"
    )


@pytest.fixture
def compressing(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Path], None]:
    """Compress a savefile when a function of the archive has been called."""

    def when(function: str, path: Path) -> None:
        where = next(one for one in (place, members_module, module) if hasattr(one, function))
        real = getattr(where, function)

        def then(*args: Any, **named: Any) -> Any:
            found = real(*args, **named)
            if path.exists():
                path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
                path.unlink()
            return found

        monkeypatch.setattr(where, function, then)

    return when


Compressing = Callable[[str, Path], None]


@pytest.mark.parametrize("others", [(), ("other.pcap",), (f"{PREFIX}.1.gz",)])
@pytest.mark.parametrize("when", ["captures_in", "sizes_and_times"])
def test_what_is_compressed_meanwhile_is_seen_once(
    tmp_path: Path, compressing: Compressing, when: str, others: tuple[str, ...]
) -> None:
    made = make_ring(tmp_path)
    for name in others:
        (tmp_path / name).write_bytes(gzip.compress(HEADER) if name.endswith("gz") else HEADER)
    os.utime(tmp_path, (1, 1))
    path = str(tmp_path)
    with Archive(Where(paths=(path,))) as archive:
        compressing(when, tmp_path / made[1])
        found = names(archive.members())
        assert sorted(one.removesuffix(".gz") for one in found) == sorted(
            [*made, *(one.removesuffix(".gz") for one in others)]
        )
        expected = [made[0], made[2], *others, f"{made[1]}.gz"]
        assert names(archive.members()) == expected
        assert names(archive.members()) == expected
    with Archive(Where(paths=(path,))) as archive:
        assert names(archive.members()) == expected


@pytest.mark.parametrize("when", [None, "sizes_and_times"])
def test_what_is_compressed_of_a_ring_meanwhile_is_told(
    tmp_path: Path, compressing: Compressing, when: str | None
) -> None:
    made = make_ring(tmp_path)
    (tmp_path / f"{PREFIX}.1.gz").write_bytes(gzip.compress(HEADER))
    os.utime(tmp_path, (1, 1))
    with Archive(Where(rings=(str(tmp_path),))) as archive:
        assert archive.unread == 1
        if when is None:
            (tmp_path / made[1]).rename(tmp_path / f"{made[1]}.gz")
        else:
            compressing(when, tmp_path / made[1])
        for _ in range(2):
            found = names(archive.members())
            assert [one for one in found if one != made[1]] == [made[0], made[2]]
        assert archive.unread == 2


def test_of_a_ring_that_is_compressed_the_catalog_tells(tmp_path: Path) -> None:
    for name in make_ring(tmp_path):
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress((tmp_path / name).read_bytes()))
        (tmp_path / name).unlink()
    add_gap(tmp_path, "stopped", 100, 105)
    (tmp_path / "u.catalog").touch()
    with Archive(Where(paths=(str(tmp_path),))) as archive:
        assert [one.prefix for one in archive.directories] == [PREFIX, None]
        assert len(archive.members()) == 3
        assert [gap.from_ns for _, gap in archive.gaps()] == [seconds(100)]
        assert archive.complaints == []
    with Archive(Where(rings=(str(tmp_path),)), required=True) as archive:
        assert [one.prefix for one in archive.directories] == [PREFIX]
        assert len(archive.gaps()) == 1
        assert archive.unread == 3


def test_each_savefile_is_there_once_however_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring = tmp_path / "ring"
    made = make_ring(ring)
    (ring / "x.pcap").write_bytes(HEADER)
    (ring / "text").touch()
    (ring / "link").symlink_to("x.pcap")
    (tmp_path / "way").symlink_to("ring")
    monkeypatch.chdir(tmp_path)
    everything = [*made, "x.pcap"]
    cases: list[tuple[tuple[str, ...], tuple[str, ...], list[str]]] = [
        (("ring", "ring"), (), everything),
        (("ring", "./ring/"), (), everything),
        (("ring", "way"), (), everything),
        ((), ("ring", "way"), made),
        (("ring",), ("way",), everything),
        (("ring", f"ring/{made[1]}", "way/x.pcap"), (), everything),
        ((f"ring/{made[1]}", "way/x.pcap", "ring"), (), everything),
        ((f"ring/{made[1]}", f"way/{made[1]}", f"way/{made[0]}"), (), [made[1], made[0]]),
        ((f"ring/{made[1]}",), ("ring",), made),
        (("ring/x.pcap",), ("ring",), [*made, "x.pcap"]),
        (("ring/text", "ring/link", "ring"), (), ["link", "text", *everything]),
        (("ring", "ring/text", "ring/link"), (), [*everything, "link", "text"]),
    ]
    before = len(os.listdir("/proc/self/fd"))
    for paths, rings, expected in cases:
        with Archive(Where(paths=paths, rings=rings)) as archive:
            assert names(archive.members()) == expected, (paths, rings)
            assert all(one.entry for one in archive.members() if one.name in made)
        assert len(os.listdir("/proc/self/fd")) == before


def test_what_is_compressed_of_a_ring_is_read_where_its_directory_is_named(tmp_path: Path) -> None:
    made = make_ring(tmp_path)
    (tmp_path / f"{PREFIX}.1.gz").write_bytes(gzip.compress(HEADER))
    path = str(tmp_path)
    with Archive(Where(paths=(path,), rings=(path,))) as archive:
        assert names(archive.members()) == [*made, f"{PREFIX}.1.gz"]
        assert (archive.unread, archive.complaints) == (0, [])
