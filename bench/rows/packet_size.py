"""Cost against packet size: -R wall per packet and per byte, live CPU per packet."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bench.lab import Lab, Sending, ext4_volume
from bench.measure import interleaved
from bench.peers import Tool
from bench.results import OURS, Curve
from bench.session import Session

SIZES = (60, 128, 256, 590, 1024, 1514)
LIVE_SIZES = (60, 256, 590, 1514)
PACKETS = 1_000_000
LIVE_PACKETS = 500_000
ROUNDS = 3
VOLUME_BYTES = 2 << 30
REPLAYING = (OURS, "tcpdump", "daemonlogger")
LIVE = (OURS, "tcpdump -B 65536", "daemonlogger")

Points = dict[str, list[tuple[float, tuple[float, ...]]]]


def run(session: Session) -> Iterator[Curve]:
    """Yield the three curves."""
    packets = session.scaled(PACKETS)
    walls: Points = {name: [] for name in REPLAYING}
    for size in SIZES:
        _point(session, walls, size, _replay(session, size, packets))
    yield _curve(
        "packet-size", "`-R`: wall per packet", "ns/packet", walls, lambda _: 1e9 / packets
    )
    yield _curve(
        "packet-size-bytes",
        "`-R`: wall per captured byte",
        "ns/byte",
        walls,
        lambda size: 1e9 / packets / size,
    )
    live = session.scaled(LIVE_PACKETS)
    cpu: Points = {name: [] for name in LIVE}
    for size in LIVE_SIZES:
        with Lab(session.work).up() as lab, ext4_volume(session.work, VOLUME_BYTES) as volume:
            load = session.load(live, ((size, 100),))
            sending = Sending(load.path, load.packets)

            def once(tool: Tool) -> float:
                with session.output(volume) as out:
                    argv = tool.live(lab.interface, out) if tool.live else []
                    return lab.record(argv, out, sending).cost.cpu_s  # noqa: B023

            _point(session, cpu, size, once)
    yield _curve(
        "packet-size-live",
        "live to ext4 at topspeed: CPU of the recorder per packet",
        "ns/packet",
        cpu,
        lambda _: 1e9 / live,
    )


def _replay(session: Session, size: int, packets: int) -> Callable[[Tool], float]:
    load = session.load(packets, ((size, 100),))

    def once(tool: Tool) -> float:
        cost = session.timed(
            lambda out: tool.replay(load.path, out, "") if tool.replay else [],
            2 * load.file_bytes,
        )
        return cost.wall_s

    return once


def _point(session: Session, points: Points, size: int, once: Callable[[Tool], float]) -> None:
    """Measure all tools at one size."""
    rounds = min(ROUNDS, session.rounds)
    samples, _ = interleaved(session.present(list(points)), rounds, once)
    for tool, values in samples.items():
        points[tool.name].append((size, tuple(values)))


def _curve(
    name: str, title: str, unit: str, points: Points, factor: Callable[[float], float]
) -> Curve:
    series = {
        tool: tuple((x, tuple(value * factor(x) for value in values)) for x, values in measured)
        for tool, measured in points.items()
    }
    return Curve(name, title, "captured bytes of a packet", unit, series)
