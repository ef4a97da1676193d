"""``dlctl status``: asked through the socket, and what is told where nobody answers."""

import json
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from daemonlogger_py.config.archive import StatusConfig
from daemonlogger_py.errors import UsageError
from daemonlogger_py.readers import status
from daemonlogger_py.readers.status import NobodyError, Place, ask

from .made_ring import PREFIX, make_ring
from .test_account import WHOLE

ANSWER = json.dumps(WHOLE).encode() + b"\n"


@contextmanager
def answering(path: Path, *pieces: bytes, hold: bool = False) -> Iterator[None]:
    """Somebody who gives each that connects these `pieces`; with `hold` the line stays open."""
    done = threading.Event()
    listener = socket.socket(socket.AF_UNIX)
    dir_fd = os.open(path.parent, os.O_RDONLY)
    listener.bind(f"/proc/self/fd/{dir_fd}/{path.name}")  # whatever the length of the path
    listener.listen(8)

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client, suppress(ConnectionError):  # it has heard enough
                for piece in pieces:
                    client.send(piece)
                if hold:
                    done.wait(20)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        done.set()
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(10)
        listener.close()
        os.close(dir_fd)


@pytest.fixture
def ring(tmp_path: Path) -> Path:
    """The directory of a ring, whose path is too long for an address."""
    place = tmp_path / ("long" * 30)
    place.mkdir()
    return place


def test_a_recorder_that_answers(ring: Path, capsys) -> None:
    with answering(ring / "p.socket", ANSWER):
        assert status.run(StatusConfig(str(ring))) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("recorder:  running since 2023-11-14T22:13:20Z ")
    assert lines[-1].startswith("time left: 8 h 11 min")


def test_an_answer_in_pieces_as_json(ring: Path, capsys) -> None:
    with answering(ring / "p.socket", ANSWER[:10], ANSWER[10:]):
        assert status.run(StatusConfig(str(ring), "p", json=True)) == 0
    assert json.loads(capsys.readouterr().out) == {"running": True} | WHOLE


@pytest.mark.parametrize(
    ("pieces", "why"),
    [((), "its answer is no account"), ((b"[]",), "its answer is no account"),
     ((b"x" * 65536,) * 20, "its answer does not end")],
)  # fmt: skip
def test_an_answer_that_is_none(ring: Path, capsys, pieces: tuple[bytes, ...], why: str) -> None:
    with answering(ring / "p.socket", *pieces):
        assert status.run(StatusConfig(str(ring), json=True)) == 1
    assert json.loads(capsys.readouterr().out) == {"running": False, "why": why}


def test_one_that_never_answers_is_not_waited_for(ring: Path, monkeypatch) -> None:
    monkeypatch.setattr(status, "ANSWER_S", 0.05)
    place = Place(str(ring), "p")
    with answering(ring / "p.socket", hold=True), pytest.raises(NobodyError, match="timed out"):
        ask(place.dir_fd, "p.socket")
    place.close()


def test_a_dead_recorders_socket(ring: Path, capsys) -> None:
    with answering(ring / "p.socket"):
        pass
    assert status.run(StatusConfig(str(ring))) == 1
    assert "recorder: none answers: Connection refused" in capsys.readouterr().out


def test_without_a_recorder_the_last_that_is_known(tmp_path: Path, capsys) -> None:
    make_ring(tmp_path)
    assert status.run(StatusConfig(str(tmp_path))) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"recorder: none answers: there is no {PREFIX}.socket",
        "last run: since 2023-11-14T22:13:20Z, ended 2023-11-14T22:18:20Z, SIGTERM",
        "ring:     3 savefiles, 11.2 KiB",
    ]


def test_without_a_catalog_too(tmp_path: Path, capsys) -> None:
    make_ring(tmp_path)
    for path in tmp_path.glob("*.catalog*"):
        path.unlink()
    assert status.run(StatusConfig(str(tmp_path))) == 1
    assert capsys.readouterr().out.splitlines() == [
        "recorder: none answers: there is no eth0.pcap.socket",
        "ring:     3 savefiles, 11.2 KiB",
    ]


def test_nothing_at_all(tmp_path: Path, capsys) -> None:
    assert status.run(StatusConfig(str(tmp_path))) == 1
    assert "no savefiles PREFIX.EPOCH are there" in capsys.readouterr().out


def test_which_ring_is_meant(tmp_path: Path) -> None:
    make_ring(tmp_path)
    (tmp_path / "other.socket").touch()  # no socket
    place = Place(str(tmp_path))
    assert place.prefix == PREFIX
    place.close()
    with answering(tmp_path / "b.socket"):
        place = Place(str(tmp_path))
        assert place.prefix == "b"
        place.close()
        with (
            answering(tmp_path / "a.socket"),
            pytest.raises(UsageError, match="--prefix is missing; accepted: a, b"),
        ):
            Place(str(tmp_path))


def test_no_such_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name, reason in (("gone", "No such file or directory"), ("file", "Not a directory")):
        with pytest.raises(UsageError, match=f"--ring .*{name}: {reason}"):
            status.run(StatusConfig(str(tmp_path / name)))


class Pressed:
    """Instead of sleeping: nothing for some time, and then Ctrl-C."""

    def __init__(self, looks: int) -> None:
        self._left = looks

    def __call__(self, seconds: float) -> None:
        self._left -= 1
        if not self._left:
            raise KeyboardInterrupt


def test_watching_without_a_terminal(ring: Path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(time, "sleep", Pressed(3))
    with answering(ring / "p.socket", ANSWER):
        assert status.run(StatusConfig(str(ring), watch_s=2.0)) == 0
    blocks = capsys.readouterr().out.split("\n\n")
    assert [block.startswith("recorder:  running") for block in blocks[:-1]] == [True] * 3


def test_watching_as_json_is_a_line_a_look(ring: Path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(time, "sleep", Pressed(2))
    assert status.run(StatusConfig(str(ring), json=True, watch_s=2.0)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["running"] for line in lines] == [False, False]


def test_watching_on_a_terminal_draws_over(ring: Path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(time, "sleep", Pressed(2))
    with answering(ring / "p.socket", ANSWER):
        assert status.run(StatusConfig(str(ring), watch_s=2.0)) == 0
    shown = capsys.readouterr().out
    assert shown.count("process 77") >= 2
    assert "\x1b[1A" in shown
