"""A recorder's figures as Prometheus reads them, and the one request that is answered with them.

The text and which of its forms a client gets is prometheus-client's; names, units and help are
here. Who may connect and when is `metrics`', which imports this only for recorders that are asked
for metrics: the imports cost more than the rest of a start.
"""

import io
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from http import HTTPStatus
from http.client import HTTPException, LineTooLong
from http.server import BaseHTTPRequestHandler
from socketserver import BaseServer
from typing import Any, cast

from prometheus_client import CollectorRegistry, ProcessCollector, make_wsgi_app
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from daemonlogger_py import __version__
from daemonlogger_py.service.metrics import Snapshot

# A client has this long for everything; Prometheus itself gives up after 10 s.
DEADLINE_S = 5.0
REQUEST_BYTES = 16 * 1024
PATH = "/metrics"

_Value = int | float


class Exposition:
    """The page for `read`, which is called for each, never on two threads at once."""

    def __init__(self, read: Callable[[], Snapshot]) -> None:
        registry = CollectorRegistry()
        registry.register(_Figures(read))
        # Memory, descriptors and CPU time of the recorder. It reads once now what a sandbox
        # refuses later.
        ProcessCollector(registry=registry)
        # Compressing costs more than sending these few kilobytes.
        self._app = make_wsgi_app(registry, disable_compression=True)
        self._one_at_a_time = threading.Lock()

    def page(self, accept: str) -> tuple[list[tuple[str, str]], bytes]:
        """Return headers and body in the form that an Accept header asks for.

        Raises what `read` raises.
        """
        headers: list[tuple[str, str]] = []

        def start_response(_status: str, said: list[tuple[str, str]]) -> None:
            headers.extend(said)

        environ = {"REQUEST_METHOD": "GET", "PATH_INFO": PATH, "HTTP_ACCEPT": accept}
        with self._one_at_a_time:
            body = b"".join(self._app(environ, start_response))
        return headers, body


def answer(connection: socket.socket, exposition: Exposition) -> None:
    """Answer the one request that a client may make, within DEADLINE_S; the caller closes."""
    _Request(connection, exposition)


