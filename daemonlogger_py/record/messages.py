"""What the recorder tells: lines for a person, or JSON objects, on standard error.

Nobody who records waits for a reader of messages: they are written by a thread of their own, and
when a reader falls behind by thousands of lines, the lines that are left out are counted.
"""

import os
import threading
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from select import POLLOUT, poll
from typing import Literal, Protocol

# About a megabyte of text; more than any reader that is alive falls behind.
CAPACITY = 10_000
# What an ending recorder gives a reader that does not read.
CLOSE_TIMEOUT_S = 2.0


# A terminal obeys control characters; in a message they come from names and filters.
_VISIBLE = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if code != 10}


class Tell(Protocol):
    """Says what happened: a short event name, the line a person reads, the facts in it."""

    def __call__(self, event: str, text: str, /, **facts: object) -> None:
        """Say it."""


class Messages:
    """A sink for messages on descriptor `fd`; `tell` never blocks and never raises."""

    def __init__(self, fd: int = 2, log_format: Literal["text", "json"] = "text") -> None:
        self._fd = fd
        self._json = log_format == "json"
        self._lines: deque[str] = deque()
        self._left_out = 0
        self._changed = threading.Condition()
        self._closing = False
        self._thread: threading.Thread | None = None

    def tell(self, event: str, text: str, /, **facts: object) -> None:
        """Say `text`; `event` and `facts` are what the JSON form adds to it."""
        line = self._render(event, text, facts) if self._json else text.translate(_VISIBLE)
        with self._changed:
            if len(self._lines) >= CAPACITY:
                self._left_out += 1
                return
            self._lines.append(line)
            if self._thread is None:
                thread = threading.Thread(target=self._work, name="messages", daemon=True)
                with suppress(RuntimeError):  # no thread to be had now: the next message tries
                    thread.start()
                    self._thread = thread
            self._changed.notify()

    def close(self) -> None:
        """Write what is left, for at most CLOSE_TIMEOUT_S. May be called twice."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(CLOSE_TIMEOUT_S)

    def _render(self, event: str, text: str, facts: Mapping[str, object]) -> str:
        import json  # 3 ms that the text form need not pay

        record = {"time": _now_utc(), "event": event, "message": text.strip(), **facts}
        return json.dumps(record, default=str)

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._lines and not self._closing:
                    self._changed.wait()
                if not self._lines:
                    return
                lines = list(self._lines)
                self._lines.clear()
                if self._left_out:
                    text = f"[!] {self._left_out} messages left out: nobody read them"
                    facts = {"left_out": self._left_out}
                    lines.append(self._render("left_out", text, facts) if self._json else text)
                    self._left_out = 0
            self._write("\n".join(lines) + "\n")

    def _wait_writable(self) -> None:
        waiter = poll()
        waiter.register(self._fd, POLLOUT)
        waiter.poll()

    def _write(self, text: str) -> None:
        data = memoryview(text.encode(errors="surrogateescape"))
        try:
            while data:
                try:
                    data = data[os.write(self._fd, data) :]
                except BlockingIOError:
                    self._wait_writable()
        except OSError:
            return  # the reader is gone; recording is not


def printable(name: str) -> str:
    """A file's name with its control characters escaped, line ends too: it is not ours."""
    return name.replace("\n", "\\n").translate(_VISIBLE)


def _now_utc() -> str:
    seconds, ns = divmod(time.time_ns(), 1_000_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{ns // 1000:06d}Z"
