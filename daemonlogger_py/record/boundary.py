"""The boundary of -t that the recorder waits for.

`rollover` has the grid of boundaries, a pure one; this remembers which of them is next. Times are
ns since 1970 and always an argument.
"""

from daemonlogger_py.config.recorder import RollTime
from daemonlogger_py.engine.protocol import NEVER_NS
from daemonlogger_py.record.rollover import RollGrid

# After a boundary, packets stamped before it may still be with the kernel for a block's time-out;
# only then does the clock alone roll over.
ROLL_GRACE_NS = 60_000_000


class Boundary:
    """The next boundary of `roll_time`; without one, and until `begin`, there is none."""

    def __init__(self, roll_time: RollTime | None) -> None:
        self.at_ns = NEVER_NS
        self._roll_time = roll_time
        self._grid: RollGrid | None = None

    @property
    def begun(self) -> bool:
        """Whether there is a boundary to wait for."""
        return self._grid is not None

    @property
    def awaits_packet(self) -> bool:
        """Whether the grid has yet to begin: in a savefile that is read, with its first packet."""
        return self._roll_time is not None and self._grid is None

    def begin(self, start_ns: int) -> None:
        """Begin the grid, if there is to be one."""
        if self._roll_time is not None:
            self._grid = RollGrid(self._roll_time.count, self._roll_time.unit, start_ns)
            self.at_ns = self._grid.after(start_ns)

    def ahead_ns(self, now_ns: int) -> int:
        """How long the clock alone does not roll over yet; 0: the boundary has passed."""
        return max(0, self.at_ns + ROLL_GRACE_NS - now_ns)

    def go_on(self, now_ns: int) -> None:
        """Wait for the boundary that is next at `now_ns`, by `RollGrid.next_boundary`."""
        if self._grid is not None:
            self.at_ns = self._grid.next_boundary(self.at_ns, now_ns)
