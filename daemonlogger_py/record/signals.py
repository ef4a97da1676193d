"""Signals as wishes the loop reads, and the descriptor that makes it look.

A handler only notes the wish; the number that the interpreter writes to the wake-up pipe ends
whatever native wait is going on, on an idle link too.
"""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn, Self

from daemonlogger_py.service.wakeup import WakePipe

FINISHING = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT)
HANDLED = (*FINISHING, signal.SIGHUP, signal.SIGUSR1)


class Signals(WakePipe):
    """Handlers for the duration of a `with` block, in the main thread.

    `wake_fd` becomes readable when a signal came or `wake()` was called; `close` ends it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.finish: signal.Signals | None = None
        self.finish_again = False
        self.roll = False
        self.statistics = False
        self.on_finish: Callable[[], None] = lambda: None
        """Called by the handler itself, for a source that waits where the loop cannot."""
        self._before: dict[int, Any] = {}
        self._fd_before = -1
        self._within_early = False

    def __enter__(self) -> Self:
        self._fd_before = signal.set_wakeup_fd(self._wake_write_fd, warn_on_full_buffer=False)
        # Of a lease that was held for a moment; its default is to kill.
        self._before[signal.SIGIO] = signal.signal(signal.SIGIO, signal.SIG_IGN)
        for number in FINISHING:
            self._before[number] = signal.signal(number, self._finish)
        self._before[signal.SIGHUP] = signal.signal(signal.SIGHUP, self._roll)
        self._before[signal.SIGUSR1] = signal.signal(signal.SIGUSR1, self._statistics)
        return self

    def __exit__(self, *_error: object) -> None:
        if self._within_early and self.finish is not None:
            _ignore_from_now_on()
        else:
            for number, handler in self._before.items():
                signal.signal(number, handler)
        signal.set_wakeup_fd(self._fd_before)

    @contextmanager
    def early(self) -> Iterator[None]:
        """Note HUP and USR1 before there is anything to record; INT, TERM and QUIT just end it.

        They unwind what was begun: TERM and QUIT raise SystemExit with a shell's status for them.
        After a recording that a signal has finished, there is nothing to end any more but the
        process: whatever comes then is ignored up to its end, and does not change its status.
        """
        handlers = {
            signal.SIGHUP: self._roll,
            signal.SIGUSR1: self._statistics,
            signal.SIGTERM: _leave,
            signal.SIGQUIT: _leave,
        }
        before = {number: signal.signal(number, handlers[number]) for number in handlers}
        self._within_early = True
        try:
            yield
        finally:
            self._within_early = False
            if self.finish is None:
                for number, handler in before.items():
                    signal.signal(number, handler)

    def _finish(self, number: int, _frame: FrameType | None) -> None:
        self.finish_again = self.finish is not None
        self.finish = signal.Signals(number)
        self.on_finish()

    def _roll(self, _number: int, _frame: FrameType | None) -> None:
        self.roll = True

    def _statistics(self, _number: int, _frame: FrameType | None) -> None:
        self.statistics = True


def _ignore_from_now_on() -> None:
    # Blocked meanwhile: Python complains of one that comes between two handlers.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)
    for number in HANDLED:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _leave(number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)
