"""Pages that are on the disk are let go of, twice a step, and nothing depends on it."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from daemonlogger_py.record.cache import LAG, MOST_WAITING, STEP_BYTES, CacheRelease

ENOUGH_S = 5.0


class Advice(NamedTuple):
    inode: int
    offset: int
    length_bytes: int


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


@pytest.fixture
def advised(monkeypatch: pytest.MonkeyPatch) -> list[Advice]:
    given: list[Advice] = []

    def note(fd: int, offset: int, length_bytes: int, advice: int) -> None:
        assert advice == os.POSIX_FADV_DONTNEED
        given.append(Advice(os.fstat(fd).st_ino, offset, length_bytes))

    monkeypatch.setattr(os, "posix_fadvise", note)
    return given


def started(directory: int) -> CacheRelease:
    release = CacheRelease(directory)
    release.start()
    return release


def test_whole_steps_are_advised_when_they_are_full(
    directory: int, tmp_path: Path, advised: list[Advice]
) -> None:
    (tmp_path / "a").touch()
    inode = (tmp_path / "a").stat().st_ino
    release = started(directory)
    release.written("a", STEP_BYTES - 1)
    release.written("a", STEP_BYTES + 5)
    release.written("a", STEP_BYTES + 6)
    release.written("a", 2 * STEP_BYTES + 5)
    release.close()

    assert advised == [
        Advice(inode, 0, STEP_BYTES + 5),
        Advice(inode, STEP_BYTES + 5, STEP_BYTES),
    ]


def test_a_step_is_advised_again_once_the_disk_had_time(
    directory: int, tmp_path: Path, advised: list[Advice]
) -> None:
    (tmp_path / "a").touch()
    release = started(directory)
    for number in range(1, LAG + 3):
        release.written("a", number * STEP_BYTES)
    release.close()

    offsets = [advice.offset // STEP_BYTES for advice in advised]
    assert offsets == [*range(LAG + 1), 0, LAG + 1, 1]


def test_sealing_hands_over_the_rest_and_the_next_begins_anew(
    directory: int, tmp_path: Path, advised: list[Advice]
) -> None:
    inodes = []
    for name in "ab":
        (tmp_path / name).touch()
        inodes.append((tmp_path / name).stat().st_ino)
    release = started(directory)
    release.written("a", 100)
    release.written("a", 100, sealed=True)
    release.written("a", 100, sealed=True)
    release.written("b", 60, sealed=True)
    release.close()

    assert advised == [Advice(inodes[0], 0, 100), Advice(inodes[1], 0, 60)]


def test_savefile_cut_shorter_than_what_was_handed_over(
    directory: int, tmp_path: Path, advised: list[Advice]
) -> None:
    (tmp_path / "a").touch()
    release = started(directory)
    release.written("a", STEP_BYTES)
    release.written("a", STEP_BYTES - 10, sealed=True)
    release.close()

    assert [advice.length_bytes for advice in advised] == [STEP_BYTES]


def test_pruned_savefiles_and_links_are_passed_over(
    directory: int, tmp_path: Path, advised: list[Advice]
) -> None:
    (tmp_path / "elsewhere").touch()
    (tmp_path / "link").symlink_to("elsewhere")
    release = started(directory)
    release.written("gone", STEP_BYTES)
    release.written("link", STEP_BYTES)
    release.close()

    assert advised == []


def test_file_system_that_refuses_is_no_error(
    directory: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").touch()
    asked = []

    def refuse(*given: int) -> None:
        asked.append(given)
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(os, "posix_fadvise", refuse)
    release = started(directory)
    release.written("a", STEP_BYTES)
    release.written("a", 2 * STEP_BYTES)
    release.close()

    assert len(asked) == 2


def test_disk_that_does_not_keep_up_is_left_to_the_kernel(
    directory: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").touch()
    thaw = threading.Event()
    asked = []

    def frozen(*given: int) -> None:
        asked.append(given)
        thaw.wait(ENOUGH_S)

    monkeypatch.setattr(os, "posix_fadvise", frozen)
    release = started(directory)
    began = time.monotonic()
    for number in range(1, 10 * MOST_WAITING):
        release.written("a", number * STEP_BYTES)
    waited_s = time.monotonic() - began
    thaw.set()
    release.close()

    assert waited_s < ENOUGH_S, "the writer must never wait for this"
    assert len({given[1] for given in asked}) <= MOST_WAITING + 1


def test_descriptors_are_closed(directory: int, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(100))
    before = len(os.listdir("/proc/self/fd"))
    release = started(directory)
    release.written("a", 100, sealed=True)
    release.close()

    assert len(os.listdir("/proc/self/fd")) == before
