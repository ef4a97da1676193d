"""The memory between the loop and the disk: as much as is needed, never more than was allowed.

The buffer written last is filled next: it is still in the processor's cache, and a recorder whose
disk keeps up never touches more than two or three.
"""

from daemonlogger_py.engine.buffer import Buffer

# Measured by `python -m bench buffers`: smaller costs system calls, larger costs cache misses.
BUFFER_BYTES = 256 * 1024
# One is filled, one is written, one is on its way.
LEAST = 3
# After a stall, this many stay allocated; the others go back to the system.
SPARE = 8


class BufferPool:
    """Buffers of BUFFER_BYTES and a record each, `memory_bytes` in all, but at least LEAST.

    The loop takes and the writer gives back, each from its own thread.
    """

    def __init__(self, record_bytes: int, memory_bytes: int) -> None:
        # A record is taken only where the largest one fits: the room for that comes on top.
        self.buffer_bytes = BUFFER_BYTES + record_bytes
        self.limit = max(LEAST, memory_bytes // self.buffer_bytes)
        self.allocated = 0
        self.starving = False
        """The loop found none: whoever gives one back has to wake it."""
        self._spare: list[Buffer] = []

    def take(self) -> Buffer | None:
        """Return an empty buffer, or None when all allowed memory waits for the disk."""
        try:
            buffer = self._spare.pop()
        except IndexError:
            if self.allocated >= self.limit:
                return None
            self.allocated += 1
            return Buffer(self.buffer_bytes)
        buffer.clear()
        return buffer

    def give(self, buffer: Buffer) -> None:
        """Return a buffer that was written."""
        self._spare.append(buffer)

    def shrink(self) -> None:
        """Let go of what a stall made necessary and a working disk does not need."""
        while len(self._spare) > SPARE:
            self._spare.pop(0)
            self.allocated -= 1
