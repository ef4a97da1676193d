"""Stands where the writer would for a soft tap that writes no savefiles."""

from daemonlogger_py.engine.buffer import Buffer
from daemonlogger_py.record.buffers import BufferPool


class NoWriter:
    """Gives buffers straight back to `pool`; see `record.writer.Writer`."""

    files = 0
    written_packets = 0
    written_bytes = 0
    lost_packets = 0
    failure = None
    current_path = None
    current_bytes = 0
    busy = False
    spoilt = False
    roll_bytes = 1 << 62
    """Never rolls over."""

    def __init__(self, pool: BufferPool) -> None:
        self._pool = pool

    def start(self) -> None:
        """There is no thread."""

    def wait_begun(self, timeout_s: float) -> None:
        """There is no savefile to begin."""

    def roll(self, epoch: int, why: str, dropped: int) -> None:
        """There is no savefile."""

    def write(self, buffer: Buffer, _offset: int, _length_bytes: int) -> None:
        """Give the buffer back."""
        self._pool.give(buffer)

    def write_end(self, data: bytes, offset: int) -> None:
        """Nothing is left over from a buffer."""

    def say(self, event: str, text: str, /, **facts: object) -> None:
        """What is said between savefiles is said of none."""

    def tick(self) -> None:
        """There is no ring."""

    def give_up_soon(self) -> None:
        """No volume is full."""

    def close(self, why: str, dropped: int) -> None:
        """Nothing is left to write."""
