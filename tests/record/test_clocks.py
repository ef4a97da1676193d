"""Steps of the wall clock and sleep are seen; time that simply passes is not."""

from typing import Any

import pytest

from daemonlogger_py.record import clocks
from daemonlogger_py.record.clocks import ClockWatch, Jump

SECOND_NS = 10**9


class Clocks:
    """Stands in for the module `time`: three clocks that a test moves."""

    CLOCK_BOOTTIME = 7

    def __init__(self) -> None:
        self.wall_ns, self.boot_ns, self.awake_ns = 1000 * SECOND_NS, 50 * SECOND_NS, 0
        self.pause_ns: list[int] = []

    def pass_by(self, seconds: float, *, asleep: bool = False) -> None:
        passed_ns = round(seconds * SECOND_NS)
        self.wall_ns += passed_ns
        self.boot_ns += passed_ns
        self.awake_ns += 0 if asleep else passed_ns

    def time_ns(self) -> int:
        if self.pause_ns:  # stopped here, between two of the readings
            self.pass_by(self.pause_ns.pop() / SECOND_NS)
        return self.wall_ns

    def clock_gettime_ns(self, clock: int) -> int:
        assert clock == self.CLOCK_BOOTTIME
        return self.boot_ns

    def monotonic_ns(self) -> int:
        return self.awake_ns


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    made = Clocks()
    monkeypatch.setattr(clocks, "time", made)
    return made


def test_time_that_passes_is_no_jump(machine: Clocks) -> None:
    watch = ClockWatch()
    for seconds in (1.0, 0.0, 3600.0):
        machine.pass_by(seconds)
        assert watch.look() == []
    machine.wall_ns += SECOND_NS // 4  # as ntpd slews
    assert watch.look() == []


@pytest.mark.parametrize("step_s", [-3600.0, -0.6, 0.6, 86400.0])
def test_a_step_is_seen_once(machine: Clocks, step_s: float) -> None:
    watch = ClockWatch()
    before_ns = machine.wall_ns
    machine.pass_by(1)
    machine.wall_ns += round(step_s * SECOND_NS)

    assert watch.look() == [Jump("stepped", before_ns, machine.wall_ns, round(step_s * SECOND_NS))]
    machine.pass_by(1)
    assert watch.look() == []


def test_sleep_is_seen(machine: Clocks) -> None:
    watch = ClockWatch()
    before_ns = machine.wall_ns
    machine.pass_by(600, asleep=True)

    assert watch.look() == [Jump("slept", before_ns, machine.wall_ns, 600 * SECOND_NS)]


def test_a_process_stopped_between_two_readings_sees_no_jump(machine: Clocks) -> None:
    watch = ClockWatch()
    machine.pause_ns = [5 * SECOND_NS, 5 * SECOND_NS]

    assert watch.look() == []


def test_with_the_machine_s_own_clocks() -> None:
    watch: Any = ClockWatch()
    assert watch.look() == []
