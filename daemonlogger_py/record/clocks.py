"""The wall clock held against those that nobody sets, to see steps and sleep.

Only looks; what is said and written of it is the caller's.
"""

import time
from typing import NamedTuple

# Slewing moves a clock by less than a thousandth; between two looks a second apart only a step or
# a sleep gets here.
STEP_NS = 500_000_000
# The three are read one after the other. A process that is stopped in between would see a jump.
TOGETHER_NS = 10_000_000
TRIES = 100


class Jump(NamedTuple):
    """What happened between two looks. Times are ns since 1970, by the wall clock."""

    kind: str  # "stepped", "slept"
    from_ns: int  # the wall clock at the look before
    to_ns: int  # and now
    by_ns: int  # how far the clock went forward (below 0: back), or how long the machine slept


class ClockWatch:
    """Compares CLOCK_REALTIME with CLOCK_BOOTTIME, and that with CLOCK_MONOTONIC.

    The second of these goes on while the machine is suspended, the third does not
    (clock_gettime(2)).
    """

    def __init__(self) -> None:
        self._wall_ns, self._boot_ns, self._awake_ns = _read()

    def look(self) -> list[Jump]:
        """Tell what happened since the last look."""
        wall_ns, boot_ns, awake_ns = _read()
        went_ns = wall_ns - self._wall_ns
        passed_ns = boot_ns - self._boot_ns
        slept_ns = passed_ns - (awake_ns - self._awake_ns)
        before_ns, self._wall_ns = self._wall_ns, wall_ns
        self._boot_ns, self._awake_ns = boot_ns, awake_ns
        jumps = []
        if slept_ns > STEP_NS:
            jumps.append(Jump("slept", before_ns, wall_ns, slept_ns))
        if abs(went_ns - passed_ns) > STEP_NS:
            jumps.append(Jump("stepped", before_ns, wall_ns, went_ns - passed_ns))
        return jumps


def _read() -> tuple[int, int, int]:
    for _ in range(TRIES):
        awake_ns = time.monotonic_ns()
        wall_ns = time.time_ns()
        boot_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        if time.monotonic_ns() - awake_ns < TOGETHER_NS:
            break
    return wall_ns, boot_ns, awake_ns
