"""What Prometheus reads: names, types, units, values, and the requests that are answered."""

import os
import socket
from collections.abc import Callable, Iterator

import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from daemonlogger_py import __version__
from daemonlogger_py.service import exposition
from daemonlogger_py.service.exposition import Exposition
from daemonlogger_py.service.metrics import MetricsServer, Snapshot

from .figures import MANY, get, snapshot

Families = dict[str, Metric]


def families(**changes: object) -> Families:
    _, body = Exposition(lambda: snapshot(**changes)).page("")
    return {family.name: family for family in text_string_to_metric_families(body.decode())}


def values(family: Metric, label: str = "") -> dict[str, float]:
    """Values of a family's samples by one of their labels."""
    return {sample.labels.get(label, ""): sample.value for sample in family.samples}


@pytest.fixture
def server() -> Iterator[MetricsServer]:
    server = MetricsServer()
    server.start(snapshot)
    yield server
    server.close()


@pytest.mark.parametrize(
    ("name", "kind", "value"),
    [
        ("interface_up", "gauge", 1),
        ("start_time_seconds", "gauge", 1_228_873_098.5),
        ("received_packets", "counter", MANY),
        ("written_packets", "counter", 5),
        ("written_bytes", "counter", 6),
        ("savefiles", "counter", 7),
        ("buffers_used_bytes", "gauge", 8),
        ("buffers_limit_bytes", "gauge", 9),
        ("pruned_savefiles", "counter", 11),
        ("ring_files", "gauge", 12),
        ("ring_bytes", "gauge", 13),
        ("ring_age_seconds", "gauge", 14.5),
        ("volume_size_bytes", "gauge", 15),
        ("volume_free_bytes", "gauge", 16),
    ],
)
def test_each_figure_is_there_with_its_type_and_interface(
    name: str, kind: str, value: float
) -> None:
    family = families()[f"daemonlogger_{name}"]

    (sample,) = family.samples
    assert (family.type, sample.value) == (kind, value)
    assert sample.labels == {"interface": "le1"}
    assert sample.name == family.name + ("_total" if kind == "counter" else "")


@pytest.mark.parametrize(
    ("name", "label", "expected"),
    [
        ("dropped_packets", "by", {"kernel": 2, "interface": 3, "daemonlogger": 4}),
        ("rollovers", "reason", {"size": 10, "time": 0}),
        ("hooks", "outcome", {"done": 25, "failed": 26, "skipped": 27}),
    ],
)
def test_counters_of_a_kind_are_one_family(name: str, label: str, expected: dict[str, int]) -> None:
    family = families()[f"daemonlogger_{name}"]

    assert family.type == "counter"
    assert values(family, label) == expected
    assert {sample.labels["interface"] for sample in family.samples} == {"le1"}


def test_taps_are_told_apart() -> None:
    samples = families()["daemonlogger_tap_packets"].samples
    found = {
        (sample.labels["output"], sample.labels["outcome"]): sample.value for sample in samples
    }

    outcomes = ("sent", "too_large", "refused", "dropped")
    assert found == {
        **{("vb", outcome): 17 + at for at, outcome in enumerate(outcomes)},
        **{("vc", outcome): 21 + at for at, outcome in enumerate(outcomes)},
    }


def test_the_latency_is_a_cumulative_histogram() -> None:
    family = families()["daemonlogger_write_seconds"]
    buckets = {
        sample.labels["le"]: sample.value
        for sample in family.samples
        if sample.name.endswith("_bucket")
    }
    rest = {sample.name: sample.value for sample in family.samples if "le" not in sample.labels}

    assert family.type == "histogram"
    assert buckets["0.0001"] == 1  # a bound belongs to its bucket
    assert (buckets["0.00025"], buckets["0.25"], buckets["0.5"]) == (2, 2, 3)
    assert (buckets["30.0"], buckets["+Inf"]) == (3, 4)
    assert rest["daemonlogger_write_seconds_count"] == 4
    assert rest["daemonlogger_write_seconds_sum"] == pytest.approx(31.30021)


def test_what_a_recorder_does_not_have_is_not_shown() -> None:
    found = families(ring=None, volume=None, taps=(), hooks=None)

    absent = ("ring_files", "volume_free_bytes", "tap_packets", "hooks")
    assert [name for name in absent if f"daemonlogger_{name}" in found] == []


def test_an_empty_ring_has_no_age() -> None:
    found = families(ring=snapshot().ring._replace(oldest_age_s=None))  # type: ignore[union-attr]

    assert "daemonlogger_ring_files" in found
    assert "daemonlogger_ring_age_seconds" not in found


def test_the_version_and_the_process_are_shown() -> None:
    found = families()

    (build,) = found["daemonlogger_build_info"].samples
    assert build.labels == {"version": __version__}
    (memory,) = found["process_resident_memory_bytes"].samples
    assert memory.value > 0
    (descriptors,) = found["process_open_fds"].samples
    assert descriptors.value > 0


def test_every_family_is_explained_and_follows_the_conventions() -> None:
    for family in families().values():
        assert family.documentation.endswith((".", ")."))
        for sample in family.samples:
            assert (family.type == "counter") == sample.name.endswith("_total")


def test_a_label_may_hold_anything() -> None:
    odd = 'a"b\\c\nd'
    family = families(interface=odd)["daemonlogger_received_packets"]

    assert family.samples[0].labels == {"interface": odd}


# Requests


