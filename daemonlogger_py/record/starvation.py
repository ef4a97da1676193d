"""Says that all memory waits for the disk, and that it no longer does."""

import time

from daemonlogger_py.record.buffers import BufferPool
from daemonlogger_py.record.messages import Tell

NS_PER_SECOND = 1_000_000_000
# A disk that barely keeps up starves the loop many times a second; that is said this often.
STARVING_NS = 10 * NS_PER_SECOND


class Starvation:
    """How long the loop has had no buffer of `pool`. Times are those of CLOCK_MONOTONIC."""

    def __init__(self, pool: BufferPool, tell: Tell) -> None:
        self._pool = pool
        self._tell = tell
        self._since_ns = 0  # 0: there are buffers
        self._said = False
        self._say_again_ns = 0

    def go_on(self, now_ns: int) -> None:
        """Note that there is no buffer, and say so if it was not just said."""
        self._since_ns = self._since_ns or now_ns
        if self._said or now_ns < self._say_again_ns:
            return
        self._said = True
        self._say_again_ns = now_ns + STARVING_NS
        text = (
            f"[!] The disk does not keep up: all {self._pool.limit} buffers "
            f"({self._pool.limit * self._pool.buffer_bytes} bytes) wait for it; "
            "packets stay in the kernel's buffer"
        )
        self._tell("stalled", text)

    def end(self) -> None:
        """Note that there is a buffer, and say for how long there was none if that was said."""
        since_ns, self._since_ns = self._since_ns, 0
        if self._said:
            self._said = False
            seconds = (time.monotonic_ns() - since_ns) / NS_PER_SECOND
            self._tell("resumed", f"[!] The disk took buffers again after {seconds:.1f} s")
