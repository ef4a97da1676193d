"""The peers as judges: does tcpdump, tshark, capinfos read what was written, whole?"""

import re
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from .commands import finish, run, spoken
from .network import Namespace

PATIENCE_S = 20.0
ROOT = ("-Z", "root")  # Debian's tcpdump would drop to a user who cannot read the lab's files


def tcpdump_counts(paths: Sequence[Path]) -> int:
    """Let tcpdump read every file to its end without a complaint; return the packets it saw."""
    command = ("tcpdump", *ROOT, "-n", "--count", "-V", "-")
    done = run(*command, stdin="".join(f"{path}\n" for path in paths), timeout=120)
    complaints = [
        line
        for line in done.stderr.splitlines()
        if not re.match(r"reading from (file|PCAP-NG)|tcpdump: no|Warning: interface names", line)
    ]
    assert not complaints, complaints[:5]
    seen = re.findall(r"^(\d+) packets?$", done.stdout, re.MULTILINE)
    assert seen, spoken(done)
    return int(seen[-1])


def tshark_frames(path: Path) -> int:
    """Let tshark dissect a whole file; return its frame count."""
    done = run("tshark", "-n", "-r", path, "-q", "-z", "io,stat,0", timeout=120)
    assert "cut short" not in done.stderr, spoken(done)
    row = re.search(r"<>[^|]*\|\s*(\d+)\s*\|", done.stdout)
    assert row, spoken(done)
    return int(row[1])


def tshark_fields(path: Path, *fields: str, only: str = "") -> list[list[str]]:
    """Return the named fields of every packet that the display filter lets through."""
    wanted = [word for name in fields for word in ("-e", name)]
    shown = ["-Y", only] if only else []
    done = run("tshark", "-n", "-r", path, *shown, "-T", "fields", *wanted, timeout=120)
    return [line.split("\t") for line in done.stdout.splitlines()]


def capinfos_counts(paths: Sequence[Path]) -> int:
    """Return the packets capinfos counts in all files; one it cannot read whole fails."""
    total = 0
    for start in range(0, len(paths), 200):
        done = run("capinfos", "-T", "-m", "-r", "-M", "-c", *paths[start : start + 200])
        total += sum(int(row.rsplit(",", 1)[1]) for row in done.stdout.splitlines())
        assert not done.stderr.strip(), spoken(done)
    return total


def has_taken_all(tcpdump: subprocess.Popen[str]) -> None:
    """Wait until a tcpdump that listens has written all that the kernel has for it.

    The kernel keeps a block that is not full for a second.
    """
    assert tcpdump.stderr is not None
    end = time.monotonic() + PATIENCE_S
    before = ""
    while time.monotonic() < end:
        tcpdump.send_signal(signal.SIGUSR1)
        said = tcpdump.stderr.readline()
        found = re.search(r"(\d+) packets? captured, (\d+) packets? received by filter", said)
        assert found, said
        if found[1] == found[2] and said == before:
            return
        before = said
        time.sleep(0.1)


@contextmanager
def tcpdump_beside(namespace: Namespace, path: Path, *options: str) -> Iterator[None]:
    """Let tcpdump record the interface into a file; on leaving, it has written everything."""
    process = subprocess.Popen(
        namespace.command(
            *("tcpdump", *ROOT, "-i", namespace.interface, "-w", str(path), "-B", "65536"), *options
        ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        first = process.stderr.readline()
        assert "listening on" in first, first
        yield
        has_taken_all(process)
        process.terminate()
        _, said = process.communicate(timeout=30)
        assert re.search(r"^0 packets dropped by kernel", said, re.MULTILINE), said
    finally:
        finish(process)