def test_a_client_gets_the_form_it_asks_for(server: MetricsServer) -> None:
    status, headers, body = get(server)
    assert status == 200
    assert headers["Content-Type"].startswith("text/plain; version=")
    assert int(headers["Content-Length"]) == len(body)

    status, headers, body = get(server, Accept="application/openmetrics-text; version=1.0.0")
    assert status == 200
    assert headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    found = {family.name: family for family in openmetrics.text_string_to_metric_families(
        body.decode())}  # fmt: skip
    assert found["daemonlogger_written_bytes"].unit == "bytes"
    assert found["daemonlogger_received_packets"].samples[0].value == MANY


@pytest.mark.parametrize("path", ["/metrics", "/metrics?name[]=x"])
def test_head_is_get_without_a_body(server: MetricsServer, path: str) -> None:
    status, headers, body = get(server, path, "HEAD")

    assert (status, body) == (200, b"")
    assert int(headers["Content-Length"]) > 1000


@pytest.mark.parametrize("path", ["/", "/metrics/", "/metricsx", "/../metrics", "x"])
def test_there_is_nothing_else(server: MetricsServer, path: str) -> None:
    assert get(server, path)[0] == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_nothing_can_be_done_but_read(server: MetricsServer, method: str) -> None:
    status, headers, _ = get(server, method=method)

    assert (status, headers["Allow"]) == (405, "GET, HEAD")


def test_a_method_that_nobody_knows_is_not_implemented(server: MetricsServer) -> None:
    assert get(server, method="BREW")[0] == 501


def test_no_version_is_given_away(server: MetricsServer) -> None:
    assert get(server)[1]["Server"] == "daemonlogger"


def test_figures_that_cannot_be_read_fail_one_scrape() -> None:
    readings = iter([RuntimeError("torn"), snapshot()])

    def read() -> Snapshot:
        reading = next(readings)
        if isinstance(reading, Exception):
            raise reading
        return reading

    server = MetricsServer()
    server.start(read)
    try:
        status, _, body = get(server)
        assert status == 500
        assert b"RuntimeError" in body
        assert b"torn" not in body
        assert get(server)[0] == 200
    finally:
        server.close()


# Bounds: one end of a socket pair is the client, so nothing here takes time.


def exchanged(request: bytes, close: Callable[[socket.socket], None] = lambda _: None) -> bytes:
    """What a client gets that sends this and no more, and then does `close`."""
    client, theirs = socket.socketpair()
    with client, theirs:
        client.setblocking(False)
        sent = 0
        while sent < len(request):
            sent += client.send(request[sent:])
        close(client)
        exposition.answer(theirs, Exposition(snapshot))
        theirs.shutdown(socket.SHUT_WR)
        client.setblocking(True)
        answer = b""
        while received := client.recv(1 << 16):
            answer += received
        return answer


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /" + b"x" * 20_000 + b" HTTP/1.0\r\n\r\n", b"414"),
        (b"x" * 20_000, b"414"),
        (b"GET /metrics HTTP/1.0\r\nX: " + b"x" * 20_000 + b"\r\n\r\n", b"431"),
        (b"GET /metrics HTTP/1.0\r\n" + b"X: y\r\n" * 200 + b"\r\n", b"431"),
        (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", b"400"),
        (b"GET /metrics HTTP/9.9\r\n\r\n", b"505"),
    ],
)
def test_a_request_beyond_the_bounds_is_refused(request_bytes: bytes, status: bytes) -> None:
    assert status in exchanged(request_bytes).partition(b"\r\n")[0]


def test_a_request_of_the_largest_size_is_answered() -> None:
    head = b"GET /metrics HTTP/1.0\r\nX: "
    request = head + b"x" * (exposition.REQUEST_BYTES - len(head) - 4) + b"\r\n\r\n"

    assert b" 200 " in exchanged(request).partition(b"\r\n")[0]


@pytest.mark.parametrize("request_bytes", [b"", b"GET /metr", b"GET /metrics HTTP/1.0\r\nX: y"])
def test_a_client_that_says_no_more_is_given_up(
    monkeypatch: pytest.MonkeyPatch, request_bytes: bytes
) -> None:
    monkeypatch.setattr(exposition, "DEADLINE_S", 0.05)

    assert b" 200 " not in exchanged(request_bytes)


def test_a_client_that_trickles_does_not_earn_more_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exposition, "DEADLINE_S", 0.05)
    reads = []

    class Trickling(socket.socket):
        def recv_into(self, buffer: memoryview, *_: object) -> int:  # type: ignore[override]
            reads.append(self.gettimeout())
            buffer[:1] = b"x"
            return 1

    client, theirs = socket.socketpair()
    with client, Trickling(fileno=theirs.detach()) as trickling:
        exposition.answer(trickling, Exposition(snapshot))
    timeouts = [timeout for timeout in reads if timeout is not None]
    assert len(timeouts) == len(reads)
    assert timeouts == sorted(timeouts, reverse=True)
    assert max(timeouts) <= 0.05


def test_a_client_that_goes_away_is_nobodys_trouble() -> None:
    client, theirs = socket.socketpair()
    with theirs:
        client.send(b"GET /metrics HTTP/1.0\r\n\r\n")
        client.close()
        with pytest.raises(BrokenPipeError):  # which the server passes over
            exposition.answer(theirs, Exposition(snapshot))


def test_the_page_is_of_the_process_that_shows_it() -> None:
    (descriptors,) = families()["process_open_fds"].samples
    count = len(os.listdir("/proc/self/fd"))

    assert abs(descriptors.value - count) <= 1  # the listing's own
