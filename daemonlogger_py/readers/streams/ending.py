"""What is said at the end of a run, if anything: what was missing, and what a limit cost."""

import os
from collections.abc import Callable, Iterator

from daemonlogger_py.config.streams import StreamsConfig
from daemonlogger_py.flow.engine import Engine
from daemonlogger_py.readers.streams.aftermath import Aftermath
from daemonlogger_py.readers.streams.sinks import Sinks

# tcpflow's warning: both numbers are its own.
MANY_STREAMS = 10_000
MANY_ENTRIES = 10_000


class Ending:
    """The last lines about a run."""

    def __init__(
        self, config: StreamsConfig, engine: Engine, sinks: Sinks, aftermath: Aftermath
    ) -> None:
        self._config = config
        self._engine = engine
        self._sinks = sinks
        self._aftermath = aftermath

    def tell(self, say: Callable[[str], None]) -> None:
        """Give each line to `say`."""
        lines = (
            *self._missing(),
            *self._passed_over(),
            *self._late(),
            *self._limits(),
            *self._created(),
        )
        for line in lines:
            say(line)

    def totals(self) -> Iterator[str]:
        """How much there was, in tcpflow's words, and what was odd about it."""
        counters = self._engine.counters()
        yield f"Total flows processed: {counters.streams}"
        yield f"Total packets processed: {counters.stream_packets}"
        if odd := self._engine.oddities():
            yield f"Odd packets: {', '.join(f'{name} {count}' for name, count in odd.items())}"

    def _missing(self) -> Iterator[str]:
        streams, count = self._sinks.gap_streams, self._sinks.gap_bytes
        if streams:
            hint = "" if self._config.gaps else "; --gaps lists them in the report"
            yield (
                f"{count} bytes are missing in {streams} of {self._engine.counters().streams}"
                f" streams{hint}"
            )

        if self._aftermath.poor_bodies:
            yield (
                f"{self._aftermath.poor_bodies} HTTP bodies are incomplete, guessed or could not be"
                " decoded; the report, and -v, say why"
            )
        if self._aftermath.unread_streams:
            yield (
                f"{self._aftermath.unread_streams} streams of HTTP were not read to their end, or"
                " not all of them; the report, and -v, say why"
            )

    def _passed_over(self) -> Iterator[str]:
        """What printing in order left out, where no store tells what is missing in all."""
        console, ordering = self._config.console, self._sinks.ordering
        if console is None or ordering is None or self._sinks.counts_gaps:
            return
        if ordering.missing_bytes:
            unseen = console.raw and not (console.hex or console.json)
            hint = "" if self._config.gaps or unseen else "; --gaps prints where"
            yield (
                f"{ordering.missing_bytes} bytes in {ordering.holes} holes of the streams were not"
                f" there to be printed in order{hint}"
            )

    def _late(self) -> Iterator[str]:
        ordering = self._sinks.ordering
        if ordering is not None and ordering.late_bytes:
            given_up = (
                f"; {ordering.given_up} gaps were not waited for any longer: too much came behind"
                if ordering.given_up
                else ""
            )
            yield f"{ordering.late_bytes} bytes came too late to be printed in order{given_up}"

    def _created(self) -> Iterator[str]:
        """The warning of tcpflow about a directory that grew large, in one line."""
        if not self._config.store or self._engine.counters().streams <= MANY_STREAMS:
            return
        try:
            with os.scandir(self._config.outdir) as entries:
                count = sum(1 for _ in entries)
        except OSError:  # it may be written to and not be read
            return
        if count >= MANY_ENTRIES:
            yield (
                f"{self._config.outdir} holds {count} entries, which file systems are slow with;"
                " -Fk, -Fm or -Fg put them into directories"
            )

    def _limits(self) -> Iterator[str]:
        counters = self._engine.counters()
        if counters.evicted_flows:
            yield (
                f"{counters.evicted_flows} flows were closed early for --max-flows or --memory:"
                " what came later of them is in further streams"
            )
        cut = sum(
            count for name, count in self._engine.oddities().items() if name.startswith("CUT_")
        )
        if cut:
            yield (
                f"{cut} packets end within their headers, cut by a short snapshot length or"
                " damaged: what they carried is in no stream"
            )
        lost = self._engine.fragments()
        given_up = lost.timed_out + lost.evicted + lost.pending
        if given_up:
            yield f"{given_up} IP datagrams were not put together: fragments of them are missing"
        if lost.overlapped:
            yield f"{lost.overlapped} IPv6 datagrams were left out: fragments of them overlapped"
        if lost.disputed:
            yield (
                f"{lost.disputed} IPv4 fragments contradicted others of their datagrams, and those"
                " that came first were kept: the streams may not be what the receiver read"
            )
        if counters.split_streams:
            yield f"{counters.split_streams} streams were split: too many gaps, or too long"
        if counters.before_syn_bytes:
            yield f"{counters.before_syn_bytes} bytes before the first of a stream were left out"
