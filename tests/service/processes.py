"""Programs that tests run as processes of their own, and ends what they leave behind."""

import json
import os
import select
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import daemonlogger_py

# Of whatever is waited for: it fails instead of hanging.
PATIENCE_S = 20
NOBODY = 65534

TESTED = Path(daemonlogger_py.__file__).parent.parent


class Programs:
    """A place where programs run; whatever told its PID is gone after the `with` block."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.pidfds: list[int] = []
        self.commands: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        for pidfd in self.pidfds:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            os.close(pidfd)
        for command in self.commands:
            command.kill()
            command.communicate()

    def start(self, source: str, *shell: str, **options: Any) -> subprocess.Popen[str]:
        """Run a Python program, by `shell` in front of it if there is one."""
        # The copy that this process tests, wherever the program is.
        path = os.pathsep.join(filter(None, [str(TESTED), os.environ.get("PYTHONPATH")]))
        python = [sys.executable, "-W", "error", "-c", textwrap.dedent(source)]
        command = subprocess.Popen(
            [*shell, *python],
            **{
                "cwd": self.place,
                "stdin": subprocess.DEVNULL,
                "stdout": subprocess.PIPE,
                "stderr": subprocess.PIPE,
                "env": {**os.environ, "PYTHONPATH": path},
                "text": True,
                **options,
            },
        )
        self.commands.append(command)
        return command

    def run(self, source: str, *shell: str, **options: Any) -> tuple[int, str, str]:
        """Exit status, output and complaints of a program, when it has ended."""
        command = self.start(source, *shell, **options)
        out, err = command.communicate(timeout=PATIENCE_S)
        return command.returncode, out or "", err or ""

    def facts(self, name: str = "facts") -> Mapping[str, Any]:
        """What a program told in a file of this name; waits for it. Its `pid` is ended at last."""
        path = self.place / name
        wait_until(path.exists)
        facts: Mapping[str, Any] = json.loads(path.read_text())
        self.end_at_last(facts["pid"])
        return facts

    def end_at_last(self, pid: int) -> None:
        """Kill that process at the end, should it be there still."""
        with suppress(ProcessLookupError):
            # What has the number later is not meant.
            self.pidfds.append(os.pidfd_open(pid))


def wait_until(happened: Callable[[], object]) -> None:
    """Wait until `happened()` is true."""
    latest = time.monotonic() + PATIENCE_S
    while not happened():
        assert time.monotonic() < latest, "it did not happen"
        time.sleep(0.005)


def wait_for_end(pid: int) -> None:
    """Wait until the process, whosever child it is, has ended."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([fd], [], [], PATIENCE_S)[0], f"{pid} does not end"
    finally:
        os.close(fd)
