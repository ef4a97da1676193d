"""A bare Debian to install packages into, made by debootstrap from where apt gets its packages.

Commands run inside it in a mount namespace of their own, so that whatever they mount goes with
them. Knows nothing of what is installed.
"""

import hashlib
import os
import stat
import subprocess
from pathlib import Path

from .commands import finish, run, spoken, words
from .network import Namespace

BUILD_SECONDS = 600

# Mounts that programs expect, and then the command, in the same process: a signal to it arrives.
# The devices are the machine's; /sys is that of the network namespace.
INSIDE = """
mount -t proc proc "$0/proc" && mount -t sysfs sysfs "$0/sys" && mount --rbind /dev "$0/dev" &&
exec chroot "$0" "$@"
"""

# No questions, no services, no locale, and nothing of the caller's environment.
ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/",
    "LC_ALL": "C.UTF-8",
    "DEBIAN_FRONTEND": "noninteractive",
}

# Books that apt and dpkg keep about themselves; their names count, but not what is in them.
BOOKS = ("var/lib/dpkg/", "var/lib/apt/", "var/cache/", "var/log/")
# Of the machine or gone with the next start; and backups, which any change of users makes.
UNCOUNTED = {"dev", "proc", "sys", "run"}
BACKUPS = {"etc/passwd-", "etc/group-", "etc/shadow-", "etc/gshadow-"}


class Building:
    """A program that builds something beside others, and what it says."""

    def __init__(self, *command: str | Path, environment: dict[str, str] | None = None) -> None:
        self._process = subprocess.Popen(
            words(command),
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def ended(self) -> str:
        """Wait for its end, which must be a good one; return what it said."""
        said, _ = self._process.communicate(timeout=BUILD_SECONDS)
        assert self._process.returncode == 0, f"exit {self._process.returncode}: {said[-3000:]}"
        return said

    def end(self) -> None:
        """Kill it if it still runs."""
        finish(self._process)


def bootstrap(path: Path) -> Building:
    """Start to make this machine's release of Debian in `path`, with nothing but what it must."""
    release = _release()
    proxy = run("apt-config", "dump", "--format", "%v", "Acquire::http::Proxy").stdout.strip()
    return Building(
        *("debootstrap", "--variant=minbase", release, path, _mirror(release)),
        environment={"http_proxy": proxy} if proxy else {},
    )


def _release() -> str:
    rows = Path("/etc/os-release").read_text().splitlines()
    values = dict(row.split("=", 1) for row in rows if "=" in row)
    return values["VERSION_CODENAME"].strip('"')


def _mirror(release: str) -> str:
    """Where apt gets Debian's packages on this machine."""
    columns = "$(CODENAME) $(ORIGIN) $(COMPONENT) $(REPO_URI)"
    targets = run("apt-get", "indextargets", "--format", columns, "Created-By: Packages")
    for row in targets.stdout.splitlines():
        if row.startswith(f"{release} Debian main "):
            return row.split()[3]
    raise AssertionError(f"apt knows no source of {release}: {spoken(targets)}")


class RootFs:
    """A root file system under a path."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def command(self, *command: str | Path, network: Namespace | None = None) -> list[str]:
        """Return the command as it runs inside, in a network namespace if one is given."""
        line = ["unshare", "--mount", "sh", "-c", INSIDE, str(self.path), *words(command)]
        return network.command(*line) if network else line

    def run(
        self, *command: str | Path, check: bool = True, timeout: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside to its end."""
        settings = [f"{name}={value}" for name, value in ENVIRONMENT.items()]
        # In a namespace of processes too: none that it leaves behind lives on.
        isolated = ["unshare", "--pid", "--fork", "--kill-child", *self.command(*command)]
        return run("env", "-i", *settings, *isolated, check=check, timeout=timeout)

    def inside(self, path: str) -> Path:
        """Where an absolute path inside is, seen from outside."""
        return self.path / path.lstrip("/")

    def ids(self, user: str) -> tuple[int, int] | None:
        """Return the numbers of a user of the system inside and of its login group."""
        for row in self.inside("/etc/passwd").read_text().splitlines():
            fields = row.split(":")
            if fields[0] == user:
                return int(fields[2]), int(fields[3])
        return None

    def listing(self) -> dict[str, str]:
        """Return every path inside that belongs to the system, and what it is."""
        found = {}
        for directory, directories, names in os.walk(self.path):
            if Path(directory) == self.path:
                directories[:] = sorted(set(directories) - UNCOUNTED)
            for name in (*directories, *names):
                path = Path(directory, name)
                inside = path.relative_to(self.path).as_posix()
                if inside not in BACKUPS:
                    found[inside] = _described(path, inside)
        return found


def _described(path: Path, inside: str) -> str:
    status = path.lstat()
    if inside.startswith(BOOKS):
        return "kept by the system"
    what = f"{stat.filemode(status.st_mode)} {status.st_uid}:{status.st_gid}"
    if stat.S_ISLNK(status.st_mode):
        return f"{what} {path.readlink()}"
    if stat.S_ISREG(status.st_mode):
        return f"{what} {hashlib.sha256(path.read_bytes()).hexdigest()}"
    return what
