"""Hooks that fail, hang, hide or are killed: it is told, and nothing of them stays."""

import os
import signal
from pathlib import Path

import pytest

from daemonlogger_py.service.hooks import HookCounts

from .hooking import (
    PATIENCE_S,
    SOON_S,
    STUBBORN,
    Heard,
    Run,
    children,
    members,
    savefile,
    script,
    survivors,
    until,
)


@pytest.mark.parametrize(
    ("body", "failure"),
    [
        ("exit 3", "exit status 3"),
        ("echo first >&2; echo the disk is full >&2; exit 1", "exit status 1: the disk is full"),
        ("kill -9 $$", "killed by SIGKILL"),
        ("kill -40 $$", "killed by signal 40"),
        ("exec 2>&- ; exit 4", "exit status 4"),
        ("printf 'a\\033[2Jb' >&2; exit 1", "exit status 1: a\x1b[2Jb"),
        ("printf '\\377' >&2; exit 1", "exit status 1: \ufffd"),
        ("head -c 1000000 /dev/zero | tr '\\0' x >&2; exit 5", f"exit status 5: {'x' * 200}"),
    ],
)
def test_a_failure_is_told_with_its_reason(
    run: Run, tmp_path: Path, heard: Heard, body: str, failure: str
) -> None:
    runner = run(script(tmp_path / "hook", body))
    runner.sealed(savefile("/log/t\n5"))

    assert runner.close(PATIENCE_S)
    assert heard.texts("hook_failed") == [f"[!] --on-roll: /log/t\\n5: {failure}"]
    assert heard.facts("hook_failed") == [{"path": "/log/t\n5", "failure": failure}]
    assert runner.counts == HookCounts(0, 1, 0)


def test_a_command_that_went_away_fails_each_time(run: Run, tmp_path: Path, heard: Heard) -> None:
    hook = tmp_path / "hook"
    runner = run(script(hook, "exit 0"))
    hook.unlink()
    runner.sealed(savefile("/log/t.5"))
    heard.wait_for("hook_failed")
    hook.write_text("no interpreter is named")
    hook.chmod(0o755)
    runner.sealed(savefile("/log/t.6"))

    assert runner.close(PATIENCE_S)
    gone, no_program = heard.texts("hook_failed")
    assert gone == "[!] --on-roll: /log/t.5: cannot be started: No such file or directory"
    assert "/log/t.6: cannot be started: Exec format error: a script begins with #!" in no_program


@pytest.mark.parametrize("body", ["exec sleep 1000", STUBBORN])
def test_a_hook_that_hangs_is_ended_with_all_it_started(
    run: Run, tmp_path: Path, heard: Heard, body: str
) -> None:
    runner = run(script(tmp_path / "hook", body), limit_s=SOON_S, grace_s=SOON_S)
    runner.sealed(savefile(tmp_path / "t.5"))

    heard.wait_for("hook_failed")
    assert heard.facts("hook_failed")[0]["failure"] == f"ended after {SOON_S:g} s"
    assert survivors(tmp_path) == []
    runner.sealed(savefile(tmp_path / "t.6"))
    heard.wait_for("hook_failed", 2)
    assert survivors(tmp_path) == []


def test_a_hook_may_end_in_its_own_way(run: Run, tmp_path: Path, heard: Heard) -> None:
    body = f"trap 'touch {tmp_path}/tidy; exit 9' TERM; while :; do sleep 0.01; done"
    runner = run(script(tmp_path / "hook", body), limit_s=SOON_S, grace_s=PATIENCE_S)
    runner.sealed(savefile("/log/t.5"))

    heard.wait_for("hook_failed")
    assert (tmp_path / "tidy").exists()


@pytest.mark.parametrize(
    "body",
    [
        "sleep 1000 &",
        "(setsid sleep 1000 &) &",
        "(setsid sh -c 'setsid sleep 1000 & exec sleep 1000' &) & exec 2>&-",
    ],
)
def test_what_a_hook_left_behind_has_no_more_time_than_the_hook(
    run: Run, tmp_path: Path, heard: Heard, body: str
) -> None:
    runner = run(script(tmp_path / "hook", body), limit_s=SOON_S, grace_s=SOON_S)
    runner.sealed(savefile(tmp_path / "t.5"))

    heard.wait_for("hook_failed")
    failure = heard.facts("hook_failed")[0]["failure"]
    assert failure == f"what it left behind was ended after {SOON_S:g} s"
    assert survivors(tmp_path) == []


def test_a_hook_is_over_when_what_it_left_behind_is(run: Run, tmp_path: Path) -> None:
    body = f"(while [ ! -e {tmp_path}/go ]; do sleep 0.01; done; touch {tmp_path}/done) &"
    runner = run(script(tmp_path / "hook", body))
    runner.sealed(savefile(tmp_path / "t.5"))
    until(lambda: len(survivors(tmp_path)) >= 1)
    (tmp_path / "go").touch()

    assert runner.close(PATIENCE_S)
    assert (tmp_path / "done").exists()
    assert runner.counts == HookCounts(1, 0, 0)


def test_a_guard_that_is_killed_takes_its_hook_along(
    run: Run, tmp_path: Path, heard: Heard
) -> None:
    runner = run(script(tmp_path / "hook", STUBBORN))
    assert runner.pid is not None
    runner.sealed(savefile(tmp_path / "t.5"))
    until(lambda: len(survivors(tmp_path)) >= 2)
    (guard,) = children(runner.pid)
    os.kill(guard, signal.SIGKILL)

    (text,) = heard.wait_for("hook_failed")
    assert text.endswith("killed with the process that guarded it")
    assert survivors(tmp_path) == []
    assert members(runner.pid) == [runner.pid]


def test_a_runner_that_is_killed_takes_all_hooks_along_and_is_told_once(
    run: Run, tmp_path: Path, heard: Heard
) -> None:
    runner = run(script(tmp_path / "hook", STUBBORN), grace_s=SOON_S)
    assert runner.pid is not None
    for number in range(6):
        runner.sealed(savefile(tmp_path / f"t.{number}"))
    until(lambda: len(survivors(tmp_path)) >= 8)
    os.kill(runner.pid, signal.SIGKILL)

    (text,) = heard.wait_for("hooks_gone")
    assert text.endswith("was killed by signal 9; recording goes on without")
    assert survivors(tmp_path) == []
    runner.sealed(savefile(tmp_path / "t.9"))
    assert not runner.close()
    assert runner.counts == HookCounts(0, 0, 7)
    assert len(heard.texts("hooks_gone")) == 1
