"""Which interfaces one can record from.

Asks the kernel for what exists (in the network namespace this process is in, which /sys may not
show) and libpcap for its further devices and its order of preference. Opening one is the engine's.
"""

import os
import socket
from contextlib import suppress

from daemonlogger_py.errors import UsageError

ANY = "any"  # libpcap's name for all interfaces at once; the kernel does not list it


def names() -> list[str]:
    """List the kernel's interfaces in its own order, then ``any``."""
    return [name for _, name in socket.if_nameindex()] + [ANY]


def require(name: str) -> None:
    """Raise UsageError, listing those that exist, unless one can record from `name`."""
    if is_missing(name):
        raise UsageError(
            f"-i/--interface {name!r}: no such interface; accepted: {', '.join(names())}"
        )


def is_missing(name: str) -> bool:
    """Whether one cannot record from `name`."""
    if name == ANY:
        return False
    try:
        # Takes alternative names too (ip link property add), which no list shows.
        socket.if_nametoindex(name)
    except OSError:
        return name not in _libpcap_devices()
    return False


def stacked(one: str, other: str) -> bool:
    """Whether what is sent out of one of two interfaces passes the other.

    They are one, or two ends of a veth pair, or one is built on the other, as a VLAN or a bridge
    is. By what /sys shows: nothing but the first where it is of another network namespace.
    """
    one, other = _canonical(one), _canonical(other)
    if one == other or (_peer(one) == _index(other) and _peer(other) == _index(one) != 0):
        return True
    return other in _below(one) or one in _below(other)


def _canonical(name: str) -> str:
    """The name that the kernel lists: there may be alternative ones."""
    try:
        return socket.if_indextoname(socket.if_nametoindex(name))
    except OSError:
        return name


def _index(name: str) -> int:
    try:
        return socket.if_nametoindex(name)
    except OSError:
        return 0


def _peer(name: str) -> int:
    try:
        with open(f"/sys/class/net/{name}/iflink") as file:
            return int(file.read())
    except (OSError, ValueError):
        return 0


def _below(interface: str) -> set[str]:
    found: set[str] = set()
    ahead = [interface]
    while ahead:
        with suppress(OSError):
            for entry in os.listdir(f"/sys/class/net/{ahead.pop()}"):
                name = entry.removeprefix("lower_")
                if name != entry and name not in found:
                    found.add(name)
                    ahead.append(name)
    return found


def default() -> str:
    """Find the first interface, in libpcap's order, that is up and not loopback."""
    states = _flags()
    for name in _libpcap_devices():
        flags = states.get(name, frozenset())
        if "up" in flags and "loopback" not in flags:
            return name
    raise UsageError(
        f"no interface is up but loopback; name one with -i/--interface: {', '.join(names())}"
    )


def table() -> str:
    """One line an interface, in libpcap's order: name, state, MTU, addresses, loopback mark."""
    import psutil  # 15 ms, and only --list-interfaces and a start without -i need it

    states = _flags()
    stats = psutil.net_if_stats()
    addresses = psutil.net_if_addrs()
    rows = [("name", "state", "mtu", "addresses")]
    devices = _libpcap_devices()
    # libpcap lists nothing when it fails, and leaves out what it cannot record from as this user.
    for name in devices + [name for name in stats if name not in devices]:
        flags = states.get(name, frozenset())
        state = ("up" if "up" in flags else "down") if name in stats else "-"
        mtu = str(stats[name].mtu) if name in stats else "-"
        shown = [address.address.partition("%")[0] for address in addresses.get(name, [])]
        marks = ["(loopback)"] if "loopback" in flags else []
        rows.append((name, state, mtu, " ".join(marks + shown) or "-"))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join(
        "  ".join([row[column].ljust(widths[column]) for column in range(3)] + [row[3]])
        for row in rows
    )


def _libpcap_devices() -> list[str]:
    from pylibpcap.base import get_iface_list  # 8 ms that a start with -i eth0 need not pay

    return list(get_iface_list())


def _flags() -> dict[str, frozenset[str]]:
    """Each kernel interface's flags by their ifconfig(8) names: up, running, loopback, ..."""
    import psutil

    return {
        name: frozenset(state.flags.split(",")) for name, state in psutil.net_if_stats().items()
    }