class _Request(BaseHTTPRequestHandler):
    """One request; bounded in time and size, as anybody may connect."""

    def __init__(self, connection: socket.socket, exposition: Exposition) -> None:
        self._exposition = exposition
        self._deadline = time.monotonic() + DEADLINE_S
        # The server, which accepts connections in another way, is of no use to the handler.
        super().__init__(connection, ("", 0), cast(BaseServer, None))

    def setup(self) -> None:
        """Read through the bounds."""
        super().setup()
        self.rfile.close()
        self.rfile = io.BufferedReader(_Bounded(self.connection, self._deadline))

    def handle(self) -> None:
        """Answer; a request line beyond all bounds too."""
        try:
            super().handle()
        except HTTPException:
            self.requestline = self.command = self.request_version = ""
            self._in_time()
            self.send_error(HTTPStatus.REQUEST_URI_TOO_LONG)

    def do_GET(self) -> None:
        """Answer with the page, of which a HEAD request gets the headers."""
        self._in_time()
        if self.path.partition("?")[0] != PATH:
            self.send_error(HTTPStatus.NOT_FOUND, explain=f"There is {PATH}, and nothing else.")
            return
        try:
            headers, body = self._exposition.page(self.headers.get("Accept", ""))
        except Exception as error:  # of the recorder's figures: this scrape fails, nothing else
            text = f"The figures cannot be read: {type(error).__name__}."
            self.send_error(HTTPStatus.INTERNAL_SERVER_ERROR, explain=text)
            return
        self._in_time()
        self.send_response(HTTPStatus.OK)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_POST(self) -> None:
        """Refuse; what HTTP does not know either is 501."""
        self._in_time()
        self.send_response(HTTPStatus.METHOD_NOT_ALLOWED)
        self.send_header("Allow", "GET, HEAD")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET  # noqa: N815
    do_PUT = do_DELETE = do_PATCH = do_OPTIONS = do_POST  # noqa: N815

    def version_string(self) -> str:
        """Name no versions to whoever asks."""
        return "daemonlogger"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing: requests are no news."""

    def _in_time(self) -> None:
        """Let what is sent next take what is left of the time, and no more."""
        self.connection.settimeout(max(0.01, self._deadline - time.monotonic()))


class _Bounded(io.RawIOBase):
    """What a client sends, until the deadline and up to REQUEST_BYTES; LineTooLong beyond."""

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self._connection = connection
        self._deadline = deadline
        self._left_bytes = REQUEST_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # a writable buffer; no type says so before 3.12
        ahead_s = self._deadline - time.monotonic()
        if ahead_s <= 0:
            raise TimeoutError
        if self._left_bytes <= 0:
            raise LineTooLong("request")
        self._connection.settimeout(ahead_s)
        with memoryview(buffer) as view, view[: self._left_bytes] as room:
            received = self._connection.recv_into(room)
        self._left_bytes -= received
        return received


class _Figures(Collector):
    """The metric families of one snapshot."""

    def __init__(self, read: Callable[[], Snapshot]) -> None:
        self._read = read

    def collect(self) -> Iterable[Metric]:
        """Read the figures once, and yield all families of them."""
        snapshot = self._read()
        yield InfoMetricFamily("daemonlogger_build", "Version.", value={"version": __version__})
        yield from _packets(snapshot)
        yield from _memory(snapshot)
        yield from _savefiles(snapshot)
        yield _write_seconds(snapshot)
        if snapshot.taps:
            yield _taps(snapshot)
        if snapshot.hooks is not None:
            done, failed, skipped = snapshot.hooks
            yield _counters(
                snapshot,
                "hooks",
                "Savefiles by what became of their --on-roll command.",
                "outcome",
                {"done": done, "failed": failed, "skipped": skipped},
            )


def _packets(snapshot: Snapshot) -> Iterator[Metric]:
    yield _gauge(
        snapshot, "interface_up", "Whether the interface is there and up.", snapshot.interface_up
    )
    yield _gauge(
        snapshot,
        "start_time_seconds",
        "When the recording began, since 1970.",
        snapshot.started_s,
        "seconds",
    )
    yield _counter(
        snapshot, "received_packets", "Packets that passed the filter.", snapshot.received_packets
    )
    yield _counters(
        snapshot,
        "dropped_packets",
        "Packets that went missing, by who dropped them.",
        "by",
        {
            "kernel": snapshot.kernel_dropped_packets,
            "interface": snapshot.interface_dropped_packets,
            "daemonlogger": snapshot.lost_packets,
        },
    )
    yield _counter(
        snapshot, "written_packets", "Packets written to savefiles.", snapshot.written_packets
    )
    yield _counter(
        snapshot,
        "written_bytes",
        "Bytes written to savefiles, headers included.",
        snapshot.written_bytes,
        "bytes",
    )


def _memory(snapshot: Snapshot) -> Iterator[Metric]:
    yield _gauge(
        snapshot,
        "buffers_used_bytes",
        "Memory in buffers that are filled or wait for the disk.",
        snapshot.buffers_used_bytes,
        "bytes",
    )
    yield _gauge(
        snapshot,
        "buffers_limit_bytes",
        "Memory that may wait for the disk before packets are dropped (--buffer-memory).",
        snapshot.buffers_limit_bytes,
        "bytes",
    )


def _savefiles(snapshot: Snapshot) -> Iterator[Metric]:
    yield _counter(snapshot, "savefiles", "Savefiles begun.", snapshot.savefiles)
    yield _counters(
        snapshot, "rollovers", "Roll-overs by their reason.", "reason", snapshot.rollovers
    )
    yield _counter(
        snapshot,
        "pruned_savefiles",
        "Savefiles deleted or archived by the ring.",
        snapshot.pruned_savefiles,
    )
    if snapshot.ring is not None:
        files, size_bytes, age_s = snapshot.ring
        yield _gauge(snapshot, "ring_files", "Savefiles in the ring.", files)
        yield _gauge(snapshot, "ring_bytes", "Size of the ring's savefiles.", size_bytes, "bytes")
        if age_s is not None:
            text = "Age of the oldest savefile in the ring."
            yield _gauge(snapshot, "ring_age_seconds", text, age_s, "seconds")
    if snapshot.volume is not None:
        total_bytes, free_bytes = snapshot.volume
        text = "Size of the volume that the log directory is on."
        yield _gauge(snapshot, "volume_size_bytes", text, total_bytes, "bytes")
        text = "Free space of the volume that the log directory is on."
        yield _gauge(snapshot, "volume_free_bytes", text, free_bytes, "bytes")


def _write_seconds(snapshot: Snapshot) -> Metric:
    latency = snapshot.write_latency
    counts, sum_s = latency.read()
    buckets: list[tuple[str, float]] = []
    below = 0
    bounds = (*map(repr, latency.BOUNDS_S), "+Inf")
    for bound, count in zip(bounds, counts, strict=True):
        below += count
        buckets.append((bound, below))
    family = HistogramMetricFamily(
        "daemonlogger_write_seconds",
        "How long writing one buffer took, waiting for room included.",
        labels=["interface"],
        unit="seconds",
    )
    family.add_metric([snapshot.interface], buckets, sum_s)
    return family


def _taps(snapshot: Snapshot) -> Metric:
    family = CounterMetricFamily(
        "daemonlogger_tap_packets",
        "Packets for the soft tap's output interface, by what became of them.",
        labels=["interface", "output", "outcome"],
    )
    for tap in snapshot.taps:
        for outcome in ("sent", "too_large", "refused", "dropped"):
            labels = [snapshot.interface, tap.interface, outcome]
            family.add_metric(labels, getattr(tap, outcome))
    return family


def _gauge(snapshot: Snapshot, name: str, text: str, value: _Value, unit: str = "") -> Metric:
    family = GaugeMetricFamily(f"daemonlogger_{name}", text, labels=["interface"], unit=unit)
    family.add_metric([snapshot.interface], value)
    return family


def _counter(snapshot: Snapshot, name: str, text: str, value: int, unit: str = "") -> Metric:
    family = CounterMetricFamily(f"daemonlogger_{name}", text, labels=["interface"], unit=unit)
    family.add_metric([snapshot.interface], value)
    return family


def _counters(
    snapshot: Snapshot, name: str, text: str, label: str, values: Mapping[str, int]
) -> Metric:
    family = CounterMetricFamily(f"daemonlogger_{name}", text, labels=["interface", label])
    for label_value, value in values.items():
        family.add_metric([snapshot.interface, label_value], value)
    return family
