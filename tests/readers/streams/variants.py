"""One capture in other formats, in pieces, cut, or with packets missing."""

from collections.abc import Callable, Sequence
from pathlib import Path

from bench.conversations import Dice

from ...pcaps.make import MICROSECONDS, NANOSECONDS, Packet, classic, pcapng
from ...pcaps.parse import parse

Write = Callable[[Sequence[Packet]], bytes]


def packets_of(path: Path) -> list[Packet]:
    """All packets of a capture."""
    capture = parse(path.read_bytes())
    return [
        Packet(time_ns, record.data, record.origlen)
        for time_ns, record in zip(capture.times_ns(), capture.records, strict=True)
    ]


def cut(packets: Sequence[Packet], snaplen: int) -> list[Packet]:
    """As a recorder with this snaplen keeps them."""
    return [packet._replace(data=packet.data[:snaplen]) for packet in packets]


def thinned(packets: Sequence[Packet], permille: int, seed: int) -> list[Packet]:
    """With so many of a thousand missing."""
    dice = Dice(seed)
    return [packet for packet in packets if not dice.happens(permille)]


def mixed_up(packets: Sequence[Packet], seed: int) -> list[Packet]:
    """Each up to 30 places from where it was, as where several queues are recorded."""
    dice = Dice(seed)
    places = [place + dice.below(30) for place in range(len(packets))]
    return [packets[place] for place in sorted(range(len(packets)), key=places.__getitem__)]


def in_savefiles(packets: Sequence[Packet], directory: Path, count: int) -> list[Path]:
    """Write so many savefiles, the first ones first."""
    paths = []
    for number in range(count):
        begin, end = (len(packets) * place // count for place in (number, number + 1))
        paths.append(directory / f"{number:02}.pcap")
        paths[-1].write_bytes(classic(packets[begin:end]))
    return paths


def big_endian(packets: Sequence[Packet]) -> bytes:
    return classic(packets, order=">", magic=MICROSECONDS)


def nanoseconds(packets: Sequence[Packet]) -> bytes:
    return classic(packets, magic=NANOSECONDS)


def blocks(packets: Sequence[Packet]) -> bytes:
    return pcapng(packets, nanosecond=True)
