"""A savefile of a ring and what repairs keep beside it: what both weigh."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemonlogger_py.record.ringfile import STAT_BLOCK_BYTES, look
from daemonlogger_py.savefile.names import SavefileName

NAME = SavefileName(100, 2, "t.100.002")


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def test_bytes_are_those_of_all(tmp_path: Path, directory: int) -> None:
    (tmp_path / NAME.name).write_bytes(bytes(5000))
    os.utime(tmp_path / NAME.name, (7, 7))
    alone = look(directory, NAME)
    assert alone is not None
    (tmp_path / f"{NAME.name}.damaged").write_bytes(bytes(9000))
    (tmp_path / f"{NAME.name}.damaged.1").mkdir()
    beside = [f"{NAME.name}.damaged{end}" for end in ("", ".1", ".2")]
    both = look(directory, NAME, beside)

    assert both is not None
    assert (both.epoch, both.serial, both.name) == NAME
    assert (alone.size_bytes, both.size_bytes) == (5000, 14000)
    blocks = (tmp_path / beside[0]).stat().st_blocks * STAT_BLOCK_BYTES
    assert both.allocated_bytes == alone.allocated_bytes + blocks
    assert (both.modified_ns, both.asides) == (7 * 10**9, (beside[0],))


def test_two_names_of_one_file_weigh_once(tmp_path: Path, directory: int) -> None:
    """As a repair leaves it that was killed before the new savefile had its name."""
    (tmp_path / NAME.name).write_bytes(bytes(5000))
    aside = f"{NAME.name}.damaged"
    os.link(tmp_path / NAME.name, tmp_path / aside)
    alone, both = look(directory, NAME), look(directory, NAME, [aside])

    assert alone is not None
    assert both is not None
    assert alone.allocated_bytes == 0  # deleting one name gives nothing back
    assert both.size_bytes == 5000
    assert both.allocated_bytes >= 5000


def test_what_is_no_file_is_none(tmp_path: Path, directory: int) -> None:
    assert look(directory, NAME) is None
    (tmp_path / NAME.name).symlink_to("elsewhere")
    (tmp_path / f"{NAME.name}.damaged").touch()
    assert look(directory, NAME, [f"{NAME.name}.damaged"]) is None
