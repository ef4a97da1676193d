"""The soft tap as its user types it: what arrives behind it, byte for byte, and what is told."""

import re
import signal
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path

import pytest

from .commands import finish, run
from .conftest import Record
from .load import Load
from .network import Link, Namespace
from .peers import has_taken_all
from .recorder import Recorder, daemonlogger, parse_totals
from .records import assert_run, numbers_of, records, savefiles, walk, walk_all
from .senders import Frames, ping, replay

pytestmark = pytest.mark.alone

OUT = "edsc0"
PATIENCE_S = 60.0
TRIES = 5
SENT_LINE = re.compile(
    r"(\d+) packets sent out of (\w+), \d+ bytes, (\d+) too large, (\d+) refused by the kernel, "
    r"(\d+) dropped on a full queue(.*)"
)


@pytest.fixture
def behind(link: Link) -> Iterator[Namespace]:
    """What is behind the tap: a namespace joined to the recorder's interface `OUT`."""
    with Link(sending=OUT, receiving="behind") as made:
        run("ip", "-n", made.sender.name, "link", "set", OUT, "netns", link.receiver.name)
        off = f"echo 1 >/proc/sys/net/ipv6/conf/{OUT}/disable_ipv6"
        run(*link.receiver.command("sh", "-c", off))
        run("ip", "-n", link.receiver.name, "link", "set", OUT, "up")
        yield made.receiver


