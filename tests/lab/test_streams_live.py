"""Packets of a real interface as a reader gets them: soon, all of them, and after privileges."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .commands import finish, run
from .network import Link
from .senders import Frames

PATIENCE_S = 60.0

# Says what it may still do once it listens, then one line a buffer, then what it was told.
READ = """
import json, os, sys
from daemonlogger_py.readers.inputs.opening import Inputs, Selection
from daemonlogger_py.readers.inputs.pump import Pump
from daemonlogger_py.readers.inputs.stopping import StopSignals
def say(**facts):
    print(json.dumps(facts), flush=True)
lines = []
with StopSignals() as stopping, Inputs(Selection(**json.loads(sys.argv[1])), stopping) as inputs:
    inputs.open()
    inputs.drop_privileges()
    with open("/proc/self/status") as file:
        status = dict(line.rstrip("\\n").split(":\\t", 1) for line in file if ":\\t" in line)
    say(uid=os.getuid(), effective=int(status["CapEff"], 16))
    with Pump(inputs, lines.append) as pump:
        for buffer, input_ in pump:
            say(packets=buffer.packets, name=input_.name, linktype=input_.linktype)
    say(stopped=stopping.signal, lines=lines)
"""


class Reading:
    """The reader's process on the receiving end."""

    def __init__(self, link: Link, **selection: Any) -> None:
        command = [sys.executable, "-c", READ, json.dumps(selection)]
        self.process = subprocess.Popen(
            link.receiver.command(*command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.facts = self.line()

    def line(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(self.process.communicate(timeout=PATIENCE_S)[1])
        found: dict[str, Any] = json.loads(line)
        return found

    def stop(self) -> tuple[int, dict[str, Any]]:
        """Interrupt it; return the packets it still had and its last words."""
        self.process.terminate()
        packets = 0
        while "packets" in (found := self.line()):
            packets += found["packets"]
        assert self.process.wait(PATIENCE_S) == 0
        return packets, found


@contextmanager
def reading(link: Link, **selection: Any) -> Iterator[Reading]:
    made = Reading(link, interface=link.receiver.interface, **selection)
    try:
        yield made
    finally:
        finish(made.process)


def test_a_packet_comes_soon_and_all_that_was_there_at_the_end(link: Link, frames: Frames) -> None:
    with reading(link) as reader:
        assert reader.facts["uid"] == 0
        frames.send()
        assert reader.line() == {
            "packets": 1,
            "name": f"interface {link.receiver.interface}",
            "linktype": 1,
        }
        for _ in range(1, 200):
            frames.send()
        link.settle(200)
        packets, last = reader.stop()
    assert packets == 199
    assert last == {"stopped": 15, "lines": []}


def test_packets_are_read_without_the_privilege_that_opened(link: Link, frames: Frames) -> None:
    with reading(link, user="nobody", filter_text="udp") as reader:
        assert reader.facts == {"uid": 65534, "effective": 0}
        frames.send()
        assert reader.line()["packets"] == 1
        assert reader.stop()[1]["lines"] == []


def test_an_interface_of_libpcaps_choice(link: Link, frames: Frames) -> None:
    made = Reading(link)
    try:
        frames.send()
        assert made.line()["name"] == f"interface {link.receiver.interface}"
        made.stop()
    finally:
        finish(made.process)


def test_an_interface_that_goes_away_is_a_failure_that_is_told(link: Link) -> None:
    with reading(link) as reader:
        run("ip", "-n", link.sender.name, "link", "del", link.sender.interface)
        last = reader.line()
    (line,) = last["lines"]
    assert link.receiver.interface in line
    assert last["stopped"] is None
