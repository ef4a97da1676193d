"""The tap's arguments, and what it says of itself, as far as no interface is needed.

What arrives behind a tap is the lab's, with root, in network namespaces.
"""

import pytest

from daemonlogger_py.engine.buffer import Buffer
from daemonlogger_py.engine.tap import Tap, TapCounters

ETHERNET = 1


@pytest.mark.parametrize("pace", [0, -1.0, float("inf"), float("nan")])
def test_pace_that_is_none(pace: float) -> None:
    with pytest.raises(ValueError, match="pace"):
        Tap("lo", linktype=ETHERNET, wake_fd=-1, pace=pace)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"linktype": ETHERNET},
        {"linktype": "1", "wake_fd": -1},
        {"linktype": ETHERNET, "wake_fd": "0"},
        {"linktype": ETHERNET, "wake_fd": -1, "pace": "fast"},
        {"linktype": ETHERNET, "wake_fd": -1, "colour": "red"},
    ],
)
def test_arguments_of_the_wrong_kind(arguments: dict[str, object]) -> None:
    with pytest.raises(TypeError):
        Tap("lo", **arguments)


def test_tap_that_was_not_opened_is_closed() -> None:
    tap = Tap.__new__(Tap)

    with pytest.raises(ValueError, match="the tap is closed"):
        tap.send(Buffer(4096), 0, 0)
    with pytest.raises(ValueError, match="the tap is closed"):
        tap.revive()
    assert tap.counters() == TapCounters(0, 0, 0, 0, 0, 0, 0)
    assert (tap.failure, tap.remark, tap.refusal) == (None, None, None)
    tap.close()
    tap.close()
