"""Signals, timers and what is told on the way."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from daemonlogger_py.engine.protocol import Stop
from daemonlogger_py.record import recorder as module

from .bench import Bench, at, mixture, packets_in
from .fakes import Clock, FakeSource, Step


def test_termination_finishes_and_keeps_what_was_received(bench: Bench) -> None:
    packets = mixture()
    source = FakeSource(
        packets, [Step(3, Stop.WAKE, then=bench.send(signal.SIGTERM))], live=True, late=4
    )
    bench.record(source)

    assert list(bench.savefiles().values()) == [packets[:7]]
    assert source.finished >= 1
    assert bench.told.texts("finishing") == ["Quitting!"]
    assert bench.told.facts("finishing") == [{"signal": "SIGTERM"}]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGQUIT])
def test_second_signal_to_end_loses_nothing_either(bench: Bench, number: signal.Signals) -> None:
    packets = mixture()
    steps = [Step(3, Stop.WAKE, then=bench.send(number, number))]
    bench.record(FakeSource(packets, steps, live=True, late=2))

    assert list(bench.savefiles().values()) == [packets[:5]]
    assert bench.told.texts("finishing") == ["Quitting!"]
    assert bench.told.texts("finishing_again") == [
        "[-] Already quitting: writing what is in memory"
    ]


@pytest.mark.parametrize("live", [False, True])
def test_hangup_rolls_over(bench: Bench, live: bool) -> None:
    packets = at([0, 1, 2])
    steps = [
        Step(stop=Stop.WAKE, then=bench.send(signal.SIGHUP)),  # an empty one goes on
        Step(2, Stop.WAKE, then=bench.send(signal.SIGHUP)),
    ]
    bench.record(FakeSource(packets, steps, live=live))

    assert list(bench.savefiles().values()) == [packets[:2], packets[2:]]
    assert bench.told.texts("roll") == ["Hangup, rolling over!"]


def test_hangup_reads_the_filter_again(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "filter"
    path.write_text("udp  # name service\n")
    steps = [Step(3, Stop.WAKE, then=bench.send(signal.SIGHUP))]
    source = FakeSource(mixture(), steps, live=True)
    bench.record(source, filter_file=str(path))

    assert source.filters == ["udp"]
    assert [len(packets) for packets in bench.savefiles().values()] == [3, 2]
    assert bench.told.texts("refiltered") == [f"[-] Filter read again from {path}"]


@pytest.mark.parametrize("content", ["tcp and", "", None])
def test_filter_that_cannot_be_read_again_stays(
    bench: Bench, tmp_path: Path, content: str | None
) -> None:
    path = tmp_path / "filter"
    if content is not None:
        path.write_text(content)
    steps = [Step(3, Stop.WAKE, then=bench.send(signal.SIGHUP))]
    source = FakeSource(mixture(), steps, live=True)
    totals = bench.record(source, filter_file=str(path))

    assert source.filters == []
    assert totals.written == 12
    (text,) = bench.told.texts("filter_kept")
    assert text.startswith("[!] ")
    assert text.endswith("; the filter stays as it was")


def test_statistics_on_demand(bench: Bench) -> None:
    steps = [Step(3, Stop.WAKE, then=bench.send(signal.SIGUSR1))]
    bench.record(FakeSource(mixture(), steps, live=True))

    received = [facts["received"] for facts in bench.told.facts("statistics")]
    assert received == [3, 12]


def test_statistics_at_intervals(bench: Bench, clock: Clock) -> None:
    steps = [Step(1, Stop.DEADLINE, then=lambda: clock.advance(4)) for _ in range(5)]
    source = FakeSource(mixture(), steps, live=True)
    bench.record(source, stats_interval=10)

    received = [facts["received"] for facts in bench.told.facts("statistics")]
    assert received == [3, 5, 12]


def test_drops_of_the_kernel_are_told_as_they_come(bench: Bench, clock: Clock) -> None:
    def drop(count: int) -> Callable[[], None]:
        def act() -> None:
            source.dropped += count
            clock.advance(1.5)

        return act

    steps = [Step(1, Stop.DEADLINE, then=drop(n)) for n in (0, 7, 0, 3)]
    source = FakeSource(mixture(), steps, live=True)
    totals = bench.record(source)

    assert bench.told.texts("dropped") == [
        "[!] 7 packets dropped by the kernel (7 in all)",
        "[!] 3 packets dropped by the kernel (10 in all)",
    ]
    assert totals.dropped == 10


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("direct", [False, True])
def test_a_savefile_that_somebody_removed_is_replaced(
    bench: Bench, live: bool, direct: bool
) -> None:
    """What has not been written yet is in the next one; direct output is within a record."""
    packets = at([0, 1, 2, 3])

    def look() -> None:
        bench.clock.advance(1.0)  # a tick, of which each looks

    def remove() -> None:
        (name,) = bench.wait_for_files(1)
        bench.wait_for_packets(2)
        bench.path(name).unlink()
        look()

    def said() -> bool:
        return "savefile_removed" in bench.told.events()

    bench.patch.setattr(module, "RING_TICKS", 1)
    steps = [
        Step(2, Stop.WAKE, then=look),
        Step(0, Stop.DEADLINE, then=look),
        Step(0, Stop.WAKE, then=remove),
        Step(0, Stop.WAKE, then=lambda: bench.wait_until(said)),
        Step(1, Stop.WAKE),
    ]
    totals = bench.record(FakeSource(packets, steps, live=live), direct=direct)

    assert bench.told.texts("savefile_removed") != []
    (facts,) = bench.told.facts("savefile_lost")
    assert facts["packets"] == 2
    (left,) = (packets_in(bench.path(name).read_bytes()) for name in bench.names())
    assert left == packets[2:]
    assert (totals.written, totals.files) == (4, 2)
