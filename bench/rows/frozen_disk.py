"""The disk stands still for two seconds while packets arrive: packets lost."""

from __future__ import annotations

from collections.abc import Iterator

from bench.lab import Lab, Sending, ext4_volume, frozen
from bench.measure import interleaved
from bench.peers import Tool
from bench.results import OURS, Goal, Row
from bench.session import Session

PACKETS = 1_000_000
RATE = 200_000
FROZEN_AFTER_S = 2.0
"""Into the sender's run: it has loaded its savefile and sends."""
FROZEN_FOR_S = 2.0
VOLUME_BYTES = 1 << 30
NAMES = (OURS, "tcpdump", "tcpdump -B 65536", "daemonlogger", "dumpcap", "netsniff-ng")


def run(session: Session) -> Iterator[Row]:
    """Yield the packets lost."""
    # In a quick run the load is not shortened below what lasts longer than the frozen disk.
    load = session.load(PACKETS if not session.quick else 4 * RATE)
    sending = Sending(load.path, load.packets, rate=RATE)
    with Lab(session.work).up() as lab, ext4_volume(session.work, VOLUME_BYTES) as volume:

        def once(tool: Tool) -> float:
            with session.output(volume) as out:
                return lab.record(
                    tool.live(lab.interface, out) if tool.live else [],
                    out,
                    sending,
                    during=lambda: frozen(volume, FROZEN_AFTER_S, FROZEN_FOR_S),
                ).lost

        lost, failures = interleaved(session.present(NAMES), session.rounds, once)
        yield Row(
            "frozen-disk-lost",
            f"live to ext4, the disk frozen for {FROZEN_FOR_S:g} s, {load.packets:,} packets at "
            f"{RATE:,}/s: packets lost",
            "packets",
            session.figures(
                NAMES,
                lost,
                failures,
                lambda tool: tool.live("vb", volume / "out") if tool.live else [],
            ),
            (Goal(0),),
        )
