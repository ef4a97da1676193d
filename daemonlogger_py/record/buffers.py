"""The memory between the loop and the disk: as much as is needed, never more than was allowed.

The buffer written last is filled next: it is still in the processor's cache, and a recorder whose
disk keeps up never touches more than two or three.
"""

from daemonlogger_py.engine.buffer import Buffer

# Smaller costs system calls, larger leaves the processor's cache.
BUFFER_BYTES = 512 * 1024
PAGE_BYTES = 4096
# One is filled, one is written, one is on its way.
LEAST = 3
# After a stall, this many stay allocated; the others go back to the system.
SPARE = 8


class BufferPool:
    """Buffers of BUFFER_BYTES and a record each, `memory_bytes` in all, but at least LEAST.

    Whole pages are allocated, so it may be a page more for each.

    The loop takes and the writer gives back, each from its own thread.
    """

    def __init__(self, record_bytes: int, memory_bytes: int) -> None:
        # A record is taken only where the largest one fits: the room for that comes on top.
        self.buffer_bytes = BUFFER_BYTES + record_bytes
        self.limit = max(LEAST, memory_bytes // self.buffer_bytes)
        self.allocated = 0
        self.starving = False
        """The loop found none: whoever gives one back has to wake it."""
        self._largest = self.buffer_bytes + PAGE_BYTES
        self._outgrown = 0
        self._spare: list[Buffer] = []

    @property
    def used(self) -> int:
        """Buffers that are being filled, or wait for the disk."""
        return max(0, self.allocated - self._outgrown - len(self._spare))

    def take(self) -> Buffer | None:
        """Return an empty buffer, or None when all allowed memory waits for the disk."""
        try:
            buffer = self._spare.pop()
        except IndexError:
            return self._allocate()
        buffer.clear()
        return buffer

    def _allocate(self) -> Buffer | None:
        if self.allocated - self._outgrown >= self.limit:
            return None
        try:
            buffer = Buffer(self.buffer_bytes)
        except MemoryError:
            if not self.allocated:
                raise
            self.limit = self.allocated  # the machine has no more, whatever was allowed
            return None
        self.allocated += 1
        return buffer

    def give(self, buffer: Buffer) -> None:
        """Return a buffer that was written."""
        if buffer.capacity > self._largest:
            self._outgrown += 1  # one very long record must not cost memory for ever
        else:
            self._spare.append(buffer)

    def shrink(self) -> None:
        """Let go of what a stall made necessary and a working disk does not need."""
        while len(self._spare) > SPARE:
            self._spare.pop(0)
            self.allocated -= 1
