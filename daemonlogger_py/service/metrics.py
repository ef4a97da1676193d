"""Metrics (``--metrics``): the figures a recorder shows to Prometheus, and who answers it.

The recorder hands over a function that reads its figures; it is called once a scrape, on a thread
of this module's, so it may only read numbers that lie ready. How they look on the wire and what is
a request is `exposition`'s.

When to call: the constructor before privileges are dropped (the port) and before a chroot (what
is imported), `start` once threads may exist.
"""

import os
import socket
import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from daemonlogger_py.errors import UsageError

if TYPE_CHECKING:
    from daemonlogger_py.service.hooks import HookCounts

LOOPBACK = "127.0.0.1"
# Clients served at once; more wait in the kernel's queue, for as long as these may take.
CLIENTS = 4
BACKLOG = 16
# When the kernel has no descriptor or memory for a connection.
ACCEPT_AGAIN_S = 0.1
CLOSE_S = 2.0


class WriteLatency:
    """How long writes of one buffer took: counts by duration, for one thread that writes."""

    BOUNDS_S = (
        0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
        0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
    )  # fmt: skip
    """Upper bounds, inclusive; the last count is of what took longer than all of them."""

    def __init__(self) -> None:
        self._counts = [0] * (len(self.BOUNDS_S) + 1)
        self._sum_s = 0.0

    def observe(self, seconds: float) -> None:
        """Count one write. Always on the same thread: there is no lock."""
        self._counts[bisect_left(self.BOUNDS_S, seconds)] += 1
        self._sum_s += seconds

    def read(self) -> tuple[list[int], float]:
        """Return the counts, one a bound and one beyond, and the sum (s); on any thread."""
        return self._counts[:], self._sum_s


class TapCounts(NamedTuple):
    """What became of the frames for one output interface."""

    interface: str
    sent: int
    too_large: int
    refused: int
    dropped: int


class RingState(NamedTuple):
    """The savefiles that the ring holds."""

    files: int
    size_bytes: int
    oldest_age_s: float | None  # None when there is none


class VolumeState(NamedTuple):
    """The volume that the log directory is on."""

    total_bytes: int
    free_bytes: int


class Snapshot(NamedTuple):
    """A recorder's figures at one moment; counters are since its start and never wrap."""

    interface: str  # "" when a savefile is read
    interface_up: bool
    started_s: float  # since 1970
    received_packets: int
    kernel_dropped_packets: int
    interface_dropped_packets: int
    lost_packets: int  # by the recorder itself
    written_packets: int
    written_bytes: int
    savefiles: int  # begun
    buffers_used_bytes: int
    buffers_limit_bytes: int
    write_latency: WriteLatency
    rollovers: Mapping[str, int]  # by reason; a reason that can come should be there with 0
    pruned_savefiles: int
    ring: RingState | None = None
    volume: VolumeState | None = None
    taps: tuple[TapCounts, ...] = ()
    hooks: "HookCounts | None" = None


class MetricsServer:
    """Answers ``GET /metrics`` on `host` and `port` (0: any that is free).

    `host` is a name or an address, IPv6 with or without brackets. Raises UsageError when nothing
    can listen there.
    """

    def __init__(self, host: str = LOOPBACK, port: int = 0) -> None:
        # 45 ms and 15 MB for those who ask for it; and a chroot would not have it any more.
        from daemonlogger_py.service import exposition

        self._answer = exposition.answer
        self._exposition = exposition.Exposition(self._snapshot)
        self._listener = _listen(host.removeprefix("[").removesuffix("]"), port)
        self._read: Callable[[], Snapshot] | None = None
        self._closing = threading.Event()
        self._connections: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []

    @property
    def address(self) -> tuple[str, int]:
        """Address and port that it listens on."""
        host, port = self._listener.getsockname()[:2]
        return str(host), int(port)

    def start(self, read: Callable[[], Snapshot]) -> None:
        """Begin to answer. `read` is called for each scrape, on one thread at a time.

        What it raises is the answer to that scrape alone (500).
        """
        self._read = read
        for number in range(CLIENTS):
            thread = threading.Thread(target=self._serve, name=f"metrics-{number}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def close(self) -> None:
        """End, whatever clients are at. May be called twice."""
        self._closing.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # ends accept() in all threads
        for connection in tuple(self._connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        until = time.monotonic() + CLOSE_S
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        self._listener.close()

    def _snapshot(self) -> Snapshot:
        if self._read is None:
            raise RuntimeError("start() was not called")
        return self._read()

    def _serve(self) -> None:
        while not self._closing.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                self._closing.wait(ACCEPT_AGAIN_S)
                continue
            with connection:
                self._connections.add(connection)
                if not self._closing.is_set():
                    with suppress(Exception):  # whatever a client does, the next one is served
                        self._answer(connection, self._exposition)
                self._connections.discard(connection)


def _listen(host: str, port: int) -> socket.socket:
    shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        found = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, _, _, _, address = found[0]
        return socket.create_server(
            (str(address[0]), int(address[1])),
            family=family,
            backlog=BACKLOG,
            dualstack_ipv6=address[0] == "::" and socket.has_dualstack_ipv6(),
        )
    except UnicodeError:  # what no host's name is encoded as
        raise UsageError(f"--metrics {shown}: not a host's name or address") from None
    except socket.gaierror as error:
        raise UsageError(f"--metrics {shown}: {error.strerror}") from None
    except OSError as error:
        # create_server() adds the address to the reason, which is there already.
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise UsageError(f"--metrics {shown}: {reason}") from None