@contextmanager
def listening(behind: Namespace, path: Path) -> Iterator[None]:
    """A tcpdump behind the tap, which has everything in `path` afterwards."""
    process = subprocess.Popen(
        behind.command("tcpdump", "-i", "behind", "-B", "65536", "-U", "-w", path, "-Z", "root"),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        while "listening on behind" not in process.stderr.readline():
            assert process.poll() is None
        yield
        has_taken_all(process)
        process.send_signal(signal.SIGINT)
        process.wait(20)
    finally:
        finish(process)


def arrives(behind: Namespace, count: int) -> None:
    """Wait until so many packets in all have come out of the tap."""
    deadline = time.monotonic() + PATIENCE_S
    while (arrived := behind.details()["received"]) < count:
        assert time.monotonic() < deadline, f"{arrived} of {count}"
        time.sleep(0.02)


def is_below(bound: float, measured: Callable[[], float]) -> None:
    """Assert that a measure of time is; where it is not, and the machine was slow, try again."""
    seen: list[float] = []
    while len(seen) < TRIES:
        seen.append(measured())
        if seen[-1] < bound:
            return
    raise AssertionError(seen)


def sent_line(text: str) -> list[int]:
    """Sent, too large, refused, dropped, of the last statistics."""
    found = SENT_LINE.findall(text)[-1]
    return [int(found[0]), *map(int, found[2:5])]


def test_only_what_the_filter_accepts_arrives(
    link: Link, behind: Namespace, record: Record, logs: Path, tmp_path: Path
) -> None:
    address = link.with_addresses()[1]
    arrived = tmp_path / "arrived.pcap"
    with listening(behind, arrived):
        recorder = record("-F", "-o", OUT, "icmp", directory=None, listen=False)
        recorder.receiving()
        sample = tmp_path / "sample.pcap"
        beside = subprocess.Popen(
            link.receiver.command("tcpdump", "-i", "vb", "-U", "-w", sample, "-Z", "root", "icmp"),
            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            assert beside.stderr is not None
            while "listening on vb" not in beside.stderr.readline():
                assert beside.poll() is None
            ping(link, address, 50)
            has_taken_all(beside)
            beside.send_signal(signal.SIGINT)
            beside.wait(20)
        finally:
            finish(beside)
        totals = recorder.stop()

    frames = [packet.data for packet in records(sample)]
    assert len(frames) == 100
    assert [packet.data for packet in records(arrived)] == frames
    assert (totals.received, totals.files) == (100, 0)
    assert "[-] Tap output interface set to edsc0" in recorder.text
    assert sent_line(recorder.text) == [100, 0, 0, 0]
    assert list(logs.iterdir()) == []


def test_a_million_arrive_in_order(
    link: Link, behind: Namespace, record: Record, million: Load, memory: Path
) -> None:
    arrived = memory / "arrived.pcap"
    with listening(behind, arrived):
        recorder = record("-o", OUT, directory=None, listen=False)
        recorder.receiving()
        sent = replay(link, million, pps=200_000)
        arrives(behind, sent)
        totals = recorder.stop()
    try:
        assert_run(walk(arrived).numbers, 0, sent - 1)
    finally:
        arrived.unlink()
    assert totals.kernel_dropped == 0
    assert sent_line(recorder.text) == [sent, 0, 0, 0]


def test_tee_records_what_it_sends(
    link: Link, behind: Namespace, record: Record, logs: Path, thousands: Load, tmp_path: Path
) -> None:
    arrived = tmp_path / "arrived.pcap"
    with listening(behind, arrived):
        recorder = record("-o", OUT, "--tee", "-s", "1m")
        sent = replay(link, thousands, pps=50_000)
        arrives(behind, sent)
        recorder.stop()

    assert_run(walk(arrived).numbers, 0, sent - 1)
    found = savefiles(logs)
    assert len(found) > 3
    assert_run(numbers_of(walk_all(found)), 0, sent - 1)


def test_lone_packet_is_sent_at_once(
    link: Link,
    behind: Namespace,
    record: Record,
    frames: Frames,
    logs: Path,
    tmp_path: Path,
) -> None:
    arrived = tmp_path / "arrived.pcap"
    with listening(behind, arrived):
        recorder = record("-o", OUT, "--tee", "-n", "t")
        for number in range(1, 1 + TRIES):
            time.sleep(0.17)  # not in step with any timer of the recorder
            frames.send()
            arrives(behind, number)
        recorder.stop()
    (source,) = savefiles(logs, "t")
    came, left = list(records(source)), list(records(arrived))
    seconds = [(b.time_ns - a.time_ns) / 1e9 for a, b in zip(came, left, strict=True)]
    assert len(seconds) == TRIES
    assert statistics.median(seconds) < 0.5, "a tap must not wait for company"


def test_savefile_is_sent_with_its_own_timing(
    link: Link, behind: Namespace, record: Record, frames: Frames, logs: Path, tmp_path: Path
) -> None:
    recorder = record("-n", "t")
    for _ in range(10):
        frames.send()
        time.sleep(0.1)
    recorder.stop()
    (source,) = savefiles(logs, "t")
    arrived = tmp_path / "arrived.pcap"

    def off_by(factor: str) -> float:
        with listening(behind, arrived):
            options = ("-R", source, "-o", OUT, "--pace", factor)
            replaying = record(*options, interface=None, directory=None, listen=False)
            assert replaying.ended() == 0, replaying.text
        sent = [packet.time_ns for packet in records(arrived)]
        recorded = [packet.time_ns for packet in records(source)]
        assert len(sent) == 10
        # The median over all pairs: one late packet, here or there, does not change it.
        pairs = combinations(zip(recorded, sent, strict=True), 2)
        paces = [(after[0] - before[0]) / (after[1] - before[1]) for before, after in pairs]
        return abs(statistics.median(paces) / float(factor) - 1)

    is_below(0.05, lambda: off_by("1"))
    is_below(0.05, lambda: off_by("3"))


def test_paced_replay_ends_at_once_on_a_signal(
    link: Link, behind: Namespace, record: Record, frames: Frames, logs: Path
) -> None:
    recorder = record("-n", "t")
    frames.send()
    time.sleep(1.0)
    frames.send()
    recorder.stop()
    (source,) = savefiles(logs, "t")
    options = ("-R", source, "-o", OUT, "--pace", "0.01")

    def measured() -> float:
        so_far = behind.details()["received"]
        paced = record(*options, interface=None, directory=None, listen=False)
        paced.says("Reading network traffic")
        arrives(behind, so_far + 1)
        before = paced.send(signal.SIGINT)
        seconds = (paced.end_ns() - before) / 1e9
        paced.ended()
        assert SENT_LINE.findall(paced.text)[-1][0] == "1"
        assert "1 not sent" in paced.text
        return seconds

    is_below(1, measured)


def paced_for_minutes(record: Record, link: Link, thousands: Load, *words: str) -> Recorder:
    options = ("-R", thousands.path, "-o", OUT, "--pace", "0.001", *words)
    recorder = record(*options, interface=None, directory=None, listen=False)
    recorder.says("snaplen = ")
    return recorder


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGQUIT])
def test_paced_replay_of_many_packets_ends_at_once(
    link: Link, behind: Namespace, record: Record, thousands: Load, number: signal.Signals
) -> None:
    def measured() -> float:
        so_far = behind.details()["received"]
        paced = paced_for_minutes(record, link, thousands)
        arrives(behind, so_far + 1)
        time.sleep(0.5)
        before = paced.send(number)
        seconds = (paced.end_ns() - before) / 1e9
        assert paced.ended() == 0
        assert "not sent" in paced.text
        return seconds

    is_below(2, measured)


