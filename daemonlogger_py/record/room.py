"""What is done about a full volume: prune, else wait, say so, and at the end give up."""

import errno
import time
from typing import TYPE_CHECKING

from daemonlogger_py.record.messages import Tell

if TYPE_CHECKING:
    from daemonlogger_py.record.keeper import Keeper

VOLUME_FULL = (errno.ENOSPC, errno.EDQUOT)
# A full volume that nothing can be pruned from is tried again this often; once the recorder is
# ending, for this long.
RETRY_S = 0.1
GIVE_UP_S = 5.0
# A volume that is full again and again is said this often.
SAY_STUCK_S = 10.0


class Room:
    """Looks for room on the volume of `log_dir`, whose ring `keeper` prunes; None without a ring.

    Belongs to the thread that writes, but for `give_up_soon`.
    """

    def __init__(self, log_dir: str, keeper: "Keeper | None", tell: Tell) -> None:
        self._log_dir = log_dir
        self._keeper = keeper
        self._tell = tell
        self._stuck_since: float | None = None  # the volume is full, and that was said
        self._say_stuck_at = 0.0  # monotonic
        self._just_pruned = False
        self._give_up_at: float | None = None

    def give_up_soon(self) -> None:
        """The recorder is ending: do not wait for ever."""
        if self._give_up_at is None:
            self._give_up_at = time.monotonic() + GIVE_UP_S

    def found(self, error: OSError, wanted_bytes: int) -> bool:
        """Whether to try again: the volume was full, and something was pruned or may be.

        Takes as long as it waits.
        """
        if error.errno not in VOLUME_FULL or self._keeper is None:
            return False
        if not self._just_pruned and self._keeper.make_space(wanted_bytes):
            # Some file systems free space late: one savefile must not be pruned for each try.
            self._just_pruned = True
            return True
        if self._give_up_at is not None and time.monotonic() >= self._give_up_at:
            return False
        now = time.monotonic()
        if not self._just_pruned and self._stuck_since is None and now >= self._say_stuck_at:
            self._stuck_since = now
            self._say_stuck_at = now + SAY_STUCK_S
            left = self._keeper.what_is_left
            text = f"[!] {self._log_dir}: {error.strerror}, {left}: waiting for room"
            self._tell("volume_full", text)
        self._just_pruned = False
        time.sleep(RETRY_S)
        return True

    def written(self) -> None:
        """Note that packets were written: there is room."""
        self._just_pruned = False
        if self._stuck_since is not None:
            seconds = time.monotonic() - self._stuck_since
            self._stuck_since = None
            text = f"[!] {self._log_dir}: room again after {seconds:.1f} s"
            self._tell("volume_room", text, seconds=round(seconds, 3))
