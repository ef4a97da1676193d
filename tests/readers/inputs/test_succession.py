"""Which savefile comes next in a ring that turns over, and what is known to be lost."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemonlogger_py.readers.inputs import succession as module
from daemonlogger_py.readers.inputs.ring import Ring
from daemonlogger_py.readers.inputs.succession import NOTHING, Next, Succession
from daemonlogger_py.savefile.catalog import Catalog
from daemonlogger_py.savefile.catalog_rows import OPEN, SEALED, Entry
from daemonlogger_py.savefile.names import SavefileName

from .reading import EPOCH, capture


def named(second: int) -> SavefileName:
    return SavefileName(EPOCH + second, 0, f"p.{EPOCH + second}")


class Recorder:
    """What its ring and its catalog are like."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.catalog: Catalog | None = None

    def keep_catalog(self) -> None:
        self.catalog = Catalog.create(str(self.directory / "p.catalog"))

    def begin(self, *seconds: int) -> None:
        for second in seconds:
            (self.directory / named(second).name).write_bytes(capture(1))
            self._put(second, OPEN)

    def seal(self, *seconds: int) -> None:
        for second in seconds:
            self._put(second, SEALED)

    def prune(self, *seconds: int) -> None:
        for second in seconds:
            (self.directory / named(second).name).unlink()
            if self.catalog is not None:
                self.catalog.remove(named(second).name, 1)

    def compress(self, *seconds: int) -> None:
        for second in seconds:
            path = self.directory / named(second).name
            path.rename(f"{path}.gz")

    def _put(self, second: int, state: str) -> None:
        entry = Entry(named(second).name, EPOCH + second, 0, state, 1, 1, sha256=bytes(32))
        if self.catalog is not None and state == OPEN:
            self.catalog.put(entry._replace(sha256=None))
        elif self.catalog is not None:
            self.catalog.seal(entry)


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    made = Recorder(tmp_path)
    yield made
    if made.catalog is not None:
        made.catalog.close()


@pytest.fixture
def succession(tmp_path: Path) -> Iterator[Succession]:
    ring = Ring(str(tmp_path), "p")
    made = Succession(ring)
    yield made
    made.close()
    made.close()
    ring.close()


def turn(succession: Succession, before: int) -> int:
    """Go on from one to the next."""
    found = succession.next(named(before))
    assert found is not None
    succession.turn(named(before), found.savefile)
    return found.savefile.epoch - EPOCH


def shown(succession: Succession, *, final: bool = False) -> list[str]:
    return [line.replace(str(EPOCH), "") for line in succession.lost(final=final)]


def test_the_next_one_is_the_next_that_began(recorder: Recorder, succession: Succession) -> None:
    assert succession.begin() is NOTHING
    assert succession.next(NOTHING) is None
    recorder.begin(0, 1)
    assert succession.begin() is None
    assert succession.next(None) == succession.next(NOTHING) == Next(named(0), None)
    assert succession.next(named(0)) == Next(named(1), None)
    assert succession.next(named(1)) is None


def test_compressed_ones_have_their_place(recorder: Recorder, succession: Succession) -> None:
    recorder.begin(0, 1, 2, 3)
    recorder.compress(0, 1, 2)
    (recorder.directory / "p.5.txt.gz").touch()
    (recorder.directory / named(2).name).write_bytes(b"")  # a copy is beside it

    assert succession.next(named(0)) == Next(named(1), f"{named(1).name}.gz")
    assert succession.next(named(1)) == Next(named(2), None)
    assert succession.next(None) == Next(named(2), None)


def test_what_was_compressed_before_is_left_alone(
    recorder: Recorder, succession: Succession
) -> None:
    recorder.begin(0, 1)
    recorder.compress(0, 1)
    before = succession.begin()
    assert before == named(1)
    assert succession.next(before) is None
    recorder.begin(2)
    recorder.compress(2)
    assert succession.next(before) == Next(named(2), f"{named(2).name}.gz")


def test_a_later_one_that_was_compressed_shows_that_one_is_complete(
    recorder: Recorder, succession: Succession
) -> None:
    recorder.begin(0)
    assert not succession.is_complete(named(0))
    recorder.begin(1)
    recorder.compress(1)
    assert succession.is_complete(named(0))


