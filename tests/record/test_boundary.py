"""Which boundary is waited for; where boundaries are is the grid's, and tested there."""

import pytest

from daemonlogger_py.config.recorder import RollTime
from daemonlogger_py.engine.protocol import NEVER_NS
from daemonlogger_py.record.boundary import ROLL_GRACE_NS, Boundary

S = 10**9


def test_without_a_time_there_is_none() -> None:
    boundary = Boundary(None)
    boundary.begin(100 * S)
    boundary.go_on(200 * S)

    assert (boundary.at_ns, boundary.begun, boundary.awaits_packet) == (NEVER_NS, False, False)
    assert boundary.ahead_ns(10**18) > 0


def test_grid_begins_when_it_is_told() -> None:
    boundary = Boundary(RollTime(10, "s"))
    assert (boundary.at_ns, boundary.begun, boundary.awaits_packet) == (NEVER_NS, False, True)
    boundary.begin(103 * S)

    assert (boundary.at_ns, boundary.begun, boundary.awaits_packet) == (113 * S, True, False)


@pytest.mark.parametrize(
    ("now_ns", "ahead_ns"),
    [
        (103 * S, 10 * S + ROLL_GRACE_NS),
        (113 * S, ROLL_GRACE_NS),
        (113 * S + ROLL_GRACE_NS - 1, 1),
        (113 * S + ROLL_GRACE_NS, 0),
        (200 * S, 0),
    ],
)
def test_clock_alone_waits_a_little_longer(now_ns: int, ahead_ns: int) -> None:
    boundary = Boundary(RollTime(10, "s"))
    boundary.begin(103 * S)

    assert boundary.ahead_ns(now_ns) == ahead_ns


def test_it_goes_on_from_boundary_to_boundary() -> None:
    boundary = Boundary(RollTime(10, "s"))
    boundary.begin(103 * S)
    boundary.go_on(112 * S)
    assert boundary.at_ns == 113 * S, "still ahead"
    boundary.go_on(113 * S)
    assert boundary.at_ns == 123 * S
    boundary.go_on(178 * S)

    assert boundary.at_ns == 183 * S, "idle periods are skipped"
