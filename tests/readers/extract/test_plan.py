"""Which savefiles are looked at for a span: exact by the catalog, careful without one."""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from daemonlogger_py.readers.archive import Directory, Member
from daemonlogger_py.readers.extract.plan import needed
from daemonlogger_py.savefile.catalog_rows import SEALED, Entry

from ...pcaps.make import classic
from .savefiles import EPOCH, NS, member, numbered, ring

BEGIN_NS = EPOCH * NS


def indexed(_: Directory) -> bool:
    return True


def not_indexed(_: Directory) -> bool:
    return False


def as_recorded(folder: Path, *seconds: int) -> list[Member]:
    """A ring of savefiles ten seconds apart whose packets begin at these seconds of it."""
    parts = [numbered(3, start_ns=BEGIN_NS + second * NS) for second in seconds]
    ring(folder, parts)
    first: Member | None = None
    members = []
    for at in range(len(parts)):
        path = folder / f"p.{EPOCH + 10 * at}"
        written_ns = BEGIN_NS + (10 * at + 9) * NS
        os.utime(path, ns=(written_ns, written_ns))
        one = member(path)
        first = first or one
        members.append(one._replace(directory=first.directory))
    return members


def names(members: Sequence[Member]) -> list[int]:
    return [one.epoch - EPOCH for one in members]


def entry(first_ns: int | None, last_ns: int | None) -> Entry:
    packets = 0 if first_ns is None else 3
    return Entry("p.1", EPOCH, 0, SEALED, 1, 1, packets, first_ns, last_ns)


def test_without_a_span_everything_but_what_is_known_to_be_empty(tmp_path: Path) -> None:
    members = as_recorded(tmp_path, 0, 10)
    members[0] = members[0]._replace(entry=entry(None, None))

    assert needed(members, None, None, not_indexed) == (members[1:], 0)


@pytest.mark.parametrize(
    ("first", "last", "kept"),
    [(0, 9, False), (0, 10, True), (19, 25, True), (20, 25, False), (5, 30, True)],
)
def test_the_catalog_is_exact(tmp_path: Path, first: int, last: int, kept: bool) -> None:
    one = as_recorded(tmp_path, 0)[0]
    one = one._replace(entry=entry(BEGIN_NS + first * NS, BEGIN_NS + last * NS))
    chosen, _ = needed([one], BEGIN_NS + 10 * NS, BEGIN_NS + 20 * NS, not_indexed)

    assert chosen == ([one] if kept else [])


def test_one_without_packets_holds_none(tmp_path: Path) -> None:
    one = as_recorded(tmp_path, 0)[0]._replace(entry=entry(None, None))

    assert needed([one], 0, None, not_indexed) == ([], 0)


def test_a_ring_as_recorded_is_judged_by_its_files(tmp_path: Path) -> None:
    members = as_recorded(tmp_path, 0, 10, 20, 30, 40)
    chosen, left_out = needed(members, BEGIN_NS + 22 * NS, BEGIN_NS + 24 * NS, not_indexed)

    # Neighbours may overlap by a little, as their packets were stamped on several processors.
    assert names(chosen) == [10, 20]
    assert left_out == 3


def test_an_index_knows_better(tmp_path: Path) -> None:
    members = as_recorded(tmp_path, 0, 10, 20, 30, 40)

    assert needed(members, BEGIN_NS, BEGIN_NS + NS, indexed) == (members, 0)


@pytest.mark.parametrize("at", [0, 2, 4])
def test_one_that_does_not_fit_and_all_are_looked_at(tmp_path: Path, at: int) -> None:
    seconds = [0, 10, 20, 30, 40]
    seconds[at] = -5000
    members = as_recorded(tmp_path, *seconds)

    assert needed(members, BEGIN_NS + 22 * NS, None, not_indexed) == (members, 0)


def test_a_copy_with_new_times_is_looked_at(tmp_path: Path) -> None:
    members = as_recorded(tmp_path, 0, 10, 20)
    copied = [one._replace(modified_ns=one.modified_ns + 10**6 * NS) for one in members]

    assert needed(copied, BEGIN_NS + 100 * NS, None, not_indexed) == (copied, 0)


def test_what_is_named_itself_is_looked_at(tmp_path: Path) -> None:
    members = as_recorded(tmp_path, 0, 10, 20, 30, 40)
    named = {(str(tmp_path), members[4].name), (str(tmp_path), "other")}
    chosen, left_out = needed(members, None, BEGIN_NS + NS, not_indexed, named)

    assert names(chosen) == [0, 40]
    assert left_out == 3


def test_captures_with_other_names_are_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "capture"
    path.write_bytes(classic(numbered(2)))
    one = member(path, prefix=None)

    assert needed([one], 0, 1, not_indexed) == ([one], 0)


def test_the_savefile_that_is_written_is_never_too_old(tmp_path: Path) -> None:
    members = as_recorded(tmp_path, 0, 10)
    members[1] = members[1]._replace(state="open")
    chosen, _ = needed(members, BEGIN_NS + 3600 * NS, None, not_indexed)

    assert names(chosen) == [10]
