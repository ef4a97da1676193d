"""24 hours in the small: packets, roll-overs, signals, flaps; nothing grows, all is counted."""

import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .commands import run
from .conftest import Record
from .load import Load
from .network import Link
from .recorder import Recorder
from .records import savefiles, walk_all
from .senders import replay

pytestmark = pytest.mark.alone

PACKETS = 40_000  # a round
FILES = 20
# What one more arena of the allocator may take; a leak a round would be far beyond it.
GROWTH_BYTES = 12 << 20
SETTLE_S = 20.0


def resident_bytes(recorder: Recorder) -> int:
    status = Path(f"/proc/{recorder.pid}/status").read_text()
    found = re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
    assert found
    return int(found[1]) << 10


@contextmanager
def signalled(recorder: Recorder) -> Iterator[None]:
    """HUP and USR1 every second meanwhile."""
    done = threading.Event()

    def send() -> None:
        while not done.wait(1):
            recorder.send(signal.SIGHUP)
            recorder.send(signal.SIGUSR1)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(10)


def flap(link: Link) -> None:
    interface = link.receiver.interface
    run("ip", "-n", link.receiver.name, "link", "set", interface, "down")
    run("ip", "-n", link.receiver.name, "link", "set", interface, "up")


@pytest.mark.timeout(900)
def test_nothing_grows_and_all_is_counted(
    link: Link, record: Record, logs: Path, thousands: Load, full: bool
) -> None:
    rounds, size = (250, "1800k") if full else (12, "800k")  # 8 or 19 roll-overs a round
    logs.chmod(0o777)
    who = ("-u", "nobody", "-g", "nogroup")
    recorder = record("-r", "-m", str(FILES), "-s", size, "-n", "t", "--on-roll", "true", *who)
    sent = 0
    early = (0, 0)
    with signalled(recorder):
        for number in range(rounds):
            sent += replay(link, thousands, count=PACKETS, pps=150_000)
            link.settle(sent)
            flap(link)
            if number == rounds // 3:
                early = resident_bytes(recorder), len(recorder.descriptors())
        time.sleep(1.5)  # the hooks, and what the last flap has to say
        # What a stall of the machine had taken is given back a few seconds later.
        enough = time.monotonic() + SETTLE_S
        while True:
            late = resident_bytes(recorder), len(recorder.descriptors())
            within = late[0] <= early[0] + GROWTH_BYTES and late[1] <= early[1] + 2
            if within or time.monotonic() >= enough:
                break
            time.sleep(0.1)
    totals = recorder.stop()

    assert (totals.received, totals.written, totals.lost) == (sent, sent, 0)
    assert totals.kernel_dropped == 0
    assert totals.files >= rounds * (8 if full else 18)
    assert late[0] <= early[0] + GROWTH_BYTES
    assert late[1] <= early[1] + 2, recorder.descriptors()
    found = walk_all(savefiles(logs, "t"))
    assert len(found) == FILES
