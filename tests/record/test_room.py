"""A full volume: pruned from, waited for and said, until the recorder ends."""

import errno
import os

import pytest

from daemonlogger_py.record import room
from daemonlogger_py.record.room import Room

from .fakes import Told

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
STUCK = "[!] /log: No space left on device, all of it pinned: waiting for room"


class Prunable:
    """Stands where the keeper would: so many savefiles can be pruned."""

    what_is_left = "all of it pinned"

    def __init__(self, savefiles: int = 0) -> None:
        self.savefiles = savefiles

    def make_space(self, _wanted_bytes: int) -> bool:
        self.savefiles -= 1
        return self.savefiles >= 0


@pytest.fixture(autouse=True)
def _in_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "RETRY_S", 0.0)


@pytest.mark.parametrize("error", [errno.EIO, errno.EROFS, errno.ENOENT])
def test_another_error_is_no_lack_of_room(error: int) -> None:
    assert not Room("/log", Prunable(9), Told()).found(OSError(error, "?"), 1)


def test_without_a_ring_nothing_is_waited_for() -> None:
    assert not Room("/log", None, Told()).found(FULL, 1)


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT])
def test_what_is_pruned_is_given_time_to_become_free(error: int) -> None:
    keeper, told = Prunable(5), Told()
    found = Room("/log", keeper, told)
    for _ in range(4):
        assert found.found(OSError(error, "full"), 1)

    assert keeper.savefiles == 3, "one for each second try"
    assert told.all == []


def test_each_write_may_prune_at_once() -> None:
    keeper = Prunable(5)
    found = Room("/log", keeper, Told())
    for _ in range(4):
        assert found.found(FULL, 1)
        found.written()

    assert keeper.savefiles == 1


def test_being_stuck_is_said_once_and_its_end() -> None:
    told = Told()
    found = Room("/log", Prunable(), told)
    assert all(found.found(FULL, 1) for _ in range(5))
    assert told.texts() == [STUCK]
    found.written()
    found.written()

    assert told.texts("volume_room") == ["[!] /log: room again after 0.0 s"]
    assert all(found.found(FULL, 1) for _ in range(5))
    assert told.texts("volume_full") == [STUCK], "that was said a moment ago"


def test_at_the_end_it_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Room("/log", Prunable(), Told())
    found.give_up_soon()
    assert found.found(FULL, 1), "not at once"
    monkeypatch.setattr(room, "GIVE_UP_S", -1.0)
    found.give_up_soon()
    assert found.found(FULL, 1), "the time that it was given first counts"
    ending = Room("/log", Prunable(1), Told())
    ending.give_up_soon()

    assert [ending.found(FULL, 1) for _ in range(2)] == [True, False], "what can be pruned still is"