def test_loop_goes_on_while_a_packet_is_waited_for(
    link: Link, behind: Namespace, record: Record, thousands: Load
) -> None:
    paced = paced_for_minutes(record, link, thousands, "--stats-interval", "0.5")
    for _ in range(4):
        paced.says("packets sent out of edsc0", after=len(paced.lines))
    paced.send(signal.SIGINT)
    assert paced.ended() == 0


def test_savefile_waits_for_an_output_that_is_gone(
    link: Link, behind: Namespace, record: Record, frames: Frames, logs: Path, tmp_path: Path
) -> None:
    recorder = record("-n", "t")
    for _ in range(10):
        frames.send()
        time.sleep(0.1)
    recorder.stop()
    (source,) = savefiles(logs, "t")
    with listening(behind, tmp_path / "arrived.pcap"):
        options = ("-R", source, "-o", OUT, "--pace", "0.25")  # 3.6 s
        paced = record(*options, interface=None, directory=None, listen=False)
        arrives(behind, 2)
        run("ip", "-n", link.receiver.name, "link", "set", OUT, "down")
        paced.says(r"\[!\] tap edsc0: interface edsc0 is down")
        run("ip", "-n", link.receiver.name, "link", "set", OUT, "up")
        assert paced.ended() == 0, paced.text

    assert sent_line(paced.text) == [10, 0, 0, 0]
    assert "missed while" not in paced.text


def test_savefile_at_full_speed(
    link: Link, behind: Namespace, record: Record, million: Load, memory: Path
) -> None:
    arrived = memory / "arrived.pcap"
    with listening(behind, arrived):
        options = ("-R", million.path, "-o", OUT)
        replaying = record(*options, interface=None, directory=None, listen=False)
        assert replaying.ended() == 0, replaying.text
    try:
        assert_run(walk(arrived).numbers, 0, 999_999)
    finally:
        arrived.unlink()
    assert parse_totals(replaying.text).received == 1_000_000


def test_output_that_goes_away_is_missed_and_comes_back(
    link: Link, behind: Namespace, record: Record, frames: Frames
) -> None:
    def received() -> int:
        return parse_totals(recorder.text).received

    recorder = record("-F", "-o", OUT, directory=None, listen=False)
    recorder.receiving()
    frames.send()
    arrives(behind, 1)
    run("ip", "-n", link.receiver.name, "link", "set", OUT, "down")
    frames.send()
    recorder.says(r"\[!\] tap edsc0: interface edsc0 is down, packets are missed")
    run("ip", "-n", link.receiver.name, "link", "set", OUT, "up")
    recorder.says(r"\[!\] tap edsc0: back, 1 packets were missed in all")
    frames.send()
    arrives(behind, 2)
    recorder.stop()

    assert received() == 3
    assert sent_line(recorder.text) == [2, 0, 0, 0]
    assert "1 missed while it was down" in recorder.text


def test_output_that_is_built_on_the_input_is_refused(link: Link, behind: Namespace) -> None:
    for command in (
        ("link", "add", "br5", "type", "bridge"),
        ("link", "set", "vb", "master", "br5"),
        ("link", "set", "br5", "up"),
    ):
        run("ip", "-n", link.receiver.name, *command)
    # With a /sys of the namespace, which is where it says what is built on what.
    inside = ("ip", "netns", "exec", link.receiver.name, *daemonlogger(), "-i", "vb", "-o", "br5")
    done = run(*inside, "--check", check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "the tap would feed on itself; accepted: --direction in" in done.stderr
    assert run(*inside, "--direction", "in", "--check").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-i", "vb", "-o", "nosuch0"), "-o/--tap 'nosuch0': no such interface"),
        (("-i", "vb", "-o", "vb"), "the tap would feed on itself"),
        (("-i", "any", "-o", OUT), "the tap would feed on itself"),
    ],
)
def test_refused(
    link: Link, behind: Namespace, record: Record, arguments: tuple[str, ...], message: str
) -> None:
    recorder = record(*arguments, interface=None, directory=None, listen=False)
    assert recorder.ended() == 2
    assert message in recorder.text
