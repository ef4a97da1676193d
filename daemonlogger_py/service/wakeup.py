"""The pipe by which a signal handler, or another thread, ends a wait."""

import os
from contextlib import suppress


class WakePipe:
    """`wake_fd` is readable from a wake-up until `drain`; a wait looks at it beside its input.

    The write end is for `signal.set_wakeup_fd`, too.
    """

    def __init__(self) -> None:
        self.wake_fd, self._wake_write_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def wake(self) -> None:
        """Make `wake_fd` readable, from any thread or a signal handler; never blocks."""
        with suppress(BlockingIOError):  # full: it is readable already
            os.write(self._wake_write_fd, b"\0")

    def drain(self) -> None:
        """Make `wake_fd` unreadable until the next signal or wake-up."""
        with suppress(BlockingIOError):
            while os.read(self.wake_fd, 4096):
                pass

    def close(self) -> None:
        """Close both ends, after everything that waits for them."""
        os.close(self.wake_fd)
        os.close(self._wake_write_fd)
