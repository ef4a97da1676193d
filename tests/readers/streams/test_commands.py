"""Commands run for files, and descriptors told of them."""

import os
import signal
import sys
import threading
import time
from contextlib import suppress

import pytest

from daemonlogger_py.readers.streams.commands import Alerts, Commands, Patience


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
    commands.finish(lambda: True, grace_s=5)
    assert "not run for 3 files" in told[0]


def test_commands_that_do_not_end_are_made_to(told):
    stubborn = "import signal,time; signal.signal(15, signal.SIG_IGN); time.sleep(60)"
    commands = Commands((sys.executable, "-c", stubborn), told.append)
    commands.run("FILE")
    deadline = time.monotonic() + 20
    (process, _) = next(iter(commands._running.values()))
    while time.monotonic() < deadline and not _ignores_term(process.pid):
        time.sleep(0.01)
    commands.finish(lambda: True, grace_s=2)
    assert told == [f"{sys.executable} FILE: was ended by SIGKILL"]


def test_patience_ends_some_time_behind_the_stop(monkeypatch):
    now = 0.0
    stopped = False
    monkeypatch.setattr("daemonlogger_py.readers.streams.commands.monotonic", lambda: now)
    patience = Patience(lambda: stopped, 60.0)
    assert not patience.is_over()
    now = 1e6
    assert not patience.is_over()
    stopped = True
    assert not patience.is_over()
    now += 59
    assert not patience.is_over()
    now += 1
    assert patience.is_over()


def test_commands_are_waited_for_while_there_is_time(told, tmp_path):
    script = "import sys,time; time.sleep(.2); open(sys.argv[1],'w').close()"
    commands = Commands((sys.executable, "-c", script), told.append, at_once=2)
    paths = [tmp_path / str(number) for number in range(4)]
    for path in paths:
        commands.run(str(path))
    commands.finish(Patience(lambda: False, 0.0).is_over)
    assert (commands.done, commands.failed, told) == (4, 0, [])
    assert all(path.exists() for path in paths)


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


def test_alerts(stopping):
    reader, writer = os.pipe()
    alerts = Alerts(writer, pytest.fail, stopping)
    alerts.opened("out/a")
    alerts.closed("out/a")
    assert os.read(reader, 100) == b"open\tout/a\nclose\tout/a\n"
    alerts.close()
    os.close(reader)
    os.close(writer)


@pytest.mark.usefixtures("impatient")
def test_descriptor_whose_reader_takes_nothing_is_told_once_somebody_asks(told, stopping):
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writer, bytes(4096))
    os.set_blocking(writer, True)
    threading.Timer(0.2, stopping.request).start()
    alerts = Alerts(writer, told.append, stopping)
    alerts.opened("a")
    alerts.closed("a")
    alerts.close()
    os.close(reader)
    os.close(writer)
    assert told == [f"descriptor {writer} is told of no more files: whoever reads it holds it up"]


def test_descriptor_nobody_reads_is_told_once(told, stopping):
    reader, writer = os.pipe()
    os.close(reader)
    alerts = Alerts(writer, told.append, stopping)
    alerts.opened("a")
    alerts.closed("a")
    os.close(writer)
    assert told == [f"descriptor {writer} is told of no more files: Broken pipe"]
