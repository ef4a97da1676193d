"""A recorder that detached: found by its PID file, seen through /proc, ended by its PID."""

import os
import select
import signal
from pathlib import Path
from typing import Self

from .commands import run
from .network import Namespace
from .recorder import daemonlogger

START_SECONDS = 60.0


class Daemon:
    """Starts ``daemonlogger -d`` in a namespace; it records when this is made."""

    def __init__(self, namespace: Namespace, pid_path: Path, *arguments: str | Path) -> None:
        where = ("-d", "-P", pid_path.parent, "-p", pid_path.name)
        command = namespace.command(*daemonlogger(), *where, *arguments)
        self.done = run(*command, timeout=START_SECONDS)
        self.pid = int(pid_path.read_text())
        self._handle = os.pidfd_open(self.pid)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if not self.ended(0):
            signal.pidfd_send_signal(self._handle, signal.SIGKILL)
            self.ended(10)
        os.close(self._handle)

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        signal.pidfd_send_signal(self._handle, number)

    def ended(self, seconds: float) -> bool:
        """Wait for its end, and say whether it came."""
        return bool(select.select([self._handle], [], [], seconds)[0])

    def status(self) -> dict[str, str]:
        """Return the fields of /proc/PID/status."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}

    def threads(self) -> list[dict[str, str]]:
        """Return the same for each thread: what is given up, each has to have given up."""
        found = []
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            lines = (task / "status").read_text().splitlines()
            found.append({n: v.strip() for n, _, v in (line.partition(":") for line in lines)})
        return found
