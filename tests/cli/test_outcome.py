"""How commands end: one line and a status for each failure we expect."""

import pytest

from daemonlogger_py.cli import outcome
from daemonlogger_py.errors import DaemonloggerError, StorageError, UsageError


def raising(error: BaseException):
    def command() -> int:
        raise error

    return command


@pytest.mark.parametrize("status", [0, 1, 2])
def test_status_of_the_command(capsys, status: int) -> None:
    assert outcome.run("dlctl", lambda: status) == status
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("error", "status"), [(UsageError("-M 0"), 2), (StorageError("full"), 1)])
def test_expected_failure(capsys, error: DaemonloggerError, status: int) -> None:
    assert outcome.run("dlctl", raising(error)) == status
    assert capsys.readouterr() == ("", f"dlctl: {error}\n")


def test_message_is_one_line_whatever_it_quotes(capsys) -> None:
    outcome.run("dlctl", raising(UsageError("a\nb\r\n\tc")))
    assert capsys.readouterr().err == "dlctl: a b c\n"


def test_interrupt(capsys) -> None:
    assert outcome.run("dlctl", raising(KeyboardInterrupt())) == 130
    assert capsys.readouterr() == ("", "")


def test_unexpected_failure_is_not_hidden() -> None:
    with pytest.raises(ValueError, match="defect"):
        outcome.run("dlctl", raising(ValueError("defect")))


def test_write_out_ends_the_line(capsys) -> None:
    outcome.write_out("a\nb")
    assert capsys.readouterr().out == "a\nb\n"
