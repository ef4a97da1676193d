"""Lines on standard output and error: all of them, escaped, and a failure that is told."""

import io
import sys

import pytest

from daemonlogger_py.errors import OutputError
from daemonlogger_py.readers.output import tell, write_lines


def test_every_line_is_written(capsys) -> None:
    write_lines(str(number) for number in range(2500))
    assert capsys.readouterr().out == "".join(f"{number}\n" for number in range(2500))


def test_no_lines_are_nothing(capsys) -> None:
    write_lines([])
    assert capsys.readouterr() == ("", "")


def test_what_the_encoding_lacks_is_escaped(monkeypatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    write_lines(["Zoë"])
    assert written.getvalue() == b"Zo\\xeb\n"


@pytest.mark.parametrize("lines", [["a"], ["a" * 100] * 5000])
def test_an_output_that_does_not_take_it(monkeypatch, lines: list[str]) -> None:
    # Unbuffered beneath: what was refused is not tried again when it is closed.
    full = io.TextIOWrapper(io.FileIO("/dev/full", "w"), write_through=True)  # type: ignore[type-var]
    monkeypatch.setattr(sys, "stdout", full)
    with pytest.raises(OutputError, match="standard output: No space left on device") as told:
        write_lines(lines)
    assert isinstance(told.value.__cause__, OSError)
    monkeypatch.undo()
    full.close()


def test_tell_names_the_verb(capsys) -> None:
    tell("ls", "it is damaged")
    assert capsys.readouterr() == ("", "dlctl ls: it is damaged\n")


def test_tell_without_standard_error(monkeypatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    tell("ls", "nobody hears it")
