"""Commands run for files, and descriptors told of them."""

import os
import signal
import sys
import time

import pytest

from daemonlogger_py.readers.streams.commands import Alerts, Commands


@pytest.fixture
def told():
    return []


def test_file_is_the_last_argument_and_no_shell_reads_it(told, tmp_path):
    path = tmp_path / "a b;$(touch x)"
    commands = Commands(("touch", "--", str(tmp_path / "first")), told.append)
    commands.run(str(path))
    commands.finish()
    assert path.exists()
    assert (tmp_path / "first").exists()
    assert (commands.done, commands.failed, told) == (1, 0, [])


def test_status_is_told(told):
    commands = Commands(("sh", "-c", "exit 3"), told.append)
    commands.run("FILE")
    commands.finish()
    assert told == ["sh FILE: ended with status 3"]
    assert (commands.done, commands.failed) == (1, 1)


def test_signal_is_told(told):
    commands = Commands(("sh", "-c", "kill -9 $$"), told.append)
    commands.run("FILE")
    commands.finish()
    assert told == ["sh FILE: was ended by SIGKILL"]


def test_command_that_is_not_there(told):
    commands = Commands(("/no/such/command",), told.append)
    commands.run("FILE")
    assert "cannot be run for FILE" in told[0]
    assert (commands.done, commands.failed) == (1, 1)
    commands.finish()


def test_no_more_than_some_at_once(told, tmp_path):
    script = (
        "import os,sys,time; d=sys.argv[1]; open(sys.argv[2],'w').close();"
        "n=len(os.listdir(d)); time.sleep(.05); os.unlink(sys.argv[2]); sys.exit(n>2)"
    )
    directory = tmp_path / "running"
    directory.mkdir()
    commands = Commands((sys.executable, "-c", script, str(directory)), told.append, at_once=2)
    for number in range(6):
        commands.run(str(directory / str(number)))
    commands.finish()
    assert (commands.done, commands.failed, told) == (6, 0, [])


def test_run_waits_while_too_many_wait(told):
    commands = Commands(("sleep", "0.05"), told.append, at_once=1, most_waiting=1)
    # `sleep` adds its arguments up, so the file is one more time to wait.
    for _ in range(4):
        commands.run("0.01")
    assert commands.done >= 2
    commands.finish()
    assert commands.done == 4


def test_run_does_not_wait_once_it_is_to_stop(told):
    commands = Commands(("sleep", "30"), told.append, at_once=1, most_waiting=1)
    for _ in range(4):
        commands.run("1", lambda: True)
    assert commands.done == 0
    commands.finish(limit_s=0, grace_s=5)
    assert "not run for 3 files" in told[0]


def test_commands_that_do_not_end_are_made_to(told):
    stubborn = "import signal,time; signal.signal(15, signal.SIG_IGN); time.sleep(60)"
    commands = Commands((sys.executable, "-c", stubborn), told.append)
    commands.run("FILE")
    deadline = time.monotonic() + 20
    (process, _) = next(iter(commands._running.values()))
    while time.monotonic() < deadline and not _ignores_term(process.pid):
        time.sleep(0.01)
    commands.finish(limit_s=0, grace_s=0.2)
    assert told == [f"{sys.executable} FILE: was ended by SIGKILL"]


def _ignores_term(pid):
    with open(f"/proc/{pid}/status") as file:
        ignored = next(line for line in file if line.startswith("SigIgn"))
    return bool(int(ignored.split()[1], 16) >> (signal.SIGTERM - 1) & 1)


def test_command_is_in_a_session_of_its_own_without_input(told, tmp_path):
    script = "import os,sys; f=open(sys.argv[1],'w'); print(os.getsid(0)==os.getpid(), file=f);"
    script += "print(repr(sys.stdin.read()), file=f)"
    commands = Commands((sys.executable, "-c", script), told.append)
    commands.run(str(tmp_path / "out"))
    commands.finish()
    assert (tmp_path / "out").read_text() == "True\n''\n"


def test_alerts():
    reader, writer = os.pipe()
    alerts = Alerts(writer, pytest.fail)
    alerts.opened("out/a")
    alerts.closed("out/a")
    assert os.read(reader, 100) == b"open\tout/a\nclose\tout/a\n"
    os.close(reader)
    os.close(writer)


def test_descriptor_nobody_reads_is_told_once(told):
    reader, writer = os.pipe()
    os.close(reader)
    alerts = Alerts(writer, told.append)
    alerts.opened("a")
    alerts.closed("a")
    os.close(writer)
    assert told == [f"descriptor {writer} is told of no more files: Broken pipe"]
