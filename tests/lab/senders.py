"""Real senders on the sending end of a link: tcpreplay, ping, iperf3, and single frames.

Each returns what it counted as sent, so that the test can compare. All are bounded in time and
ended by their own process id.
"""

import json
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from .commands import finish, run, spoken
from .load import Load, frame
from .network import Link


class Replay:
    """A running tcpreplay."""

    def __init__(self, link: Link, load: Load, *, count: int, pps: int | None, loops: int) -> None:
        rate = ["--topspeed"] if pps is None else ["--pps", str(pps)]
        self.count = count
        self._bound = 30 + 3 * count / (pps or 100_000)
        self._process = subprocess.Popen(
            link.sender.command(
                *("tcpreplay", "-q", "-K", *rate, "-L", str(count), "--loop", str(loops)),
                *("-i", link.sender.interface, load.path),
            ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def sent(self) -> int:
        """Wait for the end; return the packets that went out, which must be all of them."""
        out, err = self._process.communicate(timeout=self._bound)
        found = re.search(r"Successful packets:\s+(\d+)", out)
        assert found, f"tcpreplay: exit {self._process.returncode}: {out} {err}"
        assert int(found[1]) == self.count, f"tcpreplay sent {found[1]} of {self.count}: {err}"
        return int(found[1])

    def running(self) -> bool:
        """Say whether it still sends."""
        return self._process.poll() is None

    def end(self) -> None:
        """Kill it if it still runs."""
        finish(self._process)


@contextmanager
def replaying(
    link: Link, load: Load, *, count: int | None = None, pps: int | None = None, loops: int = 1
) -> Iterator[Replay]:
    """Send count packets of a load (default: all) beside the test; pps None is top speed."""
    sender = Replay(link, load, count=count or load.count * loops, pps=pps, loops=loops)
    try:
        yield sender
    finally:
        sender.end()


def replay(
    link: Link, load: Load, *, count: int | None = None, pps: int | None = None, loops: int = 1
) -> int:
    """Send count packets of a load to the end, and wait until the wire delivered them."""
    before = link.receiver.details()["received"]
    with replaying(link, load, count=count, pps=pps, loops=loops) as sender:
        sent = sender.sent()
    link.settle(before + sent)
    return sent


class Frames:
    """Sends single numbered frames from this very process, so a test can time them."""

    def __init__(self, wire: socket.socket) -> None:
        self._wire = wire
        self.sent = 0

    def send(self, size: int = 60, *, port: int = 5001) -> int:
        """Send the next frame; return the monotonic time in nanoseconds just before."""
        packet = frame(self.sent, size, port=port)
        self.sent += 1
        now = time.monotonic_ns()
        self._wire.send(packet)
        return now

    def raw(self, packet: bytes) -> None:
        """Send a frame of the test's own making."""
        self._wire.send(packet)

    def close(self) -> None:
        """Close the socket."""
        self._wire.close()


def ping(link: Link, address: str, count: int) -> None:
    """Send count echo requests and receive every answer."""
    done = run(
        *link.sender.command("ping", "-n", "-q", "-i", "0.01", "-c", str(count), "-w", "10"),
        address,
        timeout=20,
    )
    assert f"{count} received" in done.stdout, spoken(done)


def iperf3(link: Link, address: str, amount_bytes: int) -> int:
    """Move amount_bytes over TCP to a server on the receiving end; return what it took."""
    server = subprocess.Popen(
        link.receiver.command("iperf3", "-s", "-1", "-B", address),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        client = link.sender.command("iperf3", "-J", "-n", str(amount_bytes), "-c", address)
        for _ in range(200):  # until the server listens
            done = run(*client, timeout=60, check=False)
            report = json.loads(done.stdout)
            if "error" not in report:
                return int(report["end"]["sum_received"]["bytes"])
            assert "refused" in report["error"], report["error"]
            time.sleep(0.1)
        raise AssertionError("the iperf3 server never listened")
    finally:
        finish(server)
