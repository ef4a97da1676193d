"""Entries that are not in memory come back as they were, as often as they are asked for."""

import tempfile
from pathlib import Path

import pytest

from daemonlogger_py.errors import StorageError
from daemonlogger_py.readers.verify import surveyed as module
from daemonlogger_py.readers.verify.surveyed import Entries, Surveyed
from daemonlogger_py.savefile.catalog_rows import SEALED, Entry


def entry(number: int, **fields: object) -> Entry:
    made = Entry(f"p\udcff.{number}", 10**30, 0, SEALED, number, -1, packets=number)
    return made._replace(**fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("in_memory_bytes", [1, 1 << 20])
def test_what_is_appended_comes_back(in_memory_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IN_MEMORY_BYTES", in_memory_bytes)
    put = [entry(1, sha256=bytes(32), why="size"), entry(2, first_ns=5, nanosecond=True)]
    with Entries() as entries:
        assert list(entries) == []
        for one in put:
            entries.append(one)
        assert list(entries) == list(entries) == put
        assert next(iter(entries)) == put[0]
        entries.append(put[0])
        assert len(list(entries)) == len(entries) == 3


def test_all_of_a_ring() -> None:
    with Surveyed() as surveyed:
        assert (surveyed.newest, surveyed.first_ns) == (None, None)
        for one in (entry(1), entry(2, first_ns=0), entry(3, first_ns=7)):
            surveyed.append(one)
        assert surveyed.names == {"p\udcff.1", "p\udcff.2", "p\udcff.3"}
        assert surveyed.newest == "p\udcff.3"
        assert (surveyed.packets, surveyed.first_ns) == (6, 0)


def test_no_room_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(module, "IN_MEMORY_BYTES", 1)
    with Entries() as entries:

        def refuse(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(entries._file, "write", refuse)
        with pytest.raises(StorageError, match=f"temporary file in {tmp_path}: No space left"):
            entries.append(entry(1))
