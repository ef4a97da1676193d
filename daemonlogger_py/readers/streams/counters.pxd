"""The next counter of names that are taken, so that nobody has to try them all again.

Bounded: a name that had to go is counted up to again, from 1, when it comes back.
"""
from libc.stdint cimport uint8_t, uint64_t

cdef enum:
    # 4096 places of 4 names each: 256 KiB.
    COUNTER_PLACES = 4096
    COUNTERS_EACH = 4

cdef struct Counter:
    uint64_t key  # hash of a name without its counter
    uint64_t next_count  # 0: the entry is not used


cdef inline uint64_t hash_of(const char *data, size_t count) noexcept nogil:
    """FNV-1a, 64 bits, with its high bits folded into the low ones that choose the place."""
    cdef uint64_t value = 0xCBF29CE484222325ULL
    cdef size_t i
    for i in range(count):
        value = (value ^ <uint8_t>data[i]) * <uint64_t>0x100000001B3ULL
    return value ^ (value >> 32)


cdef inline Counter *find_counter(Counter *counters, uint64_t key) noexcept nogil:
    cdef Counter *place = &counters[key % COUNTER_PLACES * COUNTERS_EACH]
    cdef int i
    for i in range(COUNTERS_EACH):
        if place[i].key == key and place[i].next_count:
            return &place[i]
    return NULL


cdef inline void remember(Counter *counters, uint64_t key, uint64_t next_count) noexcept nogil:
    """Keep a counter, in place of that one which is found again with the fewest attempts."""
    cdef Counter *place = &counters[key % COUNTER_PLACES * COUNTERS_EACH]
    cdef Counter *target = find_counter(counters, key)
    cdef int i
    if target == NULL:
        target = place
        for i in range(1, COUNTERS_EACH):
            if place[i].next_count < target.next_count:
                target = &place[i]
    target[0] = Counter(key, next_count)
