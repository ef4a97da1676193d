"""The figures' own arithmetic, and the server: where it listens, whom it serves, how it ends."""

import os
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from daemonlogger_py.errors import UsageError
from daemonlogger_py.service.metrics import CLIENTS, MetricsServer, Snapshot, WriteLatency

from .figures import get, snapshot


@pytest.fixture
def server() -> Iterator[MetricsServer]:
    server = MetricsServer()
    yield server
    server.close()


def ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("metrics-")]


# Latency


def test_each_write_is_in_the_bucket_of_its_bound() -> None:
    latency = WriteLatency()
    for bound in latency.BOUNDS_S:
        latency.observe(bound)

    counts, sum_s = latency.read()
    assert counts == [1] * len(latency.BOUNDS_S) + [0]
    assert sum_s == pytest.approx(sum(latency.BOUNDS_S))


@pytest.mark.parametrize(("seconds", "at"), [(0.0, 0), (0.000101, 1), (30.0001, -1), (1e9, -1)])
def test_beyond_a_bound_is_the_next_bucket(seconds: float, at: int) -> None:
    latency = WriteLatency()
    latency.observe(seconds)

    counts, _ = latency.read()
    assert (sum(counts), counts[at]) == (1, 1)


def test_what_was_read_does_not_change() -> None:
    latency = WriteLatency()
    before, _ = latency.read()
    latency.observe(1.0)

    assert sum(before) == 0


# Where it listens


def test_it_listens_on_loopback_by_itself(server: MetricsServer) -> None:
    host, port = server.address

    assert host == "127.0.0.1"
    assert port > 0


@pytest.mark.skipif(not ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_it_listens_on_ipv6(host: str) -> None:
    server = MetricsServer(host)
    server.start(snapshot)
    with closing(server):
        assert server.address[0] == "::1"
        assert get(server)[0] == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "localhost"])
def test_it_listens_where_it_is_told_to(host: str) -> None:
    server = MetricsServer(host)
    server.start(snapshot)
    with closing(server), socket.create_connection(("localhost", server.address[1])):
        pass


def test_a_port_that_is_taken_is_refused(server: MetricsServer) -> None:
    host, port = server.address
    with pytest.raises(UsageError) as refused:
        MetricsServer(host, port)

    assert str(refused.value) == f"--metrics 127.0.0.1:{port}: Address already in use"


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("192.0.2.1", "--metrics 192.0.2.1:9100: Cannot assign requested address"),
        ("x" * 300, f"--metrics {'x' * 300}:9100: not a host's name or address"),
    ],
)
def test_an_address_that_is_not_ours_is_refused(host: str, shown: str) -> None:
    with pytest.raises(UsageError) as refused:
        MetricsServer(host, 9100)

    assert str(refused.value).startswith(shown)


def test_a_name_that_is_not_found_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nobody)
    with pytest.raises(UsageError, match=r"^--metrics sensor:9100: Name or service not known$"):
        MetricsServer("sensor", 9100)


def test_a_port_is_free_right_after_its_end(server: MetricsServer) -> None:
    server.start(snapshot)
    assert get(server)[0] == 200
    host, port = server.address
    server.close()

    with closing(MetricsServer(host, port)) as again:
        again.start(snapshot)
        assert get(again)[0] == 200


# Whom it serves


def test_each_scrape_reads_the_figures_anew(server: MetricsServer) -> None:
    counts = iter(range(1, 100))
    server.start(lambda: snapshot(received_packets=next(counts)))

    for expected in (b"1.0", b"2.0", b"3.0"):
        line = b'daemonlogger_received_packets_total{interface="le1"} ' + expected + b"\n"
        assert line in get(server)[2]


def test_figures_are_read_by_one_at_a_time(server: MetricsServer) -> None:
    inside = threading.Semaphore(1)
    together = []

    def read() -> Snapshot:
        if not inside.acquire(blocking=False):
            together.append(1)
            return snapshot()
        try:
            return snapshot()
        finally:
            inside.release()

    server.start(read)
    statuses: list[int] = []
    clients = [threading.Thread(target=lambda: statuses.append(get(server)[0])) for _ in range(20)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()

    assert statuses == [200] * 20
    assert together == []


def test_clients_that_say_nothing_are_not_in_the_way_of_another(server: MetricsServer) -> None:
    server.start(snapshot)
    with ExitStack() as silent:
        for _ in range(CLIENTS - 1):
            silent.enter_context(socket.create_connection(server.address))

        assert get(server)[0] == 200


def test_there_are_never_more_threads_than_that(server: MetricsServer) -> None:
    server.start(snapshot)
    with ExitStack() as silent:
        for _ in range(3 * CLIENTS):
            silent.enter_context(socket.create_connection(server.address))

        assert len(threads()) == CLIENTS


def test_a_client_that_resets_does_no_harm(server: MetricsServer) -> None:
    server.start(snapshot)
    for _ in range(3 * CLIENTS):
        with socket.create_connection(server.address) as client:
            client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    assert get(server)[0] == 200
    assert len(threads()) == CLIENTS


def test_no_descriptor_for_a_client_is_no_end(
    server: MetricsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = iter([OSError(24, "Too many open files")] * CLIENTS)
    accept = socket.socket.accept

    def failing(listener: socket.socket) -> object:
        for failure in failures:
            raise failure
        return accept(listener)

    monkeypatch.setattr(socket.socket, "accept", failing)
    server.start(snapshot)

    assert get(server)[0] == 200


IN_A_CHROOT = """
import http.client, os, sys, threading
from daemonlogger_py.service.metrics import MetricsServer, Snapshot, WriteLatency

server = MetricsServer()
figures = Snapshot("le1", True, *[1] * 10, WriteLatency(), {}, 1)
before = {*sys.modules}
os.chroot(sys.argv[1])
os.chdir("/")
server.start(lambda: figures)
for method, path, accept in (
    ("GET", "/metrics", "text/plain"),
    ("HEAD", "/metrics", "application/openmetrics-text"),
    ("GET", "/", ""),
    ("POST", "/metrics", ""),
    ("BREW", "/metrics", ""),
):
    client = http.client.HTTPConnection(*server.address, timeout=60)
    client.request(method, path, headers={"Accept": accept})
    print(client.getresponse().status)
    client.close()
server.close()
print(*({*sys.modules} - before))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_it_needs_no_file_any_more_after_a_chroot(tmp_path: Path) -> None:
    arguments = [sys.executable, "-c", IN_A_CHROOT, tmp_path]
    ran = subprocess.run(arguments, stdout=subprocess.PIPE, text=True, check=True)

    assert ran.stdout.splitlines() == ["200", "200", "404", "405", "501", ""]


# How it ends


def test_a_server_that_was_never_started_ends(server: MetricsServer) -> None:
    server.close()
    server.close()


def test_it_ends_whatever_clients_are_at(server: MetricsServer) -> None:
    server.start(snapshot)
    with ExitStack() as silent:
        for _ in range(2 * CLIENTS):
            silent.enter_context(socket.create_connection(server.address))
        server.close()

        assert threads() == []
    server.close()


def test_a_recorder_without_metrics_does_not_pay_for_them() -> None:
    code = (
        "import sys; import daemonlogger_py.service.metrics; "
        "print(*({'prometheus_client', 'http', 'json', 'email'} & {*sys.modules}))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True
    )

    assert ran.stdout.split() == []
