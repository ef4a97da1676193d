"""How the recording goes, for those who watch it: systemd, its watchdog, Prometheus, the catalog.

The loop reports once a second; whoever asks in between gets what was reported last. Nothing here
waits: not for the disk, which is looked at on the thread of who asks, and not for a reader.
"""

import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from daemonlogger_py.record.buffers import BufferPool
from daemonlogger_py.record.opening import Opened
from daemonlogger_py.record.totals import Totals
from daemonlogger_py.record.writer import Writer

if TYPE_CHECKING:
    from daemonlogger_py.record.chronicle import Chronicle
    from daemonlogger_py.record.figures import Figures
    from daemonlogger_py.record.nowriter import NoWriter
    from daemonlogger_py.record.surroundings import Surroundings
    from daemonlogger_py.record.watch import InterfaceWatch
    from daemonlogger_py.service.metrics import RingState, Snapshot, VolumeState, WriteLatency


class Vitals:
    """Tells how the recording of `ready` goes, whose buffers are `pool`'s.

    `around` and `chronicle` are told.
    """

    def __init__(
        self,
        ready: Opened,
        around: "Surroundings",
        pool: BufferPool,
        chronicle: "Chronicle | None" = None,
    ) -> None:
        self._chronicle = chronicle
        self._ready = ready
        self._around = around
        self._pool = pool
        self._writer: Writer | NoWriter | None = None
        self._watch: InterfaceWatch | None = None
        self._started_s = time.time()
        self._seen: tuple[Totals, Mapping[str, int]] | None = None
        self._received_before = 0
        self._written_before = -1
        self._looked_at = time.monotonic()
        self._fed_at = float("-inf")
        self._stopping = False
        self._latency: WriteLatency | None = None
        if around.metrics is not None:
            from daemonlogger_py.service.metrics import WriteLatency as Latency

            self._latency = Latency()

    def of(self, writer: "Writer | NoWriter", watch: "InterfaceWatch | None") -> None:
        """Say whose vitals these are."""
        self._writer = writer
        self._watch = watch

    def on_written(self, seconds: float) -> None:
        """Count how long a write took; on the writer's thread."""
        if self._latency is not None:
            self._latency.observe(seconds)

    def started(self, totals: Totals, rollovers: Mapping[str, int]) -> None:
        """Recording has begun: tell those who wait for it."""
        self._seen = totals, rollovers
        if self._around.metrics is not None:
            self._around.metrics.start(self._snapshot)
        if self._around.notifier is not None:
            self._around.notifier.ready("Recording")
        if self._around.detached is not None:
            self._around.detached.ready()

    def look(self, totals: Totals, rollovers: Mapping[str, int]) -> None:
        """Note the figures of this second, and pass them on."""
        now = time.monotonic()
        rate = (totals.received - self._received_before) / max(1e-9, now - self._looked_at)
        self._received_before, self._looked_at = totals.received, now
        self._seen = totals, rollovers
        if self._chronicle is not None:
            all_written = self._writer is not None and not self._writer.busy
            self._chronicle.look(self._figures(totals)._asdict(), all_written=all_written)
        notifier = self._around.notifier
        if notifier is None:
            return
        if not self._stopping:
            notifier.status(
                f"{totals.received} packets, {rate:.0f}/s, {totals.dropped} dropped, "
                f"{self._where()}"
            )
        interval_s = notifier.watchdog_interval_s
        if interval_s is not None and self._progressing(totals) and now >= self._fed_at:
            notifier.watchdog()
            # Looks are not exact: one that comes a little early must not wait for the next.
            self._fed_at = now + 0.9 * interval_s

    def reloaded(self) -> None:
        """The filter file was read again."""
        if self._around.notifier is not None and not self._stopping:
            self._around.notifier.reloading()
            self._around.notifier.ready()

    def stopping(self) -> None:
        """The end has begun; it may take until all buffers are on the disk."""
        if self._stopping:
            return
        self._stopping = True
        if self._around.notifier is not None:
            self._around.notifier.stopping("Writing what is in memory")

    def _where(self) -> str:
        if self._watch is not None and not self._watch.up:
            return "the interface is down"
        path = None if self._writer is None else self._writer.current_path
        return f"into {path}" if path else "no savefile"

    def _progressing(self, totals: Totals) -> bool:
        """Whether what was captured reaches the disk: none waits, or some more did."""
        before, self._written_before = self._written_before, totals.size_bytes
        return self._writer is None or not self._writer.busy or totals.size_bytes != before

    def _figures(self, totals: Totals) -> "Figures":
        from daemonlogger_py.record.figures import Figures

        log_dir, writer, pool = self._ready.log_dir, self._writer, self._pool
        assert log_dir is not None and writer is not None  # noqa: PT018, S101
        path = writer.current_path
        files = size_bytes = oldest_ns = None
        pinned_bytes = pinned_open_bytes = 0
        if log_dir.keeper is not None:
            state = log_dir.keeper.state
            files, size_bytes = state.files, state.size_bytes
            pinned_bytes, pinned_open_bytes = state.pinned_bytes, state.pinned_open_bytes
            if state.oldest_epoch is not None:
                oldest_ns = state.oldest_epoch * 1_000_000_000
        return Figures(
            interface_up=self._watch is None or self._watch.up,
            received=totals.received,
            dropped=totals.dropped,
            if_dropped=totals.if_dropped,
            lost=totals.lost,
            written=totals.written,
            written_bytes=totals.size_bytes,
            buffers_used_bytes=pool.used * pool.buffer_bytes,
            buffers_limit_bytes=pool.limit * pool.buffer_bytes,
            savefile=None if path is None else os.path.basename(path),
            savefile_bytes=writer.current_bytes,
            ring_files=files,
            ring_bytes=size_bytes,
            oldest_ns=oldest_ns,
            pinned_bytes=pinned_bytes,
            pinned_open_bytes=pinned_open_bytes,
        )

    def _snapshot(self) -> "Snapshot":
        from daemonlogger_py.service.metrics import Snapshot, TapCounts

        assert self._seen is not None and self._latency is not None  # noqa: PT018, S101
        totals, rollovers = self._seen
        ready, pool = self._ready, self._pool
        keeper = None if ready.log_dir is None else ready.log_dir.keeper
        return Snapshot(
            interface=ready.config.interface or "",
            interface_up=self._watch is None or self._watch.up,
            started_s=self._started_s,
            received_packets=totals.received,
            kernel_dropped_packets=totals.dropped,
            interface_dropped_packets=totals.if_dropped,
            lost_packets=totals.lost,
            written_packets=totals.written,
            written_bytes=totals.size_bytes,
            savefiles=totals.files,
            buffers_used_bytes=pool.used * pool.buffer_bytes,
            buffers_limit_bytes=pool.limit * pool.buffer_bytes,
            write_latency=self._latency,
            rollovers=dict(rollovers),
            pruned_savefiles=0 if keeper is None else keeper.pruned,
            ring=self._ring(),
            volume=self._volume(),
            taps=tuple(
                TapCounts(t.interface, t.sent, t.too_large, t.refused, t.dropped + t.missed)
                for t in ([] if ready.taps is None else ready.taps.totals())
            ),
            hooks=None if self._around.hooks is None else self._around.hooks.counts,
        )

    def _ring(self) -> "RingState | None":
        log_dir = self._ready.log_dir
        if log_dir is None or log_dir.keeper is None:
            return None
        from daemonlogger_py.service.metrics import RingState

        state = log_dir.keeper.state
        age_s = None
        if state.oldest_ns is not None:
            age_s = max(0.0, time.time() - state.oldest_ns / 1e9)
        return RingState(state.files, state.size_bytes, age_s)

    def _volume(self) -> "VolumeState | None":
        if self._ready.log_dir is None:
            return None
        from daemonlogger_py.record.keeper import look_at_volume
        from daemonlogger_py.service.metrics import VolumeState

        volume = look_at_volume(self._ready.log_dir.fd)
        return VolumeState(volume.total_bytes, volume.free_bytes)
