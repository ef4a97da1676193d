"""What is made of streams once they are closed: rows of the report, JSON, and post-processing.

As long as only rows are wanted they are made in one go for a whole batch, without an object for
each stream. Order is that of the packets throughout, also of what other processes find out.
"""

import os
from typing import TYPE_CHECKING

from daemonlogger_py.config.streams import StreamsConfig
from daemonlogger_py.readers.inputs.stopping import Stopping
from daemonlogger_py.readers.streams import destination
from daemonlogger_py.readers.streams.batch import Batch
from daemonlogger_py.readers.streams.facts import ClosedStream, Finished
from daemonlogger_py.readers.streams.teller import Teller

if TYPE_CHECKING:
    from daemonlogger_py.readers.streams.commands import Alerts, Commands
    from daemonlogger_py.readers.streams.outlet import Outlet
    from daemonlogger_py.readers.streams.post import Processor
    from daemonlogger_py.readers.streams.report import Report


class Aftermath:
    """Takes the batches of a run that are done, in order; use it as `harvest`, ..., `finish`.

    Makes its processes when it is made, so that has to be before there are threads. `report` may
    be None. `teller` gets lines about what failed and, in detail, about what was found to be wrong
    in the packets. Once `stopping` is requested nothing waits for commands but `finish`, and that
    not for long. `failures` counts streams whose files could not be read or whose results not
    written, `poor_bodies` HTTP bodies that are incomplete, guessed or could not be decoded,
    `unread_streams` those of HTTP from which something is missing beyond that.
    """

    def __init__(
        self,
        config: StreamsConfig,
        outdir_fd: int | None,
        report: "Report | None",
        teller: Teller,
        stopping: Stopping,
    ) -> None:
        self.failures = 0
        self.poor_bodies = 0
        self.unread_streams = 0
        self._config = config
        self._report = report
        self._tell = teller.tell
        self._detail = teller.detail
        self._tells_streams = teller.tells_streams
        self._stopping = stopping
        self._prefix = destination.prefix_of(config.outdir)
        self._processor = _new_processor(config, outdir_fd, stopping)
        self._tcp_command, self._tcp_alerts = self._runners(config.tcp_command, config.tcp_alert_fd)
        self._http_command, self._http_alerts = self._runners(
            config.http_command, config.http_alert_fd
        )
        self._json = self._new_json()
        self._rows_only = self._processor is None and not (
            self._json or self._tcp_command or self._tcp_alerts or self._tells_streams
        )

    def harvest(self, batch: Batch) -> None:
        """Make of the streams closed in `batch` what was asked for. Raises StorageError."""
        prefix = os.fsencode(self._prefix)
        if self._rows_only:
            if self._report is not None:
                told = self._config.report_streams
                self._report.append(batch.rows(prefix, self._config.gaps) if told else b"")
            return
        if self._tcp_alerts is not None:
            for name in batch.created():
                self._tcp_alerts.opened(self._prefix + name)
        for closed in batch.facts(prefix, self._config.gaps):
            if self._processor is None:
                self._take(Finished(closed))
            else:
                self._processor.submit(closed)
        self.look_after()

    def look_after(self) -> None:
        """Take what was found out meanwhile, and see to what runs or waits. Raises StorageError.

        `harvest` does this too; it is to be called where no batch comes for long.
        """
        if self._processor is not None:
            for finished in self._processor.results():
                self._take(finished)
        if self._report is not None:
            self._report.append()
        for commands in (self._tcp_command, self._http_command):
            if commands is not None:
                commands.look_after()

    def finish(self) -> None:
        """Wait for what is still being made, and take it. Raises StorageError."""
        if self._processor is not None:
            for finished in self._processor.finish():
                self._take(finished)
            if given_up := self._processor.given_up:
                self._tell(f"{given_up} streams were not processed: no time was left for them")
                self.failures += given_up
        self._finish_commands()

    def _finish_commands(self) -> None:
        present = [one for one in (self._tcp_command, self._http_command) if one is not None]
        if not present:
            return
        from daemonlogger_py.readers.streams.commands import Patience

        patience = Patience(lambda: self._stopping.requested)
        for commands in present:
            commands.finish(patience.is_over)
            self.failures += commands.failed

    def close(self) -> None:
        """End the processes, whatever they do; may be called twice."""
        if self._processor is not None:
            self._processor.close()
        for alerts in (self._tcp_alerts, self._http_alerts):
            if alerts is not None:
                alerts.close()

    def _take(self, finished: Finished) -> None:
        self.failures += finished.failed
        self.unread_streams += bool(finished.unread)
        if self._tells_streams:
            closed = finished.closed
            self._detail(
                f"{self._prefix}{_called(closed)}: closed ({closed.why}), {closed.packets} packets,"
                f" {closed.stream_bytes} bytes"
            )
        for note in finished.notes:
            if finished.failed:
                self._tell(note)
            else:
                self._detail(f"{self._prefix}{_called(finished.closed)}: {note}")
        # What was decoded of one and what was sent are two files of the same.
        self.poor_bodies += len({body.file_offset for body in finished.bodies if body.problems})
        for body in finished.bodies:
            for problem in body.problems:
                self._detail(f"{self._prefix}{body.filename}: {problem}")
        if finished.plugin is not None and finished.plugin.problem:
            self._tell(f"{_called(finished.closed)}: -e python: {finished.plugin.problem}")
        if finished.closed.name is not None:
            self._announce(finished.closed.name, self._tcp_command, self._tcp_alerts)
        for body in finished.bodies:
            if self._http_alerts is not None:
                self._http_alerts.opened(self._prefix + body.filename)
            self._announce(body.filename, self._http_command, self._http_alerts)
        if self._json is not None:
            from daemonlogger_py.readers.streams.lines import line

            self._json.put(line(finished, self._prefix))
        if self._report is not None and self._config.report_streams:
            from daemonlogger_py.readers.streams.report import finished_row

            self._report.append(finished_row(finished, self._prefix, self._config.plugin))

    def _announce(self, name: str, commands: "Commands | None", alerts: "Alerts | None") -> None:
        path = self._prefix + name
        if alerts is not None:
            alerts.closed(path)
        if commands is not None:
            commands.run(path, lambda: self._stopping.requested)

    def _runners(
        self, command: tuple[str, ...], alert_fd: int | None
    ) -> "tuple[Commands | None, Alerts | None]":
        if not command and alert_fd is None:
            return None, None
        from daemonlogger_py.readers.streams.commands import Alerts, Commands

        return (
            Commands(command, self._tell) if command else None,
            None if alert_fd is None else Alerts(alert_fd, self._tell, self._stopping),
        )

    def _new_json(self) -> "Outlet | None":
        if not self._config.json:
            return None
        from daemonlogger_py.readers.streams.outlet import Outlet

        return Outlet(destination.STANDARD_OUTPUT, stopping=self._stopping)


def _new_processor(
    config: StreamsConfig, outdir_fd: int | None, stopping: Stopping
) -> "Processor | None":
    if outdir_fd is None or not (config.md5 or config.http or config.plugin is not None):
        return None
    from daemonlogger_py.readers.streams.post import Processor

    return Processor(config, outdir_fd, stopping=lambda: stopping.requested)


def _called(closed: ClosedStream) -> str:
    return closed.name or (
        f"{closed.source}.{closed.source_port}-{closed.destination}.{closed.destination_port}"
    )
