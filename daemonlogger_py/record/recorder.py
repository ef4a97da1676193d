"""The loop: packets from a source into buffers, buffers to the writer, a new savefile in time.

Read this first. Nothing here waits for the disk and nothing runs per packet: one turn is one
buffer. The source fills it until a `Stop`; the loop then hands over, rolls over, serves signals
or ends. Whatever the kernel accepted is in a buffer or still with the kernel; the only packets
that go missing are those it drops when both are full, and it counts them.
"""

import time
from contextlib import suppress
from dataclasses import dataclass
from select import POLLIN, poll
from typing import TYPE_CHECKING

from daemonlogger_py.config.filter_file import read_filter_file
from daemonlogger_py.config.recorder import RecorderConfig
from daemonlogger_py.engine.buffer import Buffer
from daemonlogger_py.engine.protocol import NEVER_NS, Source, Stop
from daemonlogger_py.errors import DaemonloggerError, SourceError, UsageError
from daemonlogger_py.record.boundary import Boundary
from daemonlogger_py.record.buffers import BufferPool
from daemonlogger_py.record.messages import Tell
from daemonlogger_py.record.openfile import BLOCK_BYTES
from daemonlogger_py.record.signals import Signals
from daemonlogger_py.record.starvation import Starvation
from daemonlogger_py.record.totals import Totals
from daemonlogger_py.record.writer import Writer

if TYPE_CHECKING:
    from daemonlogger_py.record.nowriter import NoWriter
    from daemonlogger_py.record.taps import Taps
    from daemonlogger_py.record.vitals import Vitals
    from daemonlogger_py.record.watch import InterfaceWatch

NS_PER_SECOND = 1_000_000_000
MANY = 1 << 62
"""A budget that is not reached."""
# On a quiet link a packet is in the file within a second: this, and the kernel's block time-out.
HOLD_NS = NS_PER_SECOND // 2
# How often a buffer that is due is looked at again while the disk is busy.
BUSY_NS = 20_000_000
# Counters are read and the ring is looked after this often; libpcap's 32-bit counters last for
# 2^32 packets.
TICK_NS = NS_PER_SECOND
RING_TICKS = 5
# Time stamps of these types are the adapter's own clock's, which nobody sets.
UNSYNCED = ("adapter_unsynced", "host_hiprec_unsynced")
FIRST_SAVEFILE_S = 2.0
# An interface that went away is looked for this often.
INTERFACE_NS = 100_000_000
# Paced packets leave slowly: so many at a time, signals being served in between.
PACED_PACKETS = 64
ROLLOVERS = ("size", "time", "packets", "hangup")


@dataclass(slots=True)
class Savefile:
    """What the loop knows of the savefile it fills; on disk it may lag behind."""

    offset: int  # in the file, of the next buffer's first byte
    ordered: bool = False  # the writer was told to begin it
    packets: int = 0  # handed over


