"""Savefiles that are still to be read are held, the oldest first, as far as descriptors reach."""

from pathlib import Path

import pytest

from daemonlogger_py.readers.extract import holding
from daemonlogger_py.readers.extract.holding import Holder
from daemonlogger_py.readers.extract.reading import Reading
from daemonlogger_py.readers.extract.task import Task
from daemonlogger_py.readers.extract.work import Work
from daemonlogger_py.readers.inputs.stopping import Stopping

from .savefiles import EPOCH, member, numbered, ring


def test_the_oldest_are_held_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ring(tmp_path, [numbered(1)] * 5)
    held: list[int] = []

    class Reading:
        def hold(self, works: list[Work]) -> None:
            held.extend(work.member.epoch - EPOCH for work in works)

    monkeypatch.setattr("daemonlogger_py.readers.extract.holding.HOLD_AFTER_S", 0)
    monkeypatch.setattr("daemonlogger_py.readers.extract.holding.HELD_AT_ONCE", 2)
    with Stopping() as stopping:
        task = Task("", stopping, reverse=True)
        works = [Work(task, member(tmp_path / f"p.{EPOCH + 10 * at}"), 4 - at) for at in range(5)]
        holder = Holder(works[::-1])
        for _ in range(4):
            holder.hold(Reading())  # type: ignore[arg-type]

    assert held == [0, 10, 20, 30, 40]


def test_no_more_than_there_are_descriptors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring(tmp_path, [numbered(1)] * 5)
    monkeypatch.setattr(holding, "HOLD_AFTER_S", 0)
    monkeypatch.setattr(holding, "_descriptors", lambda: 3)
    with Stopping() as stopping:
        task = Task("", stopping)
        works = [Work(task, member(tmp_path / f"p.{EPOCH + 10 * at}"), at) for at in range(5)]
        holder = Holder(works)
        reading = Reading(works, jobs=1, memory_bytes=1)
        for _ in range(3):
            holder.hold(reading)
        assert [work.fd >= 0 for work in works] == [True] * 3 + [False] * 2

        works[0].close()
        holder.hold(reading)
        assert [work.fd >= 0 for work in works] == [False] + [True] * 3 + [False]
        for work in works:
            work.close()


def test_not_before_its_time(tmp_path: Path) -> None:
    ring(tmp_path, [numbered(1)])
    with Stopping() as stopping:
        works = [Work(Task("", stopping), member(tmp_path / f"p.{EPOCH}"), 0)]
        Holder(works).hold(Reading(works, jobs=1, memory_bytes=1))

        assert works[0].fd == -1
