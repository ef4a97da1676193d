"""Figures of a recorder that there is not, and a client that reads what is shown of them."""

import http.client
from collections.abc import Iterator
from contextlib import contextmanager

from daemonlogger_py.service.hooks import HookCounts
from daemonlogger_py.service.metrics import (
    MetricsServer,
    RingState,
    Snapshot,
    TapCounts,
    VolumeState,
    WriteLatency,
)

# Beyond 32 bits, and exact as a double.
MANY = (1 << 53) - 1


def snapshot(**changes: object) -> Snapshot:
    """Figures, each with a value of its own, of a recorder that has everything."""
    latency = WriteLatency()
    for seconds in (0.0001, 0.00011, 0.3, 31.0):
        latency.observe(seconds)
    figures = Snapshot(
        interface="le1",
        interface_up=True,
        started_s=1_228_873_098.5,
        received_packets=MANY,
        kernel_dropped_packets=2,
        interface_dropped_packets=3,
        lost_packets=4,
        written_packets=5,
        written_bytes=6,
        savefiles=7,
        buffers_used_bytes=8,
        buffers_limit_bytes=9,
        write_latency=latency,
        rollovers={"size": 10, "time": 0},
        pruned_savefiles=11,
        ring=RingState(files=12, size_bytes=13, oldest_age_s=14.5),
        volume=VolumeState(total_bytes=15, free_bytes=16),
        taps=(TapCounts("vb", 17, 18, 19, 20), TapCounts("vc", 21, 22, 23, 24)),
        hooks=HookCounts(25, 26, 27),
    )
    return figures._replace(**changes)  # type: ignore[arg-type]


@contextmanager
def connection(server: MetricsServer) -> Iterator[http.client.HTTPConnection]:
    """A client of `server`."""
    host, port = server.address
    client = http.client.HTTPConnection(host, port, timeout=60)
    try:
        yield client
    finally:
        client.close()


def get(
    server: MetricsServer, path: str = "/metrics", method: str = "GET", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of what a client gets."""
    with connection(server) as client:
        client.request(method, path, headers=headers)
        response = client.getresponse()
        return response.status, dict(response.getheaders()), response.read()
