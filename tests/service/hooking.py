"""Commands for hooks, what a recorder hears of them, and who of them is left."""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from daemonlogger_py.service.hooks import HookRunner
from daemonlogger_py.service.sealed import Sealed

Run = Callable[..., HookRunner]

# Deaf to the signal to end, with a child that hides in a session of its own.
STUBBORN = "trap '' TERM; setsid sleep 1000 & while :; do sleep 1; done"
# Ample for a busy machine; nothing waits for it to pass.
PATIENCE_S = 60.0
# For what is to be seen ending by force.
SOON_S = 0.2


class Heard:
    """A recorder's messages: what was told, by event."""

    def __init__(self) -> None:
        self._said: list[tuple[str, str, dict[str, object]]] = []
        self._changed = threading.Condition()

    def __call__(self, event: str, text: str, /, **facts: object) -> None:
        with self._changed:
            self._said.append((event, text, facts))
            self._changed.notify_all()

    def texts(self, event: str) -> list[str]:
        return [text for said, text, _ in self._said if said == event]

    def facts(self, event: str) -> list[dict[str, object]]:
        return [facts for said, _, facts in self._said if said == event]

    def wait_for(self, event: str, count: int = 1) -> list[str]:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.texts(event)) >= count, PATIENCE_S), (
                f"{event} was not told {count} times: {self._said}"
            )
        return self.texts(event)


def until(condition: Callable[[], object]) -> None:
    """Wait for what another process does."""
    give_up_at = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up_at, "waited in vain"
        time.sleep(0.01)


def script(path: Path, body: str, interpreter: str = "/bin/sh") -> str:
    """An executable file with this body; returns its path as a command."""
    path.write_text(f"#!{interpreter}\n{body}\n")
    path.chmod(0o755)
    return str(path)


def savefile(path: Path | str, **changes: object) -> Sealed:
    """A savefile of this path; it need not be there."""
    sealed = Sealed(
        path=str(path),
        first_ns=1_228_873_098_000_000_001,
        last_ns=1_228_873_099_500_000_000,
        packets=7,
        size_bytes=1_000_506,
        drops=3,
        interface="le1",
        why="size",
    )
    return sealed._replace(**changes)  # type: ignore[arg-type]


def survivors(marker: Path | str) -> list[int]:
    """PIDs of processes that live with `marker` in their environment, but for this one."""
    wanted = os.fsencode(marker)
    return [pid for pid in _pids() if pid != os.getpid() and wanted in _read(pid, "environ")]


def members(session: int) -> list[int]:
    """PIDs of processes that live in this session."""
    return [pid for pid in _pids() if (stat := _stat(pid)) and int(stat[3]) == session]


def children(pid: int) -> list[int]:
    """PIDs of this process's children that live."""
    return [child for child in _pids() if (stat := _stat(child)) and int(stat[1]) == pid]


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _stat(pid: int) -> list[bytes]:
    """State, parent, group, session ... of a process that lives."""
    fields = _read(pid, "stat").rpartition(b")")[2].split()
    return fields if fields and fields[0] not in (b"Z", b"X") else []


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""
