"""The wish to stop reading, and the two descriptors by which every wait notices it.

`wake_fd` is what native sources wait on beside their input; it is read when it was looked at, as a
signal that changes nothing wakes them too. `stop_fd` is never read: once readable, it stays so.
"""

import os
import signal
from types import FrameType
from typing import Any, Self

from daemonlogger_py.service.wakeup import WakePipe

FINISHING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopping(WakePipe):
    """Somebody may ask, from any thread or a signal handler, that reading stops."""

    def __init__(self) -> None:
        super().__init__()
        self.stop_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.requested = False

    def request(self) -> None:
        """Ask for it; more than once does no harm. Nothing here blocks or takes a lock."""
        self.requested = True
        os.eventfd_write(self.stop_fd, 1)
        self.wake()

    def close(self) -> None:
        """Close the descriptors, after everything that waits for them."""
        super().close()
        os.close(self.stop_fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


class StopSignals(Stopping):
    """INT, TERM and HUP ask for it during a `with` block, in the main thread.

    `signal` is the first that came. Further ones do not make the end less orderly. A HUP that was
    ignored when the program was started, as by nohup(1), stays ignored.
    """

    def __init__(self) -> None:
        super().__init__()
        self.signal: signal.Signals | None = None
        self._before: dict[int, Any] = {}
        self._fd_before = -1

    def __enter__(self) -> Self:
        self._fd_before = signal.set_wakeup_fd(self._wake_write_fd, warn_on_full_buffer=False)
        for number in FINISHING:
            if number is signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:
                continue
            self._before[number] = signal.signal(number, self._finish)
        return self

    def __exit__(self, *_error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._fd_before)
        self.close()

    def _finish(self, number: int, _frame: FrameType | None) -> None:
        self.signal = self.signal or signal.Signals(number)
        self.request()
