"""Whoever asks the socket gets a line; nobody who asks can hold anything up."""

import os
import socket
import stat
from pathlib import Path

import pytest

from daemonlogger_py.record.answers import Answers

NAME = "t.socket"


@pytest.fixture(autouse=True)
def in_the_log_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def ask() -> socket.socket:
    asking = socket.socket(socket.AF_UNIX)
    asking.settimeout(5)
    asking.connect(NAME)
    return asking


def test_everybody_gets_the_line_and_is_let_go() -> None:
    answers = Answers(NAME)
    askers = [ask() for _ in range(3)]
    answers.give(lambda: b'{"received": 1}\n')

    for asker in askers:
        with asker, asker.makefile("rb") as reading:
            assert reading.read() == b'{"received": 1}\n'
    answers.close()
    assert not os.path.exists(NAME)


def test_nothing_is_made_up_for_nobody() -> None:
    answers = Answers(NAME)
    answers.give(lambda: pytest.fail("nobody asked"))
    answers.close()


def test_one_that_is_gone_before_the_answer_is_no_error() -> None:
    answers = Answers(NAME)
    ask().close()
    answers.give(lambda: b"x" * 10_000)
    answers.close()


def test_only_owner_and_group_may_ask() -> None:
    answers = Answers(NAME)

    assert stat.S_IMODE(os.stat(NAME).st_mode) == 0o660
    answers.close()


def test_what_a_killed_recorder_left_is_taken_over() -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(NAME)
    answers = Answers(NAME)
    with ask():
        answers.give(lambda: b"ours\n")
    answers.close()


def test_another_recorder_keeps_its_own() -> None:
    first = Answers(NAME)
    with pytest.raises(FileExistsError, match="another recorder answers there"):
        Answers(NAME)
    first.give(lambda: b"")
    first.close()


def test_a_name_that_is_another_s_by_now_stays() -> None:
    first = Answers(NAME)
    os.unlink(NAME)
    second = Answers(NAME)
    first.close()

    with ask() as asker:
        second.give(lambda: b"second\n")
        assert asker.recv(100) == b"second\n"
    second.close()
