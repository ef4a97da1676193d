"""The interfaces that packets are sent on to, and what became of them.

The engine's Tap sends; this opens one an interface, waits where it may, and says what went wrong
once. It belongs to the loop's thread.
"""

import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import NamedTuple

from daemonlogger_py.config.recorder import RecorderConfig
from daemonlogger_py.engine.buffer import Buffer
from daemonlogger_py.engine.protocol import Source
from daemonlogger_py.engine.tap import Tap
from daemonlogger_py.record.messages import Tell

# How long a full transmit queue is waited for, for each buffer: what is live goes on arriving, and
# waits in the kernel's capture buffer meanwhile; a savefile can wait.
LIVE_WAIT_NS = 200_000_000
READ_WAIT_NS = 10_000_000_000
# How often an interface that is down is looked at when there is nothing but it to wait for.
DOWN_S = 0.1


class TapTotals(NamedTuple):
    """What became of the packets for one interface: they add up to what was received."""

    interface: str
    sent: int
    sent_bytes: int
    cut: int  # of those sent: captured shorter than they were
    too_large: int  # for the interface, and not to be segmented
    refused: int  # by the kernel
    dropped: int  # the transmit queue stayed full
    missed: int  # the interface was down or gone
    unsent: int  # ended by a signal before

    def __str__(self) -> str:
        """As a person reads them, on one line."""
        problems = [
            f"{count} {what}"
            for count, what in (
                (self.cut, "of them cut short by the capture"),
                (self.too_large, "too large"),
                (self.refused, "refused by the kernel"),
                (self.dropped, "dropped on a full queue"),
                (self.missed, "missed while it was down"),
                (self.unsent, "not sent"),
            )
            if count or what in ("too large", "refused by the kernel", "dropped on a full queue")
        ]
        return (
            f"{self.sent} packets sent out of {self.interface}, {self.sent_bytes} bytes, "
            + ", ".join(problems)
        )


class Taps:
    """One tap an interface in `config.tap`, for packets of `source`; `wake_fd` ends waits.

    Raises what `engine.tap.Tap` raises.
    """

    def __init__(self, config: RecorderConfig, source: Source, wake_fd: int, tell: Tell) -> None:
        self._tell = tell
        self._live = source.live
        self._wait_ns = LIVE_WAIT_NS if source.live else READ_WAIT_NS
        self._received = 0
        self._said: set[tuple[str, str]] = set()
        self._dropped_said: dict[str, int] = {}
        with ExitStack() as stack:
            self._taps = []
            for interface in config.tap:
                tap = Tap(
                    interface,
                    linktype=source.linktype,
                    wake_fd=wake_fd,
                    nanosecond=source.nanosecond,
                    pace=config.pace,
                    patient=not source.live,
                )
                stack.callback(tap.close)
                self._taps.append(tap)
            # Each keeps the recorded time for itself: one after the other would double it.
            self._at_once = None
            if config.pace is not None and len(self._taps) > 1:
                from concurrent.futures import ThreadPoolExecutor

                self._at_once = ThreadPoolExecutor(len(self._taps), "tap")
                stack.callback(self._at_once.shutdown)
            self._close = stack.pop_all()

    def send(self, buffer: Buffer, begin: int, packets: int, serve: Callable[[], bool]) -> None:
        """Send the `packets` in `buffer` from byte offset `begin` on, out of every interface.

        A wake-up interrupts it for `serve`, which says whether to go on.
        """
        self._received += packets
        reached = [begin] * len(self._taps)
        while min(reached) < len(buffer) and self._ready(serve):
            if self._at_once is None:
                reached = [
                    tap.send(buffer, offset, self._wait_ns)
                    for tap, offset in zip(self._taps, reached, strict=True)
                ]
            else:
                buffers, waits = [buffer] * len(reached), [self._wait_ns] * len(reached)
                reached = list(self._at_once.map(Tap.send, self._taps, buffers, reached, waits))
            if min(reached) < len(buffer) and not serve():
                break
        self._remark()

    def leave(self, packets: int) -> None:
        """Count packets that will not be sent: the end has come before."""
        self._received += packets

    def _ready(self, serve: Callable[[], bool]) -> bool:
        """Look whether taps that are down are back; a savefile can wait until they are."""
        while self._down() and not self._live:
            self._remark()
            time.sleep(DOWN_S)
            if not serve():
                return False
        return True

    def _down(self) -> list[Tap]:
        return [tap for tap in self._taps if tap.down and not tap.revive()]

    def look(self) -> None:
        """Have a tap that is down try again; to be called about once a second."""
        self._down()
        self._remark()
        for tap in self._taps:
            dropped = tap.counters().dropped
            new = dropped - self._dropped_said.get(tap.interface, 0)
            if new:
                self._dropped_said[tap.interface] = dropped
                text = (
                    f"[!] tap {tap.interface}: {new} packets dropped on a full transmit queue "
                    f"({dropped} in all)"
                )
                self._tell("tap_dropped", text, interface=tap.interface, new=new, total=dropped)

    def totals(self) -> list[TapTotals]:
        """What became of the packets so far, for each interface."""
        found = []
        for tap in self._taps:
            c = tap.counters()
            done = c.sent + c.too_large + c.refused + c.dropped + c.missed
            found.append(
                TapTotals(
                    tap.interface,
                    c.sent,
                    c.sent_bytes,
                    c.cut,
                    c.too_large,
                    c.refused,
                    c.dropped,
                    c.missed,
                    self._received - done,
                )
            )
        return found

    def close(self) -> None:
        """Close the sockets; the totals stay."""
        self._close.close()

    def _remark(self) -> None:
        """Say each kind of trouble once; that a tap is down, until it is not."""
        for tap in self._taps:
            if not tap.down and (tap.interface, "tap_down") in self._said:
                self._said.remove((tap.interface, "tap_down"))
                missed = tap.counters().missed
                text = f"[!] tap {tap.interface}: back, {missed} packets were missed in all"
                self._tell("tap_back", text, interface=tap.interface, missed=missed)
            for event, what in (
                ("tap_down", tap.failure and f"{tap.failure}, packets are missed"),
                ("tap_too_large", tap.remark and f"{tap.remark}; more are counted"),
                ("tap_refused", tap.refusal and f"{tap.refusal}; more are counted"),
            ):
                if what and (tap.interface, event) not in self._said:
                    self._said.add((tap.interface, event))
                    text = f"[!] tap {tap.interface}: {what}"
                    self._tell(event, text, interface=tap.interface)
