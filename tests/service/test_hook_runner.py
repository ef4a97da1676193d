"""The runner's side of the socket: what it answers, what it takes when, and when it ends."""

import json
import os
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from .hooking import PATIENCE_S, SOON_S, members, script, survivors, until

START = "import sys; from daemonlogger_py.service.hook_runner import main; main(int(sys.argv[1]))"


class Recorder:
    """The other end of a runner's socket."""

    def __init__(self, stack: ExitStack) -> None:
        self.link, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        stack.enter_context(self.link)
        self.link.settimeout(PATIENCE_S)
        with theirs:
            self.process = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", START, str(theirs.fileno())],
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,
                )
            )
        stack.callback(self.link.close)

    def say(self, message: object) -> None:
        self.link.send(json.dumps(message).encode())

    def hear(self) -> Any:
        """The next message; None when the runner has closed its end."""
        try:
            message = self.link.recv(1 << 17)
        except ConnectionResetError:  # once, for what it left unread; what it sent is still there
            message = self.link.recv(1 << 17)
        return json.loads(message) if message else None

    def set_up(self, *command: str, **changes: object) -> Any:
        setup: dict[str, object] = {
            "command": command,
            "environment": {"PATH": os.environ["PATH"]},
            "identity": None,
            "chroot": None,
            "at_once": 1,
            "limit_s": 300.0,
            "grace_s": SOON_S,
        }
        self.say(setup | changes)
        return self.hear()["refused"]

    def order(self, file: Path | str) -> None:
        self.say({"file": str(file), "facts": {"DAEMONLOGGER_FILE": str(file)}})


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    with ExitStack() as stack:
        yield Recorder(stack)


def test_each_order_is_answered(recorder: Recorder, tmp_path: Path) -> None:
    assert recorder.set_up(script(tmp_path / "hook", '[ "$DAEMONLOGGER_FILE" = good ]')) is None
    for file in ("good", "bad", "good"):
        recorder.order(file)

    assert [recorder.hear() for _ in range(3)] == [
        {"file": "good", "failure": None},
        {"file": "bad", "failure": "exit status 1"},
        {"file": "good", "failure": None},
    ]


def test_a_recorder_that_ends_before_the_setup_is_no_failure(recorder: Recorder) -> None:
    recorder.link.close()

    assert recorder.process.wait(PATIENCE_S) == 0


def test_the_end_of_the_link_is_the_end_of_the_runner(recorder: Recorder) -> None:
    assert recorder.set_up("true") is None
    recorder.link.close()

    assert recorder.process.wait(PATIENCE_S) == 0


def test_a_recorder_that_hangs_up_hears_what_became_of_the_rest(
    recorder: Recorder, tmp_path: Path
) -> None:
    assert recorder.set_up(script(tmp_path / "hook", "sleep 1000")) is None
    for number in range(3):  # of which one runs and two were never taken
        recorder.order(tmp_path / f"t.{number}")
    until(lambda: survivors(tmp_path))
    recorder.link.shutdown(socket.SHUT_WR)

    assert recorder.hear() == {"file": f"{tmp_path}/t.0", "failure": "ended with the recorder"}
    assert recorder.hear() is None
    assert recorder.process.wait(PATIENCE_S) == 0
    assert survivors(tmp_path) == []


def test_a_recorder_that_does_not_listen_holds_nothing_up_for_ever(
    recorder: Recorder, tmp_path: Path
) -> None:
    assert recorder.set_up("true") is None
    while select.select([], [recorder.link], [], 0)[1]:  # as many as the kernel holds
        recorder.order("/log/t.5")
    recorder.link.close()

    assert recorder.process.wait(PATIENCE_S) == 0


def test_more_than_the_kernel_holds_goes_through_in_order(recorder: Recorder) -> None:
    files = [f"/log/{'x' * 4000}.{number}" for number in range(60)]
    assert recorder.set_up("true") is None
    ordering = threading.Thread(target=lambda: [recorder.order(file) for file in files])
    ordering.start()
    try:
        # Late: until both directions are full, nothing is heard.
        until(lambda: not select.select([], [recorder.link], [], 0)[1])

        assert [recorder.hear()["file"] for _ in files] == files
    finally:
        recorder.link.shutdown(socket.SHUT_RDWR)
        ordering.join()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "no-such-command: no such command"),
        ({"chroot": "/nowhere"}, "/nowhere"),
        ({"command": ["/bin"]}, "/bin: no such command"),
        ({"command": ["sh"], "environment": {"PATH": "/nowhere"}}, "sh: no such command"),
    ],
)
def test_what_cannot_be_set_up_is_refused(
    recorder: Recorder, changes: dict[str, object], words: str
) -> None:
    assert words in recorder.set_up("no-such-command", **changes)
    assert recorder.hear() is None
    assert recorder.process.wait(PATIENCE_S) == 0


def test_nothing_is_left_open_after_a_hook(recorder: Recorder) -> None:
    assert recorder.set_up("true", at_once=4) is None
    opened = len(os.listdir(f"/proc/{recorder.process.pid}/fd"))
    for _ in range(20):
        recorder.order("/log/t.5")
    for _ in range(20):
        assert recorder.hear()["failure"] is None

    assert len(os.listdir(f"/proc/{recorder.process.pid}/fd")) == opened
    recorder.link.close()
    assert recorder.process.wait(PATIENCE_S) == 0
    assert members(recorder.process.pid) == []