class Recorder:
    """Records from `source` until it ends, a limit of `config` is reached, or a signal says so.

    `newest_epoch` is that of the newest savefile there is; live ones are not named before it.
    `watch` waits for an interface that went away, `taps` send on what was received, `vitals` tells
    others how it goes; each may be missing.
    """

    def __init__(
        self,
        config: RecorderConfig,
        source: Source,
        pool: BufferPool,
        writer: "Writer | NoWriter",
        signals: Signals,
        tell: Tell,
        *,
        newest_epoch: int = 0,
        watch: "InterfaceWatch | None" = None,
        taps: "Taps | None" = None,
        vitals: "Vitals | None" = None,
    ) -> None:
        self._config = config
        self._source = source
        self._pool = pool
        self._writer = writer
        self._signals = signals
        self._tell = tell
        self._watch = watch
        self._taps = taps
        self._vitals = vitals
        # What is only sent on does not wait for company either.
        self._hold_ns = 0 if config.flush or not config.savefiles else HOLD_NS
        self._until_counts = config.tstamp_type not in UNSYNCED
        self._buffer: Buffer | None = None
        self._lead = b""  # what the next buffer has to begin with
        self._lead_due_ns = NEVER_NS  # when it has to be written, if it is not yet
        self._newest_epoch = newest_epoch
        self._savefile = self._next_savefile()
        self._rollovers = dict.fromkeys(ROLLOVERS, 0)
        self._rolled_because = "exit"
        self._received = 0
        self._boundary = Boundary(config.roll_time)
        self._clock_said = False
        self._finishing = False
        self._ended = False
        self._failure: DaemonloggerError | None = None
        self._dropped_said = 0
        self._starvation = Starvation(pool, tell)
        self._tick_ns = 0
        self._ticks = 0
        self._statistics_ns = NEVER_NS

    def run(self) -> Totals:
        """Record to the end, and say the totals.

        Raises SourceError or StorageError if that end was a failure; what was recorded is whole.
        """
        self._start()
        try:
            self._loop()
            self._hand_over(last=True)
            self._tell_stopping()
        except BaseException:  # whatever it is, what was captured is written first
            with suppress(Exception):
                self._hand_over(last=True)
                self._tell_stopping()
            self._close_writer()
            self._say_totals(self.totals())
            raise
        if not self._savefile.ordered and self._rolls == 0 and self._failure is None:
            self._order_savefile(int(time.time()))  # a savefile without packets: nothing matched
        self._close_writer()
        totals = self.totals()
        self._say_totals(totals)
        failure = self._failure or self._writer.failure
        if failure is not None:
            raise failure
        return totals

    def _loop(self) -> None:
        while not self._ended:
            self._serve()
            if self._watch is not None and self._watch.waiting:
                self._wait_for_interface(self._watch)
                continue
            buffer = self._current_buffer()
            if buffer is None:
                self._wait_for_buffer()
                continue
            before = len(buffer), buffer.packets
            reason = self._fill(buffer)
            if self._taps is not None and len(buffer) > before[0]:
                self._send(self._taps, buffer, *before)
            self._after(reason, buffer)

    @property
    def _rolls(self) -> int:
        return sum(self._rollovers.values())

    def totals(self) -> Totals:
        """What became of every packet so far."""
        counters = self._source.counters()
        return Totals(
            received=self._received,
            dropped=counters.dropped,
            if_dropped=counters.if_dropped,
            lost=self._writer.lost_packets,
            written=self._writer.written_packets,
            files=self._writer.files,
            size_bytes=self._writer.written_bytes,
        )

    def _start(self) -> None:
        now_ns = time.monotonic_ns()
        self._signals.on_finish = self._source.finish
        self._tick_ns = now_ns + TICK_NS
        if self._config.stats_interval is not None:
            self._statistics_ns = now_ns
            self._schedule_statistics(now_ns)
        self._writer.start()
        if self._source.live:
            self._boundary.begin(time.time_ns())
            self._order_savefile(int(time.time()))
        if self._vitals is not None and self._begun():
            self._vitals.started(self.totals(), self._rollovers)

    def _begun(self) -> bool:
        """Wait a little for the first savefile: whoever waits for us has to know of a failure."""
        if self._savefile.ordered:
            self._writer.wait_begun(FIRST_SAVEFILE_S)
        return self._writer.failure is None

    # Filling

    def _fill(self, buffer: Buffer) -> Stop:
        before = buffer.packets
        # While the disk is busy, small buffers would only use up the memory: this one goes on.
        busy = self._writer.busy
        reason = self._source.fill(
            buffer,
            self._bytes_left(buffer),
            self._packets_left(buffer),
            self._boundary.at_ns if self._until_counts else NEVER_NS,
            MANY if busy else self._hold_ns,
            self._deadline_ns(busy=busy),
        )
        self._received += buffer.packets - before
        if self._boundary.awaits_packet and buffer.packets:
            self._boundary.begin(buffer.first_ns)
        return Stop(reason)

    def _send(self, taps: "Taps", buffer: Buffer, begin: int, packets_before: int) -> None:
        def serve() -> bool:
            self._signals.drain()
            return self._serve_while_sending()

        packets = buffer.packets - packets_before
        if self._finishing and not self._source.live:
            taps.leave(packets)  # a paced savefile could go on for days
        else:
            taps.send(buffer, begin, packets, serve)

    def _bytes_left(self, buffer: Buffer) -> int:
        # A roll size below the file header's is reached by any packet, but not by none.
        return max(1, self._writer.roll_bytes - self._savefile.offset - len(buffer))

    def _packets_left(self, buffer: Buffer) -> int:
        left = MANY
        if self._config.count is not None:
            left = self._config.count - self._received
        if self._config.roll_packets is not None:
            left = min(left, self._config.roll_packets - self._savefile.packets - buffer.packets)
        if self._boundary.awaits_packet:
            left = 1  # of a savefile that is read, the first packet starts the grid
        if self._config.pace is not None:
            left = min(left, PACED_PACKETS)
        return left

    def _deadline_ns(self, *, busy: bool) -> int:
        deadline_ns = min(self._tick_ns, self._statistics_ns)
        if busy:
            deadline_ns = min(deadline_ns, time.monotonic_ns() + BUSY_NS)
        else:
            deadline_ns = min(deadline_ns, self._lead_due_ns)
        if self._source.live and self._boundary.begun:
            ahead_ns = self._boundary.ahead_ns(time.time_ns())
            deadline_ns = min(deadline_ns, time.monotonic_ns() + ahead_ns)
        return deadline_ns

    def _after(self, reason: Stop, buffer: Buffer) -> None:
        match reason:
            case Stop.FULL:
                self._hand_over()
            case Stop.SIZE:
                self._roll_by_size(buffer)
            case Stop.PACKETS:
                self._packets_used_up(buffer)
            case Stop.TIME:
                self._roll_by_time(self._source.next_ns or self._boundary.at_ns)
            case Stop.DEADLINE:
                self._deadline_passed(buffer)
            case Stop.WAKE:
                self._signals.drain()
            case Stop.END:
                self._ended = True
            case Stop.DAMAGED | Stop.FAILED:
                self._source_failed()

    def _source_failed(self) -> None:
        if self._watch is not None and not self._finishing and self._watch.lost():
            self._hand_over(flush=True)
            return
        self._failure = SourceError(self._source.failure)
        self._ended = True

    def _packets_used_up(self, buffer: Buffer) -> None:
        if self._received == self._config.count:
            self._ended = True
            return
        limit = self._config.roll_packets
        if limit is not None and self._savefile.packets + buffer.packets >= limit:
            self._roll("packets", f"Packet limit reached ({limit}), rolling over!", packets=limit)

    def _deadline_passed(self, buffer: Buffer) -> None:
        now_ns = time.monotonic_ns()
        waited = buffer.packets and now_ns >= buffer.waiting_since_ns + self._hold_ns
        if (waited or self._lead_due_ns != NEVER_NS) and not self._writer.busy:
            self._hand_over(flush=True)
        self._roll_by_clock()

    # Rolling over

    def _roll_by_size(self, buffer: Buffer) -> None:
        if self._received == self._config.count:
            self._ended = True
            return
        limit = self._writer.roll_bytes
        size = self._savefile.offset + len(buffer)
        text = f"Size limit reached ({size} - {limit} = {size - limit}), rolling over!"
        self._roll("size", text, size_bytes=size)

    def _roll_by_clock(self) -> None:
        """Roll over where the boundary has passed, though no packet said so."""
        if self._source.live and self._boundary.ahead_ns(time.time_ns()) == 0:
            self._roll_by_time(time.time_ns())

    def _roll_by_time(self, now_ns: int) -> None:
        """Roll over at a boundary that `now_ns` has reached; an empty savefile goes on."""
        if not self._boundary.begun:
            return
        self._roll("time", "Time limit reached, rolling over!", boundary_ns=self._boundary.at_ns)
        self._boundary.go_on(now_ns)

    def _roll(self, why: str, text: str, **facts: object) -> None:
        self._hand_over(last=True)
        if not self._savefile.packets:
            return
        self._rollovers[why] += 1
        self._rolled_because = why
        self._savefile = self._next_savefile()
        if not self._config.ring and self._rolls == self._config.max_files:
            self._ended = True
            return
        self._writer.say("roll", text, why=why, **facts)
        self._writer.say("rolling", "Rolling over logfile...", why=why)
        if self._source.live:
            self._order_savefile(int(time.time()))

    def _replace_savefile(self) -> None:
        """Somebody removed or truncated the savefile that is written: go on in another."""
        self._writer.spoilt = False
        if not self._savefile.ordered:
            return  # the one after it is about to be begun anyway
        if self._config.direct:
            self._hand_over(last=True)  # the buffer begins within a record of that savefile
        self._rolled_because = "truncated"  # one that was removed is in no catalog
        self._savefile = self._next_savefile()
        if self._source.live:
            self._order_savefile(int(time.time()))

    def _next_savefile(self) -> Savefile:
        header = self._source.file_header
        if self._config.direct:
            # Direct output rewrites the whole block that the header is in.
            self._lead = header
            return Savefile(offset=0)
        return Savefile(offset=len(header))

    def _order_savefile(self, epoch: int) -> None:
        if self._source.live and epoch < self._newest_epoch:
            # The clock was set back. Order is by name: the newest data must not look oldest.
            self._say_clock(epoch)
            epoch = self._newest_epoch
        self._newest_epoch = epoch
        self._writer.roll(epoch, self._rolled_because, self._source.counters().dropped)
        self._savefile.ordered = True

    def _close_writer(self) -> None:
        self._writer.close("exit", self._source.counters().dropped)

    def _say_clock(self, epoch: int) -> None:
        if not self._clock_said:
            self._clock_said = True
            text = (
                f"[!] The clock is {self._newest_epoch - epoch} s behind the newest savefile: "
                f"names go on from its second, {self._newest_epoch}"
            )
            self._tell("clock_behind", text, newest_epoch=self._newest_epoch)

    # Buffers

    def _current_buffer(self) -> Buffer | None:
        if self._buffer is not None:
            return self._buffer
        buffer = self._pool.take()
        if buffer is None:
            self._pool.starving = True  # and once more, as one may have come back before
            buffer = self._pool.take()
            if buffer is None:
                return None
        self._pool.starving = False
        self._starvation.end()
        if self._lead:
            buffer.clear(self._lead)
        self._buffer = buffer
        return buffer

    def _wait_for_buffer(self) -> None:
        """All memory waits for the disk: packets stay where they are, signals are served."""
        now_ns = time.monotonic_ns()
        if self._source.live:
            self._starvation.go_on(now_ns)
        self._sleep(self._tick_ns - now_ns)

    def _sleep(self, wait_ns: int) -> None:
        """Wait for a signal or a buffer that comes back, at most this long."""
        waiter = poll()
        waiter.register(self._signals.wake_fd, POLLIN)
        waiter.poll(max(0, wait_ns) // 1_000_000 + 1)
        self._signals.drain()

    def _wait_for_interface(self, watch: "InterfaceWatch") -> None:
        """The interface is gone: signals and the clock are served until it is back."""
        if self._finishing:
            self._ended = True
            return
        self._roll_by_clock()
        if not watch.back():
            self._sleep(INTERFACE_NS)

    def _hand_over(self, *, flush: bool = False, last: bool = False) -> None:
        """Give the buffer to the writer; `last`: the savefile ends with it.

        Direct output is in whole blocks: what is over them begins the next buffer, and is written
        (to be overwritten) only when it may not wait.
        """
        buffer = self._buffer
        if buffer is None or not buffer.packets:
            if flush or last:
                self._hand_over_lead()
            if last:
                self._drop_buffer()
            return
        if not self._savefile.ordered:
            self._order_savefile(buffer.first_ns // NS_PER_SECOND)
        used = len(buffer)
        over = used % BLOCK_BYTES if self._config.direct else 0
        length = used if flush or last else used - over
        with memoryview(buffer) as view:
            self._lead = bytes(view[used - over :])
        self._lead_due_ns = NEVER_NS
        if length < used:
            self._lead_due_ns = time.monotonic_ns() + self._hold_ns
        self._writer.write(buffer, self._savefile.offset, length)
        self._savefile.offset += used - over
        self._savefile.packets += buffer.packets
        self._buffer = None

    def _hand_over_lead(self) -> None:
        """Write the end of a record that a full buffer left to the next, which has none yet."""
        if self._lead_due_ns != NEVER_NS:
            self._writer.write_end(self._lead, self._savefile.offset)
            self._lead_due_ns = NEVER_NS

    def _drop_buffer(self) -> None:
        if self._buffer is not None:
            self._pool.give(self._buffer)
            self._buffer = None

    # Signals, timers, what is said

    def _serve(self) -> None:
        self._serve_while_sending()
        if self._signals.roll:
            self._signals.roll = False
            self._hang_up()
        if self._writer.spoilt and not self._finishing:
            self._replace_savefile()
        if self._writer.failure is not None and not self._finishing:
            self._finish()

    def _serve_while_sending(self) -> bool:
        """Serve what touches no buffer; returns whether to go on sending."""
        signals = self._signals
        if signals.finish is not None and not self._finishing:
            self._tell("finishing", "Quitting!", signal=signals.finish.name)
            self._finish()
        if signals.finish_again:
            signals.finish_again = False
            self._tell("finishing_again", "[-] Already quitting: writing what is in memory")
        if signals.statistics:
            signals.statistics = False
            self._say_totals(self.totals())
        now_ns = time.monotonic_ns()
        if now_ns >= self._tick_ns:
            self._tick(now_ns)
        if now_ns >= self._statistics_ns:
            self._schedule_statistics(now_ns)
            self._say_totals(self.totals())
        return signals.finish is None

    def _finish(self) -> None:
        self._finishing = True
        self._source.finish()
        self._writer.give_up_soon()
        self._tell_stopping()

    def _tell_stopping(self) -> None:
        if self._vitals is not None:
            self._vitals.stopping()

    def _hang_up(self) -> None:
        if self._config.filter_file is not None:
            try:
                text = read_filter_file(self._config.filter_file, wait=False)
                self._source.refilter(text)
            except UsageError as error:
                self._tell("filter_kept", f"[!] {error}; the filter stays as it was")
            else:
                said = f"[-] Filter read again from {self._config.filter_file}"
                self._tell("refiltered", said, filter=text)
        self._roll("hangup", "Hangup, rolling over!")
        if self._vitals is not None:
            self._vitals.reloaded()

    def _tick(self, now_ns: int) -> None:
        self._tick_ns = now_ns + TICK_NS
        self._ticks += 1
        dropped = self._source.counters().dropped
        if dropped > self._dropped_said:
            new = dropped - self._dropped_said
            text = f"[!] {new} packets dropped by the kernel ({dropped} in all)"
            self._tell("dropped", text, new=new, total=dropped)
            self._dropped_said = dropped
        if self._watch is not None:
            self._watch.look()
        if self._taps is not None:
            self._taps.look()
        if self._vitals is not None:
            self._vitals.look(self.totals(), self._rollovers)
        if self._ticks % RING_TICKS == 0:
            self._writer.tick()
            self._pool.shrink()
        wall_ns = time.time_ns()
        if self._source.live and self._boundary.begun and wall_ns < self._boundary.at_ns:
            # Unless the clock was set back, this is the boundary it was.
            self._boundary.go_on(wall_ns)

    def _schedule_statistics(self, now_ns: int) -> None:
        interval_ns = int((self._config.stats_interval or 0) * NS_PER_SECOND)
        self._statistics_ns = max(self._statistics_ns + interval_ns, now_ns)

    def _say_totals(self, totals: Totals) -> None:
        taps = [] if self._taps is None else self._taps.totals()
        text = "\n".join([str(totals), *map(str, taps)])
        facts = {"taps": [tap._asdict() for tap in taps]} if taps else {}
        self._tell("statistics", text, **totals._asdict(), **facts)
