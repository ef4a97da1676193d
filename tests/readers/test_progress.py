"""A bar where somebody can see it, and nothing anywhere else."""

import io
import sys

import pytest

from daemonlogger_py.readers import progress
from daemonlogger_py.readers.progress import Progress

pytest.importorskip("rich")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal(monkeypatch) -> None:
    monkeypatch.setattr(progress, "EVERY_NS", 0)
    stream = Terminal()
    with Progress(1 << 20, stream=stream) as bar:
        assert bar.shown
        bar.update(1 << 19)
        assert "0.5/1.0 MiB" in stream.getvalue()
        bar.update(1 << 20)
    assert not bar.shown
    bar.update(5)


def test_without_a_known_end(monkeypatch) -> None:
    monkeypatch.setattr(progress, "EVERY_NS", 0)
    stream = Terminal()
    with Progress(None, stream=stream) as bar:
        bar.update(1 << 21)
    assert "2.0/? MiB" in stream.getvalue()


def test_is_not_drawn_more_often_than_it_can_be_seen() -> None:
    stream = Terminal()
    with Progress(1 << 30, stream=stream) as bar:
        bar.update(1)
        drawn = len(stream.getvalue())
        bar._due_ns *= 2  # not due for as long as the machine has been up
        for done in range(1000):
            bar.update(done)
        assert len(stream.getvalue()) == drawn


@pytest.mark.parametrize(("terminal", "wanted"), [(False, True), (True, False)])
def test_where_nobody_sees_it(terminal: bool, wanted: bool) -> None:
    stream = Terminal() if terminal else io.StringIO()
    with Progress(100, wanted=wanted, stream=stream) as bar:
        assert not bar.shown
        bar.update(50)
    assert stream.getvalue() == ""


def test_without_rich(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "rich.console", None)
    stream = Terminal()
    with Progress(100, stream=stream) as bar:
        assert not bar.shown
        bar.update(50)
    assert stream.getvalue() == ""


def test_rich_is_not_loaded_for_nothing(monkeypatch) -> None:
    monkeypatch.setattr(progress, "_bar", None)
    with Progress(100, stream=io.StringIO()) as bar:
        bar.update(1)
    assert not bar.shown


def test_a_failure_takes_the_bar_away() -> None:
    stream = Terminal()
    with pytest.raises(ZeroDivisionError), Progress(100, stream=stream) as bar:
        raise ZeroDivisionError
    assert not bar.shown
