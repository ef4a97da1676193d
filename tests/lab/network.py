"""Two network namespaces joined by a veth pair, made and removed by the test.

IPv6 is off in both, so that no neighbour or multicast chatter disturbs exact packet counts.
The interfaces are born inside the namespaces: nothing appears in the machine's own network.
"""

import ctypes
import itertools
import json
import os
import socket
import threading
import time
from pathlib import Path
from typing import Any, Self

from .commands import run, words

CLONE_NEWNET = 0x40000000
_numbers = itertools.count()


class Namespace:
    """One network namespace and the one veth end inside it."""

    def __init__(self, name: str, interface: str) -> None:
        self.name = name
        self.interface = interface
        self.path = Path("/run/netns") / name

    def command(self, *command: str | Path) -> list[str]:
        """Return the command as it runs in this namespace; nsenter execs, so the pid stays."""
        return ["nsenter", f"--net={self.path}", *words(command)]

    def create(self) -> None:
        """Add the namespace, without IPv6, its loopback up."""
        run("ip", "netns", "add", self.name)
        off = "for f in /proc/sys/net/ipv6/conf/*/disable_ipv6; do [ ! -e $f ] || echo 1 >$f; done"
        run(*self.command("sh", "-c", off))
        run("ip", "-n", self.name, "link", "set", "lo", "up")

    def remove(self) -> None:
        """Delete the namespace and with it the veth pair."""
        run("ip", "netns", "del", self.name, check=False)

    def wait_until_up(self, *, timeout: float = 30) -> None:
        """Wait until the kernel calls the interface up, which may be a second after its carrier."""
        deadline = time.monotonic() + timeout
        while self._shown()["operstate"] != "UP":
            assert time.monotonic() < deadline, f"{self.interface} does not come up"
            time.sleep(0.02)

    def details(self) -> dict[str, int]:
        """Return the interface's index, promiscuity, MTU and its packet counters."""
        link = self._shown()
        counters = link["stats64"]
        return {
            "index": link["ifindex"],
            "promiscuity": link["promiscuity"],
            "mtu": link["mtu"],
            "received": counters["rx"]["packets"],
            "received_bytes": counters["rx"]["bytes"],
            "sent": counters["tx"]["packets"],
            "sent_bytes": counters["tx"]["bytes"],
            "send_dropped": counters["tx"]["dropped"],
        }

    def _shown(self) -> dict[str, Any]:
        """What ip(8) says of the interface."""
        shown = run("ip", "-n", self.name, "-d", "-s", "-j", "link", "show", "dev", self.interface)
        links: list[dict[str, Any]] = json.loads(shown.stdout)
        return links[0]

    def packet_socket(self) -> socket.socket:
        """Return an AF_PACKET socket bound to the interface; send() puts one frame on the wire."""
        made: list[socket.socket | OSError] = []

        def enter() -> None:
            # setns moves the calling thread alone, so a thread that ends right after is the
            # cheapest way to own a socket of another namespace (os.setns is Python 3.12's).
            libc = ctypes.CDLL(None, use_errno=True)
            with self.path.open() as handle:
                if libc.setns(handle.fileno(), CLONE_NEWNET) != 0:
                    made.append(OSError(ctypes.get_errno(), f"setns {self.name}"))
                    return
            made.append(socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))

        thread = threading.Thread(target=enter)
        thread.start()
        thread.join(10)
        (result,) = made
        if isinstance(result, OSError):
            raise result
        result.bind((self.interface, 0))
        return result


class Link:
    """A sending and a receiving namespace; what enters ``sender`` leaves at ``receiver``."""

    def __init__(self, sending: str = "va", receiving: str = "vb") -> None:
        stem = f"dlab{os.getpid()}n{next(_numbers)}"
        self.sender = Namespace(f"{stem}a", sending)
        self.receiver = Namespace(f"{stem}b", receiving)

    def __enter__(self) -> Self:
        try:
            self._create()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.sender.remove()
        self.receiver.remove()

    def _create(self) -> None:
        ends = (self.sender, self.receiver)
        for end in ends:
            end.create()
        sending, receiving = ends
        run(
            *("ip", "link", "add", sending.interface, "netns", sending.name, "type", "veth"),
            *("peer", "name", receiving.interface, "netns", receiving.name),
        )
        for end in ends:
            run("ip", "-n", end.name, "link", "set", end.interface, "up")
        for end in ends:
            end.wait_until_up()

    def with_addresses(self) -> tuple[str, str]:
        """Give both ends an IPv4 address; return the sender's and the receiver's."""
        addresses = ("192.0.2.1", "192.0.2.2")
        for end, address in zip((self.sender, self.receiver), addresses, strict=True):
            run("ip", "-n", end.name, "addr", "add", f"{address}/24", "dev", end.interface)
        return addresses

    def settle(self, sent: int, *, timeout: float = 30) -> None:
        """Wait until the wire delivered sent packets in all; a drop on it is the lab's fault."""
        deadline = time.monotonic() + timeout
        while (arrived := self.receiver.details()["received"]) < sent:
            dropped = self.sender.details()["send_dropped"]
            assert dropped == 0, f"the veth itself dropped {dropped} packets, not the recorder"
            assert time.monotonic() < deadline, f"the wire delivered {arrived} of {sent} packets"
            time.sleep(0.02)
