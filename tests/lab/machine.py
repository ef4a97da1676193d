"""Boots systemd in a root file system: a machine in namespaces, with a network of the test's own.

It has a hierarchy of cgroups without controllers, and ends with the process that started it.
Leaves to the caller what is installed; where the machine that runs the lab allows no such thing,
`UnbootableError` says why.
"""

import os
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Self

from .commands import finish, run, words
from .network import Namespace
from .rootfs import ENVIRONMENT, RootFs

BOOT_SECONDS = 120

# From mount(8) to init as a container manager does it. The words are the root, then pairs of a
# directory outside and where it is seen inside.
BOOT = r"""
set -e
root=$0
mount --make-rprivate /
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
# What the kernel is set to is the real machine's business.
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys"
mount -o remount,bind,ro "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
for node in null zero full random urandom tty; do
    touch "$root/dev/$node"
    mount --bind "/dev/$node" "$root/dev/$node"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
while [ $# -gt 0 ]; do
    mkdir -p "$root$2"
    mount --bind "$1" "$root$2"
    shift 2
done
cd "$root"
mkdir -p old
pivot_root . old
umount -l /old
rmdir /old
exec env -i container=lab PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --show-status=0
"""


class UnbootableError(Exception):
    """This machine does not let systemd run in namespaces."""


class Machine:
    """A running systemd, from booted to gone."""

    def __init__(self, root: RootFs, network: Namespace, seen: dict[Path, str]) -> None:
        self._root = root
        self._network = network
        self._seen = [word for outside, inside in seen.items() for word in (str(outside), inside)]
        self._group = _unified_groups() / f"daemonlogger-lab-{os.getpid()}"
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        try:
            self._group.mkdir()
        except OSError as error:
            raise UnbootableError(f"no cgroup of one's own: {error}") from error
        try:
            self._boot()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            finish(self._process)
        # What was in the cgroups has been killed, but may not be gone yet.
        for _ in range(100):
            for directory, _, _ in os.walk(self._group, topdown=False):
                with suppress(OSError):
                    os.rmdir(directory)
            if not self._group.exists():
                return
            time.sleep(0.05)

    def _boot(self) -> None:
        joining = ["sh", "-c", 'echo $$ >"$0/cgroup.procs" && exec "$@"', str(self._group)]
        namespaces = ["--cgroup", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child"]
        self._process = subprocess.Popen(
            [
                *joining,
                *self._network.command("unshare", *namespaces, "sh", "-c", BOOT),
                *(str(self._root.path), *self._seen),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        end = time.monotonic() + BOOT_SECONDS
        while self._state() not in ("running", "degraded"):
            if self._process.poll() is not None:
                assert self._process.stderr is not None
                raise UnbootableError(f"systemd ended: {self._process.stderr.read()[-1000:]}")
            assert time.monotonic() < end, f"not booted: {self._state()}"
            time.sleep(0.2)

    def _state(self) -> str:
        done = self.run("systemctl", "is-system-running", check=False)
        return done.stdout.strip()

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command inside to its end."""
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        # Without a child yet there is nothing to enter, which fails as a command does.
        child = (children.read_text().split() or ["0"])[0]
        spaces = ("--mount", "--pid", "--uts", "--ipc", "--net", "--cgroup", "--root", "--wd")
        settings = [f"{name}={value}" for name, value in ENVIRONMENT.items()]
        line = ["nsenter", "--target", child, *spaces, "env", "-i", *settings, *words(command)]
        return run(*line, check=check)

    def properties(self, unit: str, *names: str) -> dict[str, str]:
        """Return what systemd says about a unit."""
        shown = self.run("systemctl", "show", "--property", ",".join(names), unit).stdout
        return dict(row.split("=", 1) for row in shown.splitlines())

    def waits_for(self, unit: str, *, seconds: float = 60, **wanted: str) -> None:
        """Wait until a unit has these properties."""
        end = time.monotonic() + seconds
        while (found := self.properties(unit, *wanted)) != wanted:
            assert time.monotonic() < end, f"{found} for {wanted}:\n{self.journal(unit)}"
            time.sleep(0.1)

    def journal(self, unit: str) -> str:
        """Return what a unit said."""
        return self.run("journalctl", "--no-pager", "--output=cat", "--unit", unit).stdout


def _unified_groups() -> Path:
    for row in Path("/proc/self/mountinfo").read_text().splitlines():
        mount, _, kind = row.partition(" - ")
        if kind.split()[0] == "cgroup2":
            return Path(mount.split()[4])
    raise UnbootableError("no cgroup2 file system is mounted")
