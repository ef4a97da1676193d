"""Hooks as a recorder has them run: what they get, how many, how all ends, what is refused."""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from textwrap import dedent

import pytest

from daemonlogger_py.errors import UsageError
from daemonlogger_py.service.hooks import HookCounts, HookRunner

from .hooking import (
    PATIENCE_S,
    SOON_S,
    STUBBORN,
    Heard,
    Run,
    members,
    savefile,
    script,
    survivors,
    until,
)

NAMES = {"FILE", "FIRST", "LAST", "PACKETS", "BYTES", "DROPS", "INTERFACE", "WHY"}
PASSED_ON = {"PATH", "LANG", "LC_ALL", "TZ", "HOME"}
root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def environment(file: Path) -> dict[str, str]:
    variables = (line.partition("=") for line in file.read_text().split("\0") if line)
    return {name: value for name, _, value in variables}


# What a hook gets


def test_a_hook_gets_the_facts_and_nothing_of_the_recorder(
    run: Run, tmp_path: Path, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/notify")
    monkeypatch.setenv("HOME", "/var/lib/of/somebody")
    runner = run(f"cp /proc/self/environ {tmp_path}/environ")
    runner.sealed(savefile("/log/t.5"))

    assert runner.close()
    got = environment(tmp_path / "environ")
    assert got.keys() - PASSED_ON == {f"DAEMONLOGGER_{name}" for name in NAMES}
    assert got["DAEMONLOGGER_FILE"] == "/log/t.5"
    assert got["DAEMONLOGGER_FIRST"] == "1228873098.000000001"
    assert (got["HOME"], got["PATH"]) == ("/var/lib/of/somebody", os.environ["PATH"])
    assert (runner.counts, heard.texts("hook_failed")) == (HookCounts(1, 0, 0), [])


def test_any_path_arrives_as_it_is(run: Run, tmp_path: Path) -> None:
    path = os.fsdecode(b"/log/\xff \xc3\xa9\n\"'.5")
    runner = run(f"cp /proc/self/environ {tmp_path}/environ")
    runner.sealed(savefile(path))

    assert runner.close()
    variables = (tmp_path / "environ").read_bytes().split(b"\0")
    assert b"DAEMONLOGGER_FILE=" + os.fsencode(path) in variables


def test_the_command_is_split_but_no_shell_runs_it(run: Run, tmp_path: Path) -> None:
    odd = tmp_path / "a $HOME; echo *"
    runner = run(f"cp /proc/self/cmdline '{odd}'")
    runner.sealed(savefile("/log/t.5"))

    assert runner.close()
    assert odd.read_text().split("\0")[:-1] == ["cp", "/proc/self/cmdline", str(odd)]


def test_a_hook_begins_as_any_program_expects_to(run: Run, tmp_path: Path) -> None:
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)  # which lasts through exec
    try:
        runner = run(f"cp /proc/self/status {tmp_path}/status")
    finally:
        signal.signal(signal.SIGUSR2, signal.SIG_DFL)
    runner.sealed(savefile("/log/t.5"))

    assert runner.close()
    status = dict(
        line.split(":\t", 1) for line in (tmp_path / "status").read_text().splitlines() if line
    )
    signals = {int(status[key], 16) for key in ("SigBlk", "SigIgn", "SigCgt", "SigPnd")}
    # 32 and 33 are the C library's own: they are what they were where the tests were started.
    assert {found & ~(3 << 31) for found in signals} == {0}
    assert int(status["Umask"], 8) & 0o027 == 0o027


