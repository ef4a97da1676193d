"""Traffic of every kind an index knows something about, and of kinds it can say nothing about.

Addresses and ports come from small pools, so that filters of those pools hit; headers are those of
`tests/flow/frames.py` with the addresses written in. Random, and the same for the same seed.
"""

import random
from collections.abc import Iterable

from ...flow import frames as made
from ...pcaps.make import MICROSECONDS, START_NS, Packet, classic

HOSTS4 = [bytes([192, 0, 2, last]) for last in range(1, 6)] + [bytes([198, 51, 100, 2])]
HOSTS6 = [bytes.fromhex("20010db8") + bytes(11) + bytes([last]) for last in range(1, 4)]
PORTS = [53, 80, 443, 4000, 5001, 40000]
VLANS = [5, 42, 43]
SMALL, LARGE = 20, 900


def ipv4(dice: random.Random, payload: bytes, protocol: int, **fields: int) -> bytes:
    packet = made.ipv4(payload, protocol, **fields)
    return packet[:12] + dice.choice(HOSTS4) + dice.choice(HOSTS4) + packet[20:]


def ipv6(dice: random.Random, payload: bytes, protocol: int) -> bytes:
    packet = made.ipv6(payload, protocol)
    return packet[:8] + dice.choice(HOSTS6) + dice.choice(HOSTS6) + packet[40:]


def payload(dice: random.Random) -> bytes:
    return dice.randbytes(dice.choice([0, 1, SMALL, LARGE]))


def transport(dice: random.Random) -> tuple[int, bytes]:
    """Protocol number, and header with payload."""
    protocol = dice.choice([6, 6, 6, 17, 17, 132, 1, 47])
    source, target = (dice.choice(PORTS).to_bytes(2, "big") for _ in range(2))
    inside = payload(dice)
    if protocol == 6:
        head = made.tcp(inside, flags=dice.choice([2, 4, 16, 18, 24]))
    elif protocol == 17:
        head = made.udp(inside)
    elif protocol == 132:
        head = made.sctp(inside)
    elif protocol == 1:
        return 1, bytes([dice.choice([0, 3, 8, 11]), dice.choice([0, 1])]) + made.icmp()[2:]
    else:
        return 47, made.gre(ipv4(dice, *reversed(transport_inside(dice))))
    return protocol, source + target + head[4:]


def transport_inside(dice: random.Random) -> tuple[int, bytes]:
    """What a tunnel carries: no further tunnel."""
    protocol, data = transport(dice)
    return (protocol, data) if protocol != 47 else (17, made.udp())


def datagram(dice: random.Random) -> tuple[int, bytes]:
    """Ethertype and an IP packet: whole, in fragments, damaged or behind extension headers."""
    protocol, data = transport(dice)
    kind = dice.randrange(20)
    if kind < 10:
        return made.IPV4, ipv4(dice, data, protocol)
    if kind == 10:  # first fragment, then later ones
        return made.IPV4, ipv4(dice, data, protocol, fragment=0x2000)
    if kind == 11:
        return made.IPV4, ipv4(dice, data, protocol, fragment=dice.choice([1, 0x2010, 100]))
    if kind == 12:
        packet = made.ipv4(data, protocol, options=bytes([1] * 8))
        return made.IPV4, packet[:12] + dice.choice(HOSTS4) + dice.choice(HOSTS4) + packet[20:]
    if kind == 13:
        return made.IPV4, ipv4(dice, data, protocol, total_length=dice.choice([0, 21, 9999]))
    if kind == 14:
        return made.IPV4, ipv4(dice, data, protocol, header_words=dice.choice([0, 4, 15]))
    if kind == 15:
        return made.IPV6, ipv6(dice, made.extension(protocol, data), 0)
    if kind == 16:
        fragment = made.fragment6(protocol, data, dice.choice([0, 8]), more=True)
        return made.IPV6, ipv6(dice, fragment, 44)
    if kind == 17:
        return made.IPV4, ipv4(dice, ipv4(dice, data, protocol), 4)
    return made.IPV6, ipv6(dice, data, protocol)


def frame(dice: random.Random) -> bytes:
    """One Ethernet frame."""
    ethertype, packet = datagram(dice)
    kind = dice.randrange(24)
    if kind < 10:
        return made.ethernet(packet, ethertype)
    if kind < 13:
        return made.ethernet(made.tag(packet, dice.choice(VLANS), ethertype), 0x8100)
    if kind == 13:
        inner = made.tag(packet, dice.choice(VLANS), ethertype)
        return made.ethernet(made.tag(inner, dice.choice(VLANS), 0x8100), 0x88A8)
    if kind == 14:
        return made.ethernet(made.labels(packet, dice.choice([1, 2])), 0x8847)
    if kind == 15:
        return made.ethernet(made.pppoe(b"\x00\x21" + packet), 0x8864)
    if kind == 16:
        return made.length_and_llc(made.snap(packet, ethertype)[:1400])
    if kind in (17, 18):
        tunnel = made.vxlan if kind == 17 else made.geneve
        inner = tunnel(made.ethernet(packet, ethertype))
        return made.ethernet(ipv4(dice, inner, 17))
    if kind == 19:
        return made.ethernet(ipv4(dice, made.gtpu(packet), 17))
    if kind == 20:
        question = bytes([0, 1, 8, 0, 6, 4, 0, dice.choice([1, 2])]) + dice.randbytes(20)
        return made.ethernet(question, made.ARP)
    if kind == 21:
        return dice.randbytes(dice.choice([0, 1, 13, 14, 60]))
    whole = made.ethernet(packet, ethertype)
    return whole[: dice.randrange(len(whole))] if kind == 22 else whole


def packets(seed: int, count: int, step_ns: int = 1_000_000) -> list[Packet]:
    """So many packets; times mostly grow, and some go back or stand still."""
    dice = random.Random(seed)
    found, when = [], START_NS
    for _ in range(count):
        when += dice.choice([0, step_ns, step_ns, 3 * step_ns, -2 * step_ns])
        data = frame(dice)
        cut = dice.random() < 0.05
        found.append(Packet(when, data[:50] if cut else data, len(data)))
    return found


def savefile(found: Iterable[Packet], *, order: str = "<", magic: int = MICROSECONDS) -> bytes:
    """A classic savefile of Ethernet frames."""
    return classic(found, order=order, magic=magic)
