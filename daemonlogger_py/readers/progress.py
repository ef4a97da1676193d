"""How far a long reading is, as a bar on standard error.

Only where somebody can see it: on a terminal, and where `rich` is installed. Without one of them
nothing is shown, and nothing is wrong.
"""

import sys
import time
from typing import TYPE_CHECKING, Self, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

# A bar that moves more often only costs time.
EVERY_NS = 100_000_000


class Progress:
    """A bar from 0 to `total_bytes` for the length of a `with` block; None: how much is not known.

    With `wanted` False, or where nobody would see it, `update` does nothing.
    """

    def __init__(
        self, total_bytes: int | None, *, wanted: bool = True, stream: TextIO | None = None
    ) -> None:
        self._total_bytes = total_bytes
        self._stream = sys.stderr if stream is None else stream
        self._wanted = wanted and self._stream.isatty()
        self._bar: Bar | None = None
        self._task: TaskID | None = None
        self._due_ns = 0

    @property
    def shown(self) -> bool:
        """Whether there is a bar."""
        return self._bar is not None

    def __enter__(self) -> Self:
        if self._wanted:
            self._bar = _bar(self._stream)
        if self._bar is not None:
            self._bar.start()
            self._task = self._bar.add_task("", total=self._total_bytes)
        return self

    def __exit__(self, *_error: object) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def update(self, done_bytes: int) -> None:
        """Say how far it is; call it as often as you like."""
        if self._bar is None or self._task is None:
            return
        now_ns = time.monotonic_ns()
        if now_ns >= self._due_ns:
            self._due_ns = now_ns + EVERY_NS
            self._bar.update(self._task, completed=done_bytes, refresh=True)


def _bar(stream: TextIO) -> "Bar | None":
    try:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )
    except ImportError:
        return None
    return Progress(
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Console(file=stream),
        auto_refresh=False,  # by a thread that would compete with the reading
        transient=True,
        redirect_stdout=False,
    )
