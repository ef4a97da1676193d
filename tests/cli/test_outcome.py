"""How commands end: one line and a status for each failure we expect."""

import os
import subprocess
import sys

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


def test_no_thread_to_be_had_is_told(capsys) -> None:
    assert outcome.run("dlctl", raising(RuntimeError("can't start new thread"))) == 1
    said = "dlctl: no thread can be started: processes are limited (ulimit -u, TasksMax)\n"
    assert capsys.readouterr() == ("", said)
    with pytest.raises(RuntimeError, match="defect"):
        outcome.run("dlctl", raising(RuntimeError("defect")))


def test_without_standard_error_it_does_what_it_does() -> None:
    script = (
        "import sys; from daemonlogger_py.cli import outcome;"
        " sys.exit(outcome.run('x', lambda: sys.stderr.isatty() + sys.stderr.write('\\udcff') - 1))"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(["sh", "-c", '"$0" "$@" 2>&-', *command], check=False)
    assert done.returncode == 0


def test_unexpected_failure_is_not_hidden() -> None:
    with pytest.raises(ValueError, match="defect"):
        outcome.run("dlctl", raising(ValueError("defect")))


def test_write_out_ends_the_line(capsys) -> None:
    outcome.write_out("a\nb")
    assert capsys.readouterr().out == "a\nb\n"


LEAVES = "import sys; from daemonlogger_py.cli import outcome; {first}; outcome.leave({status})"


@pytest.mark.parametrize("status", [0, 1, 130])
def test_leaving_writes_what_is_left_and_returns_nowhere(status: int) -> None:
    first = "sys.stdout.write('said'); sys.stderr.write('told')"
    script = LEAVES.format(first=first, status=status) + "; print('more')"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (status, b"said", b"told")


def test_what_cannot_be_written_in_the_end_is_no_success() -> None:
    script = LEAVES.format(first="sys.stdout.write('said')", status=0)
    with open("/dev/full", "wb") as full:
        buffered = {**os.environ, "PYTHONUNBUFFERED": ""}
        command = [sys.executable, "-c", script]
        done = subprocess.run(command, stdout=full, env=buffered, check=False)
    assert done.returncode == outcome.UNWRITTEN


def test_leaving_without_standard_streams() -> None:
    script = LEAVES.format(first="sys.stdout = sys.stderr = None", status=3)
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 3
