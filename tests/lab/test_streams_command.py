"""``dlctl streams`` as its user runs it: beside a recorder, without privileges, killed."""

import os
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.flow.segments import Side

from .commands import finish
from .conftest import Record
from .network import Link, Namespace
from .processes import all_end, descendants

PATIENCE_S = 60.0
COMMAND = (sys.executable, "-m", "daemonlogger_py.cli.dlctl", "streams", "-q")
CLIENT = Side()
SERVER = CLIENT.peer()
FILE = "010.000.000.001.40000-010.000.000.002.00080"


class Wire:
    """The sending end of a link."""

    def __init__(self, link: Link) -> None:
        self._socket = link.sender.packet_socket()

    def send(self, *frames: bytes) -> None:
        for frame in frames:
            self._socket.send(frame)

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def wire(link: Link) -> Iterator[Wire]:
    made = Wire(link)
    yield made
    made.close()


@contextmanager
def streams(namespace: Namespace, *arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        namespace.command(*COMMAND, *map(str, arguments)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        finish(process)


def until(process: subprocess.Popen[str], reached: Callable[[], bool]) -> None:
    """Wait until something is so, for as long as the process lives."""
    deadline = time.monotonic() + PATIENCE_S
    while not reached():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def seen(process: subprocess.Popen[str], wire: Wire, path: Path) -> None:
    """Begin the connection until it is known to have been seen: repetitions add nothing."""

    def sent() -> bool:
        wire.send(CLIENT.syn(), CLIENT.sends(0, b"begin "))
        return path.exists() and path.read_bytes() == b"begin "

    until(process, sent)


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Ask it to end; its status and what it said."""
    process.terminate()
    _, said = process.communicate(timeout=PATIENCE_S)
    return process.returncode, said


def test_a_ring_is_followed_beside_its_recorder(
    link: Link, wire: Wire, record: Record, logs: Path, tmp_path: Path
) -> None:
    ring, out = logs / "ring", tmp_path / "out"
    ring.mkdir()
    recorder = record("-r", "-s", "2k", directory=ring)
    with streams(link.receiver, "--ring", ring, "--follow", "-a", "-o", out) as process:
        seen(process, wire, out / FILE)
        body = bytes(at % 251 for at in range(60_000))
        for at in range(0, len(body), 1000):
            wire.send(CLIENT.sends(6 + at, body[at : at + 1000]))
        wire.send(CLIENT.fin(6 + len(body)), Side(port=7).syn(), Side(port=7).sends(0, b"last"))
        last = out / "010.000.000.001.00007-010.000.000.002.00080"
        until(process, lambda: last.exists() and last.read_bytes() == b"last")
        assert len(list(ring.glob("daemonlogger.pcap.*"))) > 10  # the stream spans savefiles
        assert ended(process)[0] == 0
    assert (out / FILE).read_bytes() == b"begin " + body
    assert ET.parse(out / "report.xml").find(".//hashdigest") is not None
    assert recorder.running()


def test_without_privileges_in_another_root_directory(
    link: Link, wire: Wire, tmp_path: Path
) -> None:
    jail = tmp_path / "jail"
    (jail / "out").mkdir(parents=True)
    os.chown(jail / "out", 65534, 65534)
    path = jail / "out" / FILE
    options = ("-a", "-U", "nobody", "-z", jail, "-o", "/out", "-i", link.receiver.interface)
    with streams(link.receiver, *options) as process:
        seen(process, wire, path)
        workers = descendants(process.pid)
        assert len(workers) > 1
        for pid in (process.pid, *workers):
            status = Path(f"/proc/{pid}/status").read_text()
            assert "Uid:\t65534\t65534\t65534\t65534\n" in status
            assert "CapEff:\t0000000000000000\n" in status
            assert os.path.samefile(f"/proc/{pid}/root", jail)
        wire.send(CLIENT.sends(6, b"and end"), CLIENT.fin(13))
        until(process, lambda: path.read_bytes() == b"begin and end")
        assert ended(process)[0] == 0
    assert path.stat().st_uid == 65534
    (digest,) = ET.parse(jail / "out" / "report.xml").findall(".//hashdigest")
    assert digest.text == "2778969b6d26b29fbbb6e6b486f0f50b"


def test_killed_it_leaves_what_was_stored_and_nobody_behind(
    link: Link, wire: Wire, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with streams(link.receiver, "-a", "-o", out, "-i", link.receiver.interface) as process:
        seen(process, wire, out / FILE)
        closed = Side(port=8)
        wire.send(closed.syn(), closed.sends(0, b"x"), closed.fin(1), closed.peer().rst(0))
        report = out / "report.xml"
        until(process, lambda: "<filename>" in report.read_text())
        workers = descendants(process.pid)
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait(PATIENCE_S) == -signal.SIGKILL
        assert all_end(workers, PATIENCE_S)
    assert (out / FILE).read_bytes() == b"begin "
    tree = ET.parse(report)
    assert [name.text for name in tree.findall(".//filename")] == [
        f"{out}/010.000.000.001.00008-010.000.000.002.00080"
    ]
    assert "running" in report.read_text()