def test_a_hook_has_no_descriptor_and_no_terminal_of_ours(run: Run, tmp_path: Path) -> None:
    body = f"""
        import os
        with open("{tmp_path}/found", "w") as file:
            fds = [fd for fd in range(256) if os.path.lexists(f"/proc/self/fd/{{fd}}")]
            streams = [os.readlink(f"/proc/self/fd/{{fd}}") for fd in (0, 1)]
            own_session = os.getsid(0) == os.getpid()
            fds.remove(file.fileno())
            print(os.getcwd(), fds, streams, own_session, os.nice(0), file=file)
    """
    runner = run(script(tmp_path / "hook", dedent(body), f"{sys.executable} -IS"))
    runner.sealed(savefile("/log/t.5"))

    assert runner.close()
    niceness = min(19, os.nice(0) + 5)
    expected = f"/ [0, 1, 2] ['/dev/null', '/dev/null'] True {niceness}\n"
    assert (tmp_path / "found").read_text() == expected


def test_a_relative_command_is_of_the_directory_where_it_was_given(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    script(tmp_path / "hook", f"touch {tmp_path}/done")
    runner = run("./hook")
    runner.sealed(savefile("/log/t.5"))

    assert runner.close()
    assert (tmp_path / "done").exists()


@root
def test_a_hook_runs_as_the_user_that_records(run: Run) -> None:
    from daemonlogger_py.service.privileges import identity

    with tempfile.TemporaryDirectory() as name:  # which pytest's are not: open to others
        out = Path(name)
        out.chmod(0o777)
        nobody = identity("nobody", "nogroup")
        runner = run(f"cp /proc/self/status /proc/self/environ {out}", nobody)
        runner.sealed(savefile("/log/t.5"))

        assert runner.close()
        status = (out / "status").read_text()
        home = environment(out / "environ")["HOME"]
    assert "\nUid:\t65534\t65534\t65534\t65534\n" in status
    assert "\nGid:\t65534\t65534\t65534\t65534\n" in status
    assert "\nGroups:\t \n" in status
    assert "\nCapPrm:\t0000000000000000\n" in status
    assert "\nNoNewPrivs:\t1\n" in status
    assert home == pwd.getpwnam("nobody").pw_dir


@root
@pytest.mark.parametrize("command", ["hook", "/bin/hook", "bin/hook"])
def test_a_command_is_looked_for_in_the_chroot_and_runs_there(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("PATH", "/bin")
    jail = tmp_path / "jail"
    for file in ("/bin/sh", *libraries("/bin/sh")):
        target = jail / file.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
    body = "echo here > /made; trap '' TERM; (while :; do :; done) & exit 3"
    script(jail / "bin" / "hook", body)
    runner = run(command, None, str(jail), limit_s=SOON_S, grace_s=SOON_S)
    runner.sealed(savefile(tmp_path / "t.5"))

    assert runner.close(PATIENCE_S)
    assert (jail / "made").read_text() == "here\n"
    assert runner.counts == HookCounts(0, 1, 0)
    assert survivors(tmp_path) == []  # found without a /proc in there
    with pytest.raises(UsageError, match="/bin/ls: no such command"):
        run("/bin/ls", None, str(jail))


def libraries(program: str) -> list[str]:
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    return [word for line in listed.splitlines() for word in line.split() if word.startswith("/")]


# How many


def test_all_run_in_their_order_and_close_waits_for_them(run: Run, tmp_path: Path) -> None:
    hook = script(tmp_path / "hook", f'echo "$DAEMONLOGGER_FILE" >> {tmp_path}/order')
    runner = run(hook, at_once=1)
    for number in range(50):
        runner.sealed(savefile(f"/log/t.{number}"))

    assert runner.close(PATIENCE_S)
    lines = (tmp_path / "order").read_text().splitlines()
    assert lines == [f"/log/t.{number}" for number in range(50)]


def test_no_more_than_allowed_run_together(run: Run, tmp_path: Path) -> None:
    running = tmp_path / "running"
    running.mkdir()
    body = f"""
        touch {running}/$$
        ls {running} | wc -l >> {tmp_path}/counts
        while [ ! -e {tmp_path}/go ]; do sleep 0.01; done
        rm {running}/$$
    """
    runner = run(script(tmp_path / "hook", dedent(body)), at_once=3)
    for number in range(9):
        runner.sealed(savefile(f"/log/t.{number}"))
    until(lambda: len(os.listdir(running)) == 3)
    (tmp_path / "go").touch()

    assert runner.close(PATIENCE_S)
    counts = [int(line) for line in (tmp_path / "counts").read_text().splitlines()]
    assert len(counts) == 9
    assert max(counts) <= 3


def test_what_is_beyond_the_queue_is_skipped_and_told(
    run: Run, tmp_path: Path, heard: Heard
) -> None:
    hook = script(tmp_path / "hook", f"while [ ! -e {tmp_path}/go ]; do sleep 0.01; done")
    runner = run(hook, limit=10)
    for number in range(10_000):
        runner.sealed(savefile(f"/log/t.{number}"))
    heard.wait_for("hooks_skipped")
    (tmp_path / "go").touch()

    assert runner.close(PATIENCE_S)
    assert runner.counts == HookCounts(10, 0, 9990)
    assert len(heard.texts("hooks_skipped")) <= 2  # at once, and what there was in the end
    assert "(9990 in all)" in heard.texts("hooks_skipped")[-1]


def test_a_runner_that_stands_still_delays_nobody(run: Run, tmp_path: Path) -> None:
    runner = run("true", limit=2000)
    assert runner.pid is not None
    os.kill(runner.pid, signal.SIGSTOP)
    try:
        for number in range(3000):  # more than the kernel holds for it
            runner.sealed(savefile(f"/log/t.{number}"))
        assert runner.counts.skipped == 1000
    finally:
        os.kill(runner.pid, signal.SIGCONT)
    runner.sealed(savefile("/log/t"))  # its entry is counted, whether there is room by now or not
    until(lambda: runner.counts.done > 0)


# The end


def test_close_has_an_end(run: Run, tmp_path: Path, heard: Heard) -> None:
    runner = run(script(tmp_path / "hook", STUBBORN), at_once=2, grace_s=SOON_S)
    for number in range(5):
        runner.sealed(savefile(tmp_path / f"t.{number}"))
    until(lambda: len(survivors(tmp_path)) >= 4)

    assert not runner.close(SOON_S)
    assert survivors(tmp_path) == []
    assert runner.pid is not None
    assert members(runner.pid) == []
    assert [facts["failure"] for facts in heard.facts("hook_failed")] == [
        "ended with the recorder",
        "ended with the recorder",
    ]
    assert runner.counts == HookCounts(0, 2, 3)
    assert "not run for 3 savefiles" in heard.texts("hooks_skipped")[0]
    assert heard.texts("hooks_gone") == []


def test_nothing_is_left_of_the_runner_and_close_may_come_twice(run: Run) -> None:
    runner = run("true")
    assert runner.pid is not None

    assert runner.close()
    assert runner.close()
    with pytest.raises(ChildProcessError):
        os.waitpid(runner.pid, os.WNOHANG)
    runner.sealed(savefile("/log/t.5"))
    assert runner.counts == HookCounts(0, 0, 1)


def test_a_start_that_failed_elsewhere_ends_the_runner_too() -> None:
    runner = HookRunner("true")
    runner.close()
    runner.start()
    assert runner.pid is not None

    assert runner.close()
    assert members(runner.pid) == []


RECORDER = """
import os, sys, time
from daemonlogger_py.service.hooks import HookRunner
from daemonlogger_py.service.sealed import Sealed

runner = HookRunner(sys.argv[1], grace_s=0.2)
runner.start()
if "detach" in sys.argv:
    for _ in range(2):
        if os.fork():
            os._exit(0)
        os.setsid()
runner.watch(lambda event, text, **facts: print(event, text, flush=True))
runner.sealed(Sealed(sys.argv[2], 1, 2, 3, 4, 5, "le1", "exit"))
print(runner.pid, os.getpid(), flush=True)
if "hang" in sys.argv:
    time.sleep(1000)
print("closed" if runner.close() else "not closed", runner.counts.done, flush=True)
"""


@pytest.mark.parametrize("detached", [(), ("detach",)])
def test_hooks_end_with_a_recorder_that_is_killed(
    tmp_path: Path, detached: tuple[str, ...]
) -> None:
    hook = script(tmp_path / "hook", STUBBORN)
    arguments = [sys.executable, "-c", RECORDER, hook, str(tmp_path / "t.5"), "hang", *detached]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as recorder:
        assert recorder.stdout is not None
        runner, pid = map(int, recorder.stdout.readline().split())
        until(lambda: len(survivors(f"DAEMONLOGGER_FILE={tmp_path}")) >= 2)
        os.kill(pid, signal.SIGKILL)

        until(lambda: survivors(f"DAEMONLOGGER_FILE={tmp_path}") == [] and members(runner) == [])


def test_hooks_outlive_the_recorders_detaching(tmp_path: Path) -> None:
    hook = script(tmp_path / "hook", f"touch {tmp_path}/done")
    arguments = [sys.executable, "-c", RECORDER, hook, str(tmp_path / "t.5"), "detach"]
    ran = subprocess.run(arguments, stdout=subprocess.PIPE, text=True, check=True)

    # Its last line comes after the first parent has gone: the pipe is read to its end.
    assert ran.stdout.splitlines()[1:] == ["closed 1"]
    assert (tmp_path / "done").exists()


def test_the_terminals_signals_are_not_for_hooks(run: Run, tmp_path: Path) -> None:
    runner = run(script(tmp_path / "hook", f"touch {tmp_path}/done"))
    assert runner.pid is not None
    assert os.getsid(runner.pid) == runner.pid
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
        os.kill(runner.pid, number)
    runner.sealed(savefile("/log/t.5"))

    assert runner.close()
    assert (tmp_path / "done").exists()


# What is refused


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("", "no command"),
        ("''", "no command"),
        ("# comment", "#: no such command"),
        ("cp 'a", "No closing quotation"),
        ("there-is-no-such-command", "there-is-no-such-command: no such command"),
        ("/nowhere/hook", "/nowhere/hook: no such command"),
        ("/etc", "/etc: no such command"),
        ("/etc/passwd", "/etc/passwd: may not be executed"),
    ],
)
def test_a_command_that_cannot_run_is_refused_at_start(
    run: Run, command: str, words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError, match="--on-roll") as refused:
        run(command)

    assert words in str(refused.value)
    assert capfd.readouterr().err == ""


def test_a_python_that_cannot_be_started_is_refused(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")

    with pytest.raises(UsageError, match="/nowhere/python: No such file"):
        run("true")


def test_a_runner_that_ends_before_it_begins_is_refused(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")

    with pytest.raises(UsageError, match="the process that runs hooks"):
        run("true")


def test_watching_comes_after_starting(heard: Heard) -> None:
    with pytest.raises(RuntimeError):
        HookRunner("true").watch(heard)


def test_neither_directory_nor_environment_says_what_the_runner_imports(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("json", "daemonlogger_py", "sitecustomize"):
        (tmp_path / f"{name}.py").write_text(f"open('{tmp_path}/imported', 'w')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    runner = run(f"touch {tmp_path}/done")
    runner.sealed(savefile("/log/t.5"))

    assert runner.close()
    assert (tmp_path / "done").exists()
    assert not (tmp_path / "imported").exists()


def test_a_recorder_without_hooks_does_not_pay_for_them() -> None:
    code = (
        "import sys; before = {*sys.modules}; import daemonlogger_py.service.hooks; "
        "print(*({'json', 'subprocess', 'shlex', 'ctypes', 'pwd'} & {*sys.modules} - before))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True
    )

    assert ran.stdout.split() == []
