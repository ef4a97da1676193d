"""What the recorder tells: lines for a person, or JSON objects, on standard error or to syslog.

Nobody who records waits for a reader of messages: they are written by a thread of their own, and
when a reader falls behind by thousands of lines, the lines that are left out are counted.
"""

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from select import POLLOUT, poll
from typing import Any, Literal, NamedTuple, Protocol

# About a megabyte of text; more than any reader that is alive falls behind.
CAPACITY = 10_000
# What an ending recorder gives a reader that does not read.
CLOSE_TIMEOUT_S = 2.0

# How grave a message is, as syslog counts (RFC 5424 section 6.2.1).
ERROR, WARNING, INFO = 3, 4, 6

# A terminal obeys control characters; in a message they come from names and filters.
_VISIBLE = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if code != 10}


class Tell(Protocol):
    """Says what happened: a short event name, the line a person reads, the facts in it."""

    def __call__(self, event: str, text: str, /, **facts: object) -> None:
        """Say it."""


class Log(Protocol):
    """Takes entries of one line each, as a syslogd does."""

    def log(self, severity: int, line: str, time_s: float, /) -> None:
        """Take a line said at `time_s`, seconds since 1970; may block, never raises."""


class _Message(NamedTuple):
    severity: int
    text: str
    time_s: float


class Messages:
    """A sink for messages, on descriptor `fd` or in `log`; `tell` never blocks and never raises.

    With `held`, messages are only collected, and there is no thread, until `release` or `close`.
    """

    def __init__(
        self,
        fd: int = 2,
        log_format: Literal["text", "json"] = "text",
        *,
        log: Log | None = None,
        held: bool = False,
    ) -> None:
        self._fd = fd
        self._json = log_format == "json"
        self._log = log
        self._held = held
        self._messages: deque[_Message] = deque()
        self._left_out = 0
        self._changed = threading.Condition()
        self._closing = False
        self._thread: threading.Thread | None = None
        self._hear: Callable[[str, dict[str, Any]], None] | None = None

    def listen(self, hear: Callable[[str, dict[str, Any]], None] | None) -> None:
        """Call `hear` with event and facts of each message, on the thread that tells it.

        It must not wait and not raise.
        """
        self._hear = hear

    def tell(self, event: str, text: str, /, **facts: object) -> None:
        """Say `text`; `event` and `facts` are what the JSON form adds to it."""
        if self._hear is not None:
            self._hear(event, facts)
        message = self._message(event, text, facts)
        with self._changed:
            if len(self._messages) >= CAPACITY:
                self._left_out += 1
                return
            self._messages.append(message)
            self._write_on()

    def release(self) -> None:
        """Write what was held, and from now on what is told: a thread may be started."""
        with self._changed:
            self._held = False
            self._write_on()

    def flush(self) -> None:
        """Write what is held, on this thread, without starting one; may block."""
        with self._changed:
            messages = list(self._messages)
            self._messages.clear()
        self._emit(messages)

    def close(self) -> None:
        """Write what is left, for at most CLOSE_TIMEOUT_S. May be called twice."""
        with self._changed:
            self._closing = True
            self._held = False
            self._write_on()
        if self._thread is not None:
            self._thread.join(CLOSE_TIMEOUT_S)

    def _write_on(self) -> None:
        if self._thread is None and self._messages and not self._held:
            thread = threading.Thread(target=self._work, name="messages", daemon=True)
            with suppress(RuntimeError):  # no thread to be had now: the next message tries
                thread.start()
                self._thread = thread
        self._changed.notify()

    def _message(self, event: str, text: str, facts: Mapping[str, object]) -> _Message:
        severity = INFO
        if event == "error":
            severity = ERROR
        elif text.startswith("[!]"):
            severity = WARNING
        text = self._render(event, text, facts) if self._json else text.translate(_VISIBLE)
        return _Message(severity, text, time.time())

    def _render(self, event: str, text: str, facts: Mapping[str, object]) -> str:
        import json  # 3 ms that the text form need not pay

        record = {"time": _now_utc(), "event": event, "message": text.strip(), **facts}
        return json.dumps(record, default=str)

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._messages and not self._closing:
                    self._changed.wait()
                if not self._messages:
                    return
                messages = list(self._messages)
                self._messages.clear()
                if self._left_out:
                    text = f"[!] {self._left_out} messages left out: nobody read them"
                    facts = {"left_out": self._left_out}
                    messages.append(self._message("left_out", text, facts))
                    self._left_out = 0
            self._emit(messages)

    def _emit(self, messages: Sequence[_Message]) -> None:
        if self._log is not None:
            self._enter(messages, self._log)
        elif messages:
            self._write("\n".join(message.text for message in messages) + "\n")

    def _enter(self, messages: Sequence[_Message], log: Log) -> None:
        for message in messages:
            for line in filter(str.strip, message.text.split("\n")):
                log.log(message.severity, line, message.time_s)

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
