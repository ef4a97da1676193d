"""The loop with what is around it: an interface that goes away, taps, and those who watch."""

import signal
from collections.abc import Callable, Mapping

import pytest

from daemonlogger_py.engine.buffer import Buffer
from daemonlogger_py.engine.protocol import Stop
from daemonlogger_py.errors import SourceError
from daemonlogger_py.record.recorder import PACED_PACKETS, ROLLOVERS
from daemonlogger_py.record.totals import Totals

from .bench import Bench, at
from .fakes import FakeSource, Step


class Watch:
    """An interface that is back after so many looks; `gone` says whether it is what failed."""

    def __init__(self, *, gone: bool = True, looks: int = 3) -> None:
        self.gone = gone
        self.looks = looks
        self.waiting = False
        self.then: Callable[[], object] = lambda: None

    def look(self) -> None:
        pass

    def lost(self) -> bool:
        self.waiting = self.gone
        return self.gone

    def back(self) -> bool:
        self.looks -= 1
        self.then()
        self.waiting = self.looks > 0
        return not self.waiting


class Taps:
    """Keeps the packets it is sent, and asks after `each` of them whether to go on."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.served: list[bool] = []
        self.asks = False

    def send(self, buffer: Buffer, begin: int, packets: int, serve: Callable[[], bool]) -> None:
        self.sent.append(bytes(memoryview(buffer)[begin:]))
        if self.asks:
            self.served.append(serve())

    def look(self) -> None:
        pass

    def totals(self) -> list[object]:
        return []


class Vitals:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.last: Mapping[str, int] = {}

    def started(self, totals: Totals, rollovers: Mapping[str, int]) -> None:
        self.told.append("started")
        self.last = rollovers

    def look(self, totals: Totals, rollovers: Mapping[str, int]) -> None:
        self.told.append("look")

    def stopping(self) -> None:
        self.told.append("stopping")


def test_recording_goes_on_with_an_interface_that_came_back(bench: Bench) -> None:
    watch = Watch()
    script = [Step(2, Stop.FAILED)]
    source = FakeSource(at(range(5)), script, live=True, failure="gone")
    totals = bench.record(source, around={"watch": watch})

    assert (totals.received, totals.written, totals.files) == (5, 5, 1)
    assert bench.told.texts("error") == []
    assert watch.looks == 0


def test_what_was_received_is_on_disk_while_the_interface_is_gone(bench: Bench) -> None:
    watch = Watch(looks=1)
    script = [Step(2, Stop.FAILED)]
    source = FakeSource(at(range(5)), script, live=True, failure="gone")
    watch.then = lambda: bench.wait_for_packets(2)
    bench.record(source, around={"watch": watch})


def test_end_while_the_interface_is_gone(bench: Bench) -> None:
    watch = Watch(looks=10)
    watch.then = lambda: signal.raise_signal(signal.SIGTERM)
    script = [Step(2, Stop.FAILED)]
    source = FakeSource(at(range(5)), script, live=True, failure="gone")
    totals = bench.record(source, around={"watch": watch})

    assert totals.written == 2
    assert watch.looks == 9


@pytest.mark.parametrize("watch", [None, Watch(gone=False)])
def test_any_other_failure_ends_it(bench: Bench, watch: Watch | None) -> None:
    script = [Step(2, Stop.FAILED)]
    source = FakeSource(at(range(5)), script, live=True, failure="broken")
    with pytest.raises(SourceError, match="broken"):
        bench.record(source, around={"watch": watch})

    assert "2 packets written to 1 files" in bench.told.texts("statistics")[-1]


def test_what_is_recorded_is_sent_once_and_as_it_is(bench: Bench) -> None:
    taps, packets = Taps(), at(range(10))
    script = [Step(3, Stop.DEADLINE), Step(4, Stop.DEADLINE), Step(3, Stop.END)]
    source = FakeSource(packets, script, live=True)
    bench.record(source, around={"taps": taps}, tap=("eth1",), tee=True)
    (name,) = bench.names()

    assert b"".join(taps.sent) == bench.path(name).read_bytes()[24:]
    assert [len(sent) // 56 for sent in taps.sent] == [3, 4, 3]


def test_an_end_is_served_while_sending(bench: Bench) -> None:
    taps = Taps()
    taps.asks = True
    script = [Step(3, Stop.DEADLINE, lambda: signal.raise_signal(signal.SIGINT)), Step(0, Stop.END)]
    source = FakeSource(at(range(3)), script, live=True)
    bench.record(source, around={"taps": taps}, tap=("eth1",), tee=True)

    assert taps.served == [False]


def test_paced_packets_are_taken_in_small_numbers(bench: Bench) -> None:
    source = FakeSource(at(range(100)), [])
    bench.record(source, around={"taps": Taps()}, tap=("eth1",), tee=True, pace=1.0)

    assert {asked.packets_left for asked in source.asked} == {PACED_PACKETS}


def test_those_who_watch_are_told_of_start_and_end(bench: Bench) -> None:
    vitals = Vitals()
    script = [Step(2, Stop.WAKE, lambda: signal.raise_signal(signal.SIGINT))]
    source = FakeSource(at(range(2)), script, live=True)
    bench.record(source, around={"vitals": vitals}, roll_packets=1)

    assert vitals.told[0] == "started"
    assert vitals.told[-1] == "stopping"
    assert set(vitals.last) == set(ROLLOVERS)
    assert vitals.last["packets"] >= 1
