"""What is looked at, in which order, and by how many at once."""

import threading
import time
from pathlib import Path

import pytest

from daemonlogger_py.config.archive import Where
from daemonlogger_py.errors import UsageError
from daemonlogger_py.readers.verify.looking import Asked, Looking, in_order
from daemonlogger_py.readers.verify.verdict import Verdict

from .making import make_ring


@pytest.mark.parametrize("jobs", [1, 2, 7, None])
def test_the_order_is_that_of_the_tasks(jobs: int | None) -> None:
    def look(number: int) -> int:
        time.sleep(0.001 * (number % 3))
        return number * 2

    assert list(in_order(range(40), look, jobs)) == [number * 2 for number in range(40)]
    assert list(in_order([], look, jobs)) == []


def test_several_are_looked_at_at_once() -> None:
    meeting = threading.Barrier(3, timeout=10)
    assert list(in_order(range(3), lambda _: meeting.wait() >= 0, 3)) == [True] * 3


def test_what_is_raised_comes_out_and_the_rest_is_not_begun() -> None:
    begun = []

    def look(number: int) -> None:
        begun.append(number)
        if number == 3:
            raise KeyError(number)

    with pytest.raises(KeyError):
        list(in_order(range(1000), look, 2))
    assert len(begun) < 100


def test_what_is_closed_begins_nothing_more() -> None:
    begun = []
    found = in_order(range(1000), begun.append, 2)
    next(found)
    found.close()
    count = len(begun)
    assert count < 100
    time.sleep(0.01)
    assert len(begun) == count


def test_rings_come_first_and_paths_in_their_order(tmp_path: Path) -> None:
    ring = make_ring(tmp_path / "ring")
    other = make_ring(tmp_path / "other", 2)
    where = Where(
        rings=(str(tmp_path / "ring"),),
        paths=(str(other[1]), str(tmp_path / "gone"), str(tmp_path / "other")),
    )
    with Looking(where) as looking:
        first, second, gone, third = looking.asked
        assert isinstance(first, Asked)
        assert [member.name for member in first.members()] == [path.name for path in ring]
        assert not first.named
        assert isinstance(second, Asked)
        assert (second.named, len(list(second.members()))) == (True, 1)
        assert gone == Verdict(str(tmp_path / "gone"), damage="No such file or directory")
        assert isinstance(third, Asked)
        assert (third.named, len(list(third.members()))) == (False, 2)
        sizes = [path.stat().st_size for path in (*ring, *other, other[1])]
        assert looking.total_bytes == sum(sizes)
    with pytest.raises(UsageError):
        Looking(where._replace(rings=(str(tmp_path / "gone"),)))
