"""Savefiles and their entries: what is believed of these, and what state a savefile is in."""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemonlogger_py.readers import members
from daemonlogger_py.readers.members import UNKNOWN, Directory, Files, Member, joined
from daemonlogger_py.savefile.catalog_rows import OPEN, SEALED, Entry
from daemonlogger_py.savefile.names import SavefileName

NAMES = [SavefileName(epoch, 0, f"p.{epoch}") for epoch in (1, 2, 3)]


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Directory]:
    for _, _, name in NAMES:
        (tmp_path / name).write_bytes(b"x" * 10)
        os.utime(tmp_path / name, ns=(7, 7))
    fd = os.open(tmp_path, os.O_RDONLY)
    yield Directory(fd, "shown", str(tmp_path), "p", None, None)
    os.close(fd)


def entry(name: SavefileName, size_bytes: int = 10, state: str = SEALED) -> Entry:
    return Entry(name.name, name.epoch, 0, state, size_bytes, 7)


def found(directory: Directory, *entries: Entry, newest: str = "") -> list[Member]:
    files = Files(directory, NAMES, followed=False)
    by_name = {one.name: one for one in entries}
    return [member for member, _ in joined(directory, NAMES, files.found(), by_name, {newest})]


@pytest.mark.parametrize("worth_a_thread", [1, 200])
def test_sizes_and_times_are_asked_for(
    directory: Directory, monkeypatch: pytest.MonkeyPatch, worth_a_thread: int
) -> None:
    monkeypatch.setattr(members, "_WORTH_A_THREAD", worth_a_thread)
    names = [*NAMES, SavefileName(4, 0, "p.4")]
    assert Files(directory, names, followed=False).found() == [(10, 7)] * 3 + [None]


def test_only_an_entry_of_the_file_as_it_is_is_believed(directory: Directory) -> None:
    right, larger = entry(NAMES[0]), entry(NAMES[1], 11)
    one, two, three = found(directory, right, larger)
    assert (one.entry, one.state) == (right, SEALED)
    assert [(other.entry, other.state) for other in (two, three)] == [(None, UNKNOWN)] * 2
    assert one.shown == "shown/p.1"


def test_one_that_is_gone_is_left_out(directory: Directory, tmp_path: Path) -> None:
    (tmp_path / "p.2").unlink()
    assert [member.name for member in found(directory)] == ["p.1", "p.3"]


@pytest.mark.parametrize("known", [True, False])
def test_one_is_open_while_somebody_writes_it(
    directory: Directory, tmp_path: Path, known: bool
) -> None:
    entries = [entry(NAMES[2], state=OPEN)] if known else []
    with (tmp_path / "p.3").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert found(directory, *entries, newest="" if known else "p.3")[2].state == OPEN
    assert found(directory, *entries)[2].state == UNKNOWN


def test_a_member_is_opened_by_its_directory(directory: Directory) -> None:
    fd = found(directory)[0].open()
    assert os.read(fd, 20) == b"x" * 10
    os.close(fd)
