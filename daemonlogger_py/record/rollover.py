"""When a savefile's time is up (``-t``): pure arithmetic, the time is always an argument.

Plain seconds roll at start + k * N, so nothing drifts. Minutes, hours and days roll by the local
clock: the grid starts at the whole unit the recorder was started in, so ``-t 2h`` started at 13:38
rolls at 15:00, then 17:00, and ``-t 1d`` at every midnight.

Where the local clock is moved, the clock on the wall decides: a boundary in the hour that is
skipped falls on the moment of the change, an hour that comes twice is begun twice, and a day has
23 or 25 hours. How fast packets come and when a file is really closed is for the recorder.
"""

import time
from typing import Literal

from daemonlogger_py.config.units import unit_seconds

NS_PER_SECOND = 1_000_000_000
# Clocks are set back a little all the time, and packets of a merged savefile jump: up to this much
# before the boundary just passed, the file at hand is kept.
_JITTER_NS = 5 * NS_PER_SECOND


class RollGrid:
    """The boundaries of one ``-t`` value, as ns since 1970.

    unit "s" is plain seconds from start_ns on, "m", "h" and "d" are aligned to the local clock.
    With ``-R``, start_ns and every now_ns are packets' times.
    """

    def __init__(self, count: int, unit: Literal["s", "m", "h", "d"], start_ns: int) -> None:
        if count < 1:
            raise ValueError(f"roll-over every {count}{unit}: accepted is 1 and more")
        unit_s = unit_seconds(unit)
        self.period_ns = count * unit_s * NS_PER_SECOND
        self._period_s = count * unit_s
        self._start_ns = start_ns
        self._local_start_s: int | None = None
        if unit != "s":
            local_s = _local(start_ns // NS_PER_SECOND)
            self._local_start_s = local_s - local_s % unit_s

    def after(self, now_ns: int) -> int:
        """Return the first boundary after now_ns, wherever in time that is: O(1)."""
        if self._local_start_s is None:
            return now_ns + self.period_ns - (now_ns - self._start_ns) % self.period_ns
        return self._aligned_after(now_ns // NS_PER_SECOND, self._local_start_s) * NS_PER_SECOND

    def next_boundary(self, previous_ns: int, now_ns: int) -> int:
        """Return the boundary to wait for at now_ns, previous_ns being the one waited for so far.

        That one, while it is ahead; once it has passed the first after now_ns, so that idle
        periods are skipped. A clock that was set back beyond the running period starts over with
        the first boundary after now_ns, too.
        """
        if now_ns < previous_ns:
            jitter_ns = min(self.period_ns, _JITTER_NS)
            if previous_ns - now_ns <= self.period_ns:
                return previous_ns
            if self.after(now_ns + jitter_ns) >= previous_ns:  # also a day of 25 hours
                return previous_ns
        return self.after(now_ns)

    def _aligned_after(self, now_s: int, local_start_s: int) -> int:
        # From change to change of the UTC offset; almost always there is none in the way.
        at_s, ahead_s = now_s, 1
        while True:
            offset_s = _offset(at_s)
            since_s = at_s + offset_s + ahead_s - local_start_s
            boundary_s = at_s + ahead_s - since_s % -self._period_s
            change_s = _change(at_s, boundary_s)
            if change_s is None:
                return boundary_s
            if change_s + _offset(change_s) >= boundary_s + offset_s:
                return change_s  # the boundary was in the time that is left out
            at_s, ahead_s = change_s, 0


def _local(at_s: int) -> int:
    return at_s + _offset(at_s)


def _offset(at_s: int) -> int:
    """Seconds by which the local clock is ahead of UTC."""
    try:
        return time.localtime(at_s).tm_gmtoff
    except (OverflowError, OSError, ValueError):  # a packet from a year libc cannot name
        return 0


def _change(after_s: int, until_s: int) -> int | None:
    """Return the second in (after_s, until_s] from which on the offset is that of until_s.

    None if it is that of after_s.
    """
    offset_s = _offset(until_s)
    if _offset(after_s) == offset_s:
        return None
    while until_s - after_s > 1:
        middle_s = (after_s + until_s) // 2
        if _offset(middle_s) == offset_s:
            until_s = middle_s
        else:
            after_s = middle_s
    return until_s
