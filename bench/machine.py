"""What the figures were measured on: processor, memory, kernel, file systems, versions."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

from bench.peers import Tool, version_of


def describe(work: Path) -> dict[str, str]:
    """Return the machine as words for a table; work is where the loads and outputs are."""
    return {
        "Processor": f"{_field('/proc/cpuinfo', 'model name')}, {os.cpu_count()} cores",
        "Memory": f"{int(_field('/proc/meminfo', 'MemTotal').split()[0]) / (1 << 20):.1f} GiB",
        "Kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "Distribution": platform.freedesktop_os_release().get("PRETTY_NAME", "unknown"),
        "Loads and outputs": f"{_file_system(work)}; ext4 rows: ext4 in a loop image on it",
        "Python": platform.python_version(),
    }


def versions(tools: dict[str, Tool]) -> dict[str, str]:
    """Return the version of every tool; variants of one program are named once."""
    found = {name: version_of(tool) for name, tool in tools.items() if " -" not in name}
    sender = subprocess.run(
        ["tcpreplay", "-V"], capture_output=True, text=True, timeout=20, check=False
    )
    found["tcpreplay (sender)"] = (sender.stderr + sender.stdout).splitlines()[0]
    return found


def _field(path: str, name: str) -> str:
    for line in Path(path).read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return "unknown"


def _file_system(path: Path) -> str:
    """Return the type of the file system a path is on."""
    done = subprocess.run(
        ["findmnt", "-n", "-o", "FSTYPE", "-T", str(path)],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    # One line a mount where several are stacked; the last is the one in use.
    return (done.stdout.split() or ["unknown"])[-1]
