"""Who descends from whom, and what a guard sees to; `test_hooks` has the whole of it run."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemonlogger_py.service.hook_guard import descendants

from .hooking import SOON_S, children, script, survivors, until

# A guard needs a process of its own, and says there what it would report.
GUARD = """
import json, os, socket, sys
from daemonlogger_py.service.hook_guard import Guard, Hook

command, marker, limit_s, grace_s, lifeline_fd = json.loads(sys.argv[1])
hook = Hook(command, os.environ | {"MARKER": marker}, limit_s, grace_s)
null_fd = os.open(os.devnull, os.O_RDWR)
proc_fd = os.open("/proc", os.O_RDONLY)
with socket.socket(fileno=lifeline_fd) as lifeline:
    print(json.dumps(Guard(hook, lifeline, proc_fd, null_fd).run()))
"""


@pytest.fixture
def proc_fd() -> Iterator[int]:
    fd = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def guarded(
    command: str, marker: Path, limit_s: float = 300.0, grace_s: float = 300.0
) -> tuple[subprocess.Popen[str], int]:
    """A guard that has begun, and the other end of its lifeline."""
    ours, theirs = socket.socketpair()
    with theirs:
        setup = json.dumps([[command], str(marker), limit_s, grace_s, theirs.fileno()])
        guard = subprocess.Popen(
            [sys.executable, "-c", GUARD, setup],
            stdout=subprocess.PIPE,
            pass_fds=(theirs.fileno(),),
            text=True,
        )
    return guard, ours.detach()


def said(guard: subprocess.Popen[str]) -> str | None:
    with guard:
        assert guard.stdout is not None
        return json.loads(guard.stdout.read())  # type: ignore[no-any-return]


def test_children_and_theirs_are_found_whatever_they_are_called(
    tmp_path: Path, proc_fd: int
) -> None:
    odd = tmp_path / "a) R 1 (b"
    script(odd, "sleep 1000 & setsid sleep 1000 & echo; wait")
    with subprocess.Popen([odd], stdout=subprocess.PIPE, env={"MARKER": str(odd)}) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            until(lambda: len(survivors(odd)) == 3)

            assert sorted(descendants(proc_fd, process.pid)) == sorted(children(process.pid))
            found = descendants(proc_fd, os.getpid())
            assert process.pid in found
            assert {*children(process.pid)} < {*found}
        finally:
            for pid in (*children(process.pid), process.pid):
                os.kill(pid, 9)
    assert process.pid not in descendants(proc_fd, os.getpid())


def test_the_directory_may_be_read_by_many_at_once(proc_fd: int) -> None:
    os.lseek(proc_fd, 0, os.SEEK_SET)
    with os.scandir(proc_fd) as entries:  # another who is in the middle of it
        next(entries)
        assert os.getpid() in descendants(proc_fd, os.getppid())


def test_a_hook_that_does_well_is_no_news(tmp_path: Path) -> None:
    guard, lifeline_fd = guarded(script(tmp_path / "hook", "echo said >&2"), tmp_path)

    assert said(guard) is None
    os.close(lifeline_fd)


@pytest.mark.parametrize("grace_s", [SOON_S, 300.0])
def test_a_lifeline_that_is_cut_ends_the_hook(tmp_path: Path, grace_s: float) -> None:
    body = "trap 'exit 0' TERM" if grace_s > SOON_S else "trap '' TERM"
    hook = script(tmp_path / "hook", f"{body}; echo ending >&2; while :; do sleep 0.01; done")
    guard, lifeline_fd = guarded(hook, tmp_path, grace_s=grace_s)
    until(lambda: len(survivors(tmp_path)) >= 1)
    os.close(lifeline_fd)

    assert str(said(guard)).startswith("ended with the recorder")
    assert survivors(tmp_path) == []


def test_its_last_words_are_those_of_the_hook_not_of_the_noise_before(tmp_path: Path) -> None:
    body = "head -c 300000 /dev/zero | tr '\\0' '\\n' >&2; echo at last >&2; echo >&2; exit 1"
    guard, lifeline_fd = guarded(script(tmp_path / "hook", body), tmp_path)

    assert said(guard) == "exit status 1: at last"
    os.close(lifeline_fd)


def test_what_is_left_has_the_hooks_time(tmp_path: Path) -> None:
    hook = script(tmp_path / "hook", "sleep 1000 & exit 7")
    guard, lifeline_fd = guarded(hook, tmp_path, limit_s=SOON_S)

    assert said(guard) == f"exit status 7, what it left behind was ended after {SOON_S:g} s"
    assert survivors(tmp_path) == []
    os.close(lifeline_fd)
