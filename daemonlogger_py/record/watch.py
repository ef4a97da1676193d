"""The interface that is recorded from: whether it is up, and waiting for one that went away.

A packet socket survives both. On an interface that comes up again packets simply go on; to one that
was removed and made again the source has to be bound anew. Either way nothing is recorded in the
meantime, and that is said.
"""

import fcntl
import socket
import struct
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from daemonlogger_py.record.messages import Tell

if TYPE_CHECKING:
    from daemonlogger_py.engine.live import LiveSource

_SIOCGIFFLAGS = 0x8913  # <linux/sockios.h>
_IFF_UP = 0x1
_IFF_RUNNING = 0x40
_IFREQ = struct.Struct("16sH22x")  # struct ifreq, netdevice(7): ifr_name, ifr_flags

# rtnetlink(7), netlink(7): struct nlmsghdr (length, type, ...) and struct ifinfomsg behind it.
_RTMGRP_LINK = 1
_RTM_NEWLINK = 16
_MESSAGE = struct.Struct("=IH10x")
_LINK = struct.Struct("=4xiI4x")  # ifi_index, ifi_flags

UP = "up"
DOWN = "down"
NO_CARRIER = "without carrier"


class LinkEvents:
    """What the kernel says of interfaces as they change: nothing between two looks is missed.

    Each network namespace has its own. Raises OSError where there is no such socket to be had.
    """

    def __init__(self) -> None:
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        self._socket = socket.socket(socket.AF_NETLINK, kind, socket.NETLINK_ROUTE)
        self._socket.bind((0, _RTMGRP_LINK))

    def states(self, index: int) -> Iterator[str]:
        """The states that the interface of this index has been in since the last call."""
        while True:
            try:
                data = self._socket.recv(1 << 16)
            except OSError:  # nothing more; or more than there was room for, which is lost
                return
            yield from (_state_of(flags) for found, flags in _links(data) if found == index)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def _links(data: bytes) -> Iterator[tuple[int, int]]:
    """Index and flags of each interface that a datagram tells of."""
    at = 0
    while at + _MESSAGE.size <= len(data):
        length, kind = _MESSAGE.unpack_from(data, at)
        whole = _MESSAGE.size <= length <= len(data) - at
        if whole and kind == _RTM_NEWLINK and length >= _MESSAGE.size + _LINK.size:
            yield _LINK.unpack_from(data, at + _MESSAGE.size)
        if not whole:
            return
        at += (length + 3) & ~3


class InterfaceWatch:
    """Watches the interface of `source`, which is open."""

    def __init__(self, source: "LiveSource", tell: Tell) -> None:
        self._source = source
        self._tell = tell
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._events = LinkEvents()
        self._state = UP  # until the first look says otherwise
        self._since = time.monotonic()
        self.waiting = False
        """Whether the interface is gone: there is nothing to fill from."""

    @property
    def up(self) -> bool:
        """Whether packets can come, as far as was seen."""
        return not self.waiting and self._state == UP

    def look(self) -> None:
        """See whether it went down or came up; to be called about once a second."""
        for found in self._events.states(_index(self._source.interface)):
            self._see(found)
        self._see(state(self._socket, self._source.interface))

    def _see(self, found: str | None) -> None:
        if self.waiting or found is None or found == self._state:
            return
        now = time.monotonic()
        facts = {"interface": self._source.interface, "state": found}
        if found == UP:
            seconds = now - self._since
            text = f"[!] interface {self._source.interface}: up again after {seconds:.1f} s"
            self._tell("interface_up", text, seconds=round(seconds, 3), **facts)
        else:
            if self._state == UP:
                self._since = now
            text = f"[!] interface {self._source.interface}: {found}, no packets meanwhile"
            self._tell("interface_down", text, **facts)
        self._state = found

    def lost(self) -> bool:
        """Whether the source failed because its interface is gone; it is waited for then."""
        if not self._source.gone:
            return False
        self.waiting = True
        if self._state == UP:
            self._since = time.monotonic()
        name = self._source.interface
        text = f"[!] interface {name}: gone, waiting for it to come back"
        self._tell("interface_gone", text, interface=name)
        return True

    def back(self) -> bool:
        """Whether the interface that was gone is there again, and the source bound to it."""
        name = self._source.interface
        found = state(self._socket, name)
        if found in (None, DOWN) or not self._source.revive():
            return False
        self.waiting = False
        self._state = found
        seconds = time.monotonic() - self._since
        text = f"[!] interface {name}: back, nothing was recorded for {seconds:.1f} s"
        self._tell("interface_back", text, interface=name, seconds=round(seconds, 3))
        return True

    def close(self) -> None:
        """Close what it asks the kernel by."""
        self._socket.close()
        self._events.close()


def state(asking: socket.socket, interface: str) -> str | None:
    """UP, DOWN or NO_CARRIER; None for what is no interface of the kernel's (`any`).

    `asking` is any socket in the network namespace of the interface.
    """
    try:
        # An alternative name may be longer than what this call takes.
        name = socket.if_indextoname(socket.if_nametoindex(interface)).encode()
        answer = fcntl.ioctl(asking, _SIOCGIFFLAGS, _IFREQ.pack(name, 0))
    except OSError:
        return None
    return _state_of(_IFREQ.unpack(answer)[1])


def _index(interface: str) -> int:
    try:
        return socket.if_nametoindex(interface)
    except OSError:
        return 0  # no interface has it


def _state_of(flags: int) -> str:
    if not flags & _IFF_UP:
        return DOWN
    return UP if flags & _IFF_RUNNING else NO_CARRIER
