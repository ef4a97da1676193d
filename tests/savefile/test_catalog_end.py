"""A recorder's last word: found by its run, whatever else stands in the file."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemonlogger_py.savefile.catalog_end import SUFFIX, End, ends, forget, leave

ONE, OTHER = End(10, 20, "SIGTERM"), End(30, 41, 'a "disk"\nfailed')


@pytest.fixture
def dir_fd(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


@pytest.fixture
def catalog(tmp_path: Path) -> str:
    return str(tmp_path / "p.catalog")


def test_what_was_left_is_found_until_it_is_forgotten(dir_fd: int, catalog: str) -> None:
    assert ends(catalog) == {}
    leave(dir_fd, "p.catalog", ONE)
    leave(dir_fd, "p.catalog", OTHER)
    assert ends(catalog) == {10: ONE, 30: OTHER}
    forget(catalog)
    assert ends(catalog) == {}
    with pytest.raises(FileNotFoundError):
        forget(catalog)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\xff\xfe",
        b"[1, 2, 3]",
        b"null",
        b"[" * 100_000,
        b'{"started_ns": 1, "stopped_ns": 2}',
        b'{"started_ns": "1", "stopped_ns": 2, "why": ""}',
        b'{"started_ns": 1, "stopped_ns": 2.5, "why": ""}',
        b'{"started_ns": 1, "stopped_ns": true, "why": ""}',
        b'{"started_ns": 1, "stopped_ns": 2, "why": null}',
        b'{"started_ns": 1, "stopped_ns": 2, "why": "", "more": 1}',
    ],
)
def test_what_cannot_be_read_was_not_said(dir_fd: int, catalog: str, line: bytes) -> None:
    path = Path(catalog + SUFFIX)
    path.write_bytes(line[:60_000] + b"\n")
    leave(dir_fd, "p.catalog", ONE)
    assert ends(catalog) == {10: ONE}


@pytest.mark.parametrize("kind", ["symlink", "pipe", "directory"])
def test_what_is_no_file_says_nothing(dir_fd: int, catalog: str, tmp_path: Path, kind: str) -> None:
    path = Path(catalog + SUFFIX)
    if kind == "symlink":
        leave(dir_fd, "other", ONE)
        path.symlink_to(tmp_path / f"other{SUFFIX}")
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    assert ends(catalog) == {}
    with pytest.raises(OSError):  # noqa: PT011
        leave(dir_fd, "p.catalog", OTHER)
