"""Starts a service as systemd would, from its unit file, inside a root file system.

A stand-in for a machine that runs systemd: user, group, capabilities, umask, state directory,
environment files and the notify socket are as the unit says. The sandbox is not: what that
forbids is systemd's own to do.
"""

import os
import re
import shlex
import signal
import socket
import subprocess
import time
from pathlib import Path

from .commands import finish
from .network import Namespace
from .rootfs import ENVIRONMENT, RootFs

NOTIFY = "/run/notify"
START_SECONDS = 60


class Unit:
    """What a template's unit file says about one instance; names must need no escaping."""

    def __init__(self, text: str, instance: str) -> None:
        joined = re.sub(r"\\\n\s*", " ", text)
        self._settings: dict[str, list[str]] = {}
        for line in joined.splitlines():
            name, equals, value = line.partition("=")
            if equals and not line.startswith("#"):
                value = value.replace("%i", instance).replace("%I", instance)
                self._settings.setdefault(name, []).append(value)

    def all(self, name: str) -> list[str]:
        """Every value of a setting."""
        return self._settings[name]

    def one(self, name: str) -> str:
        """Return the value of a setting that is given once."""
        (value,) = self._settings[name]
        return value

    def command(self, environment: dict[str, str]) -> list[str]:
        """Return ExecStart with its variables' words put in."""
        line: list[str] = []
        for word in shlex.split(self.one("ExecStart")):
            variable = re.fullmatch(r"\$(\w+)", word)
            line += shlex.split(environment.get(variable[1], "")) if variable else [word]
        return line


def environment_of(unit: Unit, root: RootFs) -> dict[str, str]:
    """Return what the environment files say that are there; a later one wins."""
    values = {}
    for name in unit.all("EnvironmentFile"):
        path = root.inside(name.removeprefix("-"))
        assert path.exists() or name.startswith("-"), f"{name} is not there"
        for row in path.read_text().splitlines() if path.exists() else []:
            if row.strip() and not row.startswith("#"):
                variable, _, value = row.partition("=")
                (values[variable],) = shlex.split(value) or [""]
    return values


class Service:
    """One running service and all it says."""

    def __init__(self, root: RootFs, unit: Unit, network: Namespace, said: Path) -> None:
        user, group = unit.one("User"), unit.one("Group")
        for directory in unit.all("StateDirectory"):
            owner = root.ids(user)
            assert owner is not None, f"no user {user}"
            path = root.inside(f"/var/lib/{directory}")
            path.mkdir(int(unit.one("StateDirectoryMode"), 8), parents=True)
            os.chown(path, *owner)
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(str(root.inside(NOTIFY)))
        root.inside(NOTIFY).chmod(0o777)
        self._notify.settimeout(0.1)
        self.notices: list[str] = []
        self._said = said
        files = environment_of(unit, root)
        variables = {**ENVIRONMENT, **files, "NOTIFY_SOCKET": NOTIFY}
        capabilities = ",".join(
            f"+{n.lower()[4:]}" for n in unit.one("AmbientCapabilities").split()
        )
        line = [
            *("setpriv", "--reuid", user, "--regid", group, "--init-groups", "--no-new-privs"),
            *("--bounding-set", f"-all,{capabilities}", "--inh-caps", capabilities),
            *("--ambient-caps", capabilities, "env", "-i"),
            *(f"{name}={value}" for name, value in variables.items()),
            *unit.command(files),
        ]
        with said.open("w") as stream:
            self._process = subprocess.Popen(
                root.command(*line, network=network),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                text=True,
                umask=int(unit.one("UMask"), 8),
            )
        self.pid = self._process.pid

    @property
    def text(self) -> str:
        """Everything said so far."""
        return self._said.read_text()

    def ready(self) -> None:
        """Wait until the service tells systemd that it is ready."""
        end = time.monotonic() + START_SECONDS
        while not any("READY=1" in notice.split("\n") for notice in self.notices):
            assert self._process.poll() is None, f"ended:\n{self.text}"
            assert time.monotonic() < end, f"not ready: {self.notices}\n{self.text}"
            try:
                self.notices.append(self._notify.recv(65536).decode())
            except TimeoutError:
                continue

    def status(self) -> dict[str, str]:
        """Return the rows of /proc/PID/status."""
        rows = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return {name: value.strip() for name, _, value in (row.partition(":") for row in rows)}

    def stop(self) -> int:
        """Stop it as systemd does, and return its exit status."""
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(60)

    def close(self) -> None:
        """End it, if it still runs, and forget the socket."""
        finish(self._process)
        self._notify.close()
