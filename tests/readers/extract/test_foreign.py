"""Captures of other formats come out as libpcap reads them."""

import gzip
import os
from pathlib import Path

import pytest

from daemonlogger_py.errors import SourceError
from daemonlogger_py.readers.extract.foreign import Foreign
from daemonlogger_py.readers.extract.task import Facts, Task
from daemonlogger_py.readers.inputs.capture import Input
from daemonlogger_py.readers.inputs.stopping import Stopping

from ...pcaps.make import MODIFIED, classic, file_header
from ...pcaps.parse import parse
from .savefiles import EPOCH, MS, NS, number_of, numbered


class Notes:
    """What a foreign capture tells while it is read."""

    def __init__(self) -> None:
        self.facts: list[Facts] = []
        self.lines: list[tuple[str, bool]] = []

    def note(self, input_: Input | None, line: str, missing: bool) -> None:
        if input_ is not None:
            self.facts.append(Facts.of_input(input_))
        if line:
            self.lines.append((line, missing))


def read(
    path: Path, text: str = "", *, growing: bool = False, **how: int | bool
) -> tuple[list[int], list[int], Notes]:
    """Numbers of the packets, sequences of the chunks, and what was told."""
    notes = Notes()
    numbers, sequences = [], []
    fd = os.open(path, os.O_RDONLY)
    try:
        with Stopping() as stopping:
            task = Task(text, stopping, **how)  # type: ignore[arg-type]
            foreign = Foreign(task, fd, "shown", growing=growing)
            for found in foreign.found(notes.note):
                sequences.append(found.sequence)
                data = file_header() + bytes(memoryview(found.chunk))
                numbers += [number_of(one.data) for one in parse(data).records]
    finally:
        os.close(fd)
    return numbers, sequences, notes


@pytest.fixture
def compressed(tmp_path: Path) -> Path:
    path = tmp_path / "capture.gz"
    path.write_bytes(gzip.compress(classic(numbered(30))))
    return path


def test_a_compressed_one(compressed: Path) -> None:
    numbers, _, notes = read(compressed, "tcp")

    assert numbers == [0, 10, 20]
    assert notes.facts == [Facts(1, 262144, False)]
    assert notes.lines == []


def test_the_old_format_of_a_patched_libpcap(tmp_path: Path) -> None:
    path = tmp_path / "modified"
    path.write_bytes(classic(numbered(5), magic=MODIFIED, order=">"))

    assert read(path)[0] == [0, 1, 2, 3, 4]


def test_only_what_is_within_the_span(compressed: Path) -> None:
    begin = EPOCH * NS

    assert read(compressed, from_ns=begin + 2 * MS, to_ns=begin + 4 * MS)[0] == [2, 3]


def test_newest_first_chunks_are_numbered_downwards(tmp_path: Path) -> None:
    path = tmp_path / "capture.gz"
    path.write_bytes(gzip.compress(classic(numbered(2000, size=1400)), 1))
    numbers, sequences, _ = read(path, reverse=True)

    assert len(sequences) > 1
    assert sequences == sorted(sequences, reverse=True)
    assert sorted(numbers) == list(range(2000))
    assert numbers[0] > numbers[1]


def test_one_that_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "capture"
    path.write_bytes(classic(numbered(3), magic=MODIFIED)[:-1])
    numbers, _, notes = read(path)

    assert numbers == [0, 1]
    ((line, missing),) = notes.lines
    assert line.startswith("shown is damaged")
    assert missing


def test_what_is_no_capture_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes(b"It was a dark and stormy night.\n" * 9)

    with pytest.raises(SourceError, match="shown: not a savefile"):
        read(path)


def test_an_archive_of_several(tmp_path: Path) -> None:
    import zipfile

    path = tmp_path / "captures.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("one", classic(numbered(3)))
        archive.writestr("two", classic(numbered(2, first=3)))
    numbers, _, notes = read(path)

    assert numbers == [0, 1, 2, 3, 4]
    assert len(notes.facts) == 2
