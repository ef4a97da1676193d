"""CRC-32 for native code; see crc32.pyx."""
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t

# Go on with a CRC-32, at first 0, over `count` bytes.
cdef uint32_t crc32_of(uint32_t crc, const uint8_t *data, size_t count) noexcept nogil