def test_one_that_is_compressed_while_they_are_listed(
    recorder: Recorder, succession: Succession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two hooks: that of the later one is done first, and that of the first is then, too."""
    recorder.begin(0)
    assert succession.next(named(0)) is None
    listed = os.listdir

    def meanwhile(where: int) -> list[str]:
        monkeypatch.setattr(module.os, "listdir", listed)
        recorder.begin(1, 2)
        recorder.compress(2)
        names = listed(where)
        recorder.compress(1)
        return names

    monkeypatch.setattr(module, "LOOK_AGAIN_S", -1.0)
    monkeypatch.setattr(module.os, "listdir", meanwhile)
    assert succession.next(named(0)) == Next(named(1), f"{named(1).name}.gz")


@pytest.mark.parametrize("catalog", [False, True])
def test_seen_one_behind_the_other_nothing_is_lost(
    recorder: Recorder, succession: Succession, catalog: bool
) -> None:
    if catalog:
        recorder.keep_catalog()
    recorder.begin(0, 1)
    assert succession.is_complete(named(0))
    recorder.prune(0)
    assert turn(succession, 0) == 1
    assert (shown(succession, final=True), succession.doubtful) == ([], False)


def test_that_are_there_nothing_behind_is_pruned(
    recorder: Recorder, succession: Succession
) -> None:
    recorder.begin(0, 1)
    recorder.compress(0)
    assert turn(succession, 0) == 1
    assert shown(succession, final=True) == []


def test_one_that_was_seen_and_is_gone(recorder: Recorder, succession: Succession) -> None:
    recorder.begin(0, 1)
    assert succession.is_complete(named(0))
    recorder.begin(2, 3)
    recorder.prune(1, 2)  # the first is pinned, or read
    assert turn(succession, 0) == 3
    lines = shown(succession)
    assert len(lines) == 1
    assert lines[0].startswith("savefiles behind ")
    assert lines[0].endswith(" were pruned before being read")


@pytest.mark.parametrize(("last", "count"), [(2, "1 savefile"), (4, "3 savefiles")])
@pytest.mark.parametrize("pinned", [False, True])
def test_the_catalog_counts_them(
    recorder: Recorder, succession: Succession, last: int, count: str, pinned: bool
) -> None:
    recorder.keep_catalog()
    recorder.begin(0)
    recorder.begin(*range(1, last + 2))
    recorder.seal(*range(last + 1))
    recorder.prune(*range(1 if pinned else 0, last))
    # Of one that was pruned long ago nothing is kept: its place follows from those before.
    if not pinned:
        succession._last = module._Turn(named(-1), named(0), 1)

    assert turn(succession, 0) == last
    verb = "was" if last == 2 else "were"
    place = f"{count} behind {recorder.directory}/{named(0).name} {verb} pruned before being read"
    assert succession.lost() == [place]
    assert not succession.doubtful


def test_places_are_remembered_from_turn_to_turn(
    recorder: Recorder, succession: Succession
) -> None:
    recorder.keep_catalog()
    for second in range(3):
        recorder.begin(second)
        if second:
            assert succession.is_complete(named(second - 1))
            recorder.seal(second - 1)
            assert turn(succession, second - 1) == second
    assert shown(succession) == []
    recorder.begin(3, 4, 5, 6)
    recorder.seal(2, 3, 4, 5)
    recorder.prune(0, 1, 2, 3, 4)
    assert turn(succession, 2) == 5
    (line,) = succession.lost()
    assert line.startswith("2 savefiles behind ")


def test_nothing_between_two_links_nothing_is_lost(
    recorder: Recorder, succession: Succession
) -> None:
    recorder.keep_catalog()
    recorder.begin(0, 1, 2)
    recorder.seal(0, 1)
    recorder.prune(0)
    assert turn(succession, 0) == 1
    assert (shown(succession), succession.doubtful) == ([], False)


def test_the_catalog_is_waited_for(recorder: Recorder, succession: Succession) -> None:
    recorder.keep_catalog()
    recorder.begin(0)
    recorder.seal(0)
    (recorder.directory / named(1).name).write_bytes(capture(1))
    (recorder.directory / named(0).name).unlink()
    assert turn(succession, 0) == 1
    assert (shown(succession), succession.doubtful) == ([], True)
    recorder.begin(1)
    assert (shown(succession), succession.doubtful) == ([], False)


def test_what_nobody_knows_is_told_once(recorder: Recorder, succession: Succession) -> None:
    """In a ring of one savefile, each is pruned when the next begins."""
    for second in range(3):
        recorder.begin(second)
        if second:
            recorder.prune(second - 1)
            assert turn(succession, second - 1) == second
    (line,) = succession.lost()
    assert line.endswith(" or later ones may have been pruned before being read")
    assert not succession.doubtful


def test_a_catalog_that_is_none(recorder: Recorder, succession: Succession) -> None:
    (recorder.directory / "p.catalog").write_text("no catalog")
    recorder.begin(0, 1)
    recorder.prune(0)
    assert turn(succession, 0) == 1
    assert len(succession.lost()) == 1
