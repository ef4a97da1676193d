"""Processes as /proc shows them: whom one has started, and whether it still runs."""

import time
from collections.abc import Iterable
from pathlib import Path


def children(pid: int) -> list[int]:
    """Return the processes that a process has started, on whichever of its threads."""
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += map(int, path.read_text().split())
        except (FileNotFoundError, ProcessLookupError):  # the thread has ended
            continue
    return found


def descendants(pid: int) -> list[int]:
    """Return the processes that a process has started, and these, each before its own."""
    found = []
    for one in children(pid):
        found += [one, *descendants(one)]
    return found


def lives(pid: int) -> bool:
    """Whether a process runs; one that nobody has waited for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def all_end(pids: Iterable[int], seconds: float) -> bool:
    """Wait for the end of processes that are nobody's children here; returns whether it came."""
    end = time.monotonic() + seconds
    while any(map(lives, pids)):
        if time.monotonic() >= end:
            return False
        time.sleep(0.01)
    return True
