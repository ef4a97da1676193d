"""Runs the lab's tools with a bound on their time and their words in the failure.

Leaves to the callers which tool, and in which network namespace.
"""

import subprocess
from collections.abc import Sequence
from pathlib import Path

# Debian's package for each program the lab calls; a missing one fails the lab by name.
TOOLS = {
    "capinfos": "wireshark-common",
    "fsfreeze": "util-linux",
    "ip": "iproute2",
    "iperf3": "iperf3",
    "losetup": "mount",
    "mkfs.ext4": "e2fsprogs",
    "mount": "mount",
    "nsenter": "util-linux",
    "ping": "iputils-ping",
    "tcpdump": "tcpdump",
    "tcpreplay": "tcpreplay",
    "tshark": "tshark",
}


def run(
    *command: str | Path, timeout: float = 120, stdin: str | None = None, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; with check, a failure raises AssertionError with its words."""
    words = [str(word) for word in command]
    done = subprocess.run(
        words,
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(words)}: exit {done.returncode}: {spoken(done)}")
    return done


def spoken(done: subprocess.CompletedProcess[str]) -> str:
    """Return what a program said on both channels, shortened for a failure message."""
    text = (done.stdout + done.stderr).strip()
    return text if len(text) <= 2000 else text[:1000] + " ... " + text[-1000:]


def finish(process: subprocess.Popen[str], *, grace: float = 10) -> None:
    """End a process that the lab started, by its own id, and reap it."""
    if process.poll() is None:
        process.kill()
    process.wait(grace)
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            stream.close()


def words(command: Sequence[str | Path]) -> list[str]:
    """Return a command as the strings that Popen takes."""
    return [str(word) for word in command]
