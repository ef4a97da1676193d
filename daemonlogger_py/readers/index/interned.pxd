"""Byte strings, each kept once and known by a number: 0 for the first, then in order of arrival.

Whoever sends packets chooses what is kept here, so the hash is keyed at random and the number of
strings, and of their bytes, has a limit: what is beyond is refused with NOT_KEPT.
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcmp, memcpy

cdef extern from *:
    """
    static inline unsigned long long both_halves(unsigned long long a, unsigned long long b) {
        unsigned __int128 product = (unsigned __int128)a * b;
        return (unsigned long long)product ^ (unsigned long long)(product >> 64);
    }
    """
    uint64_t both_halves(uint64_t a, uint64_t b) noexcept nogil

cdef enum:
    NOT_KEPT = 0xFFFFFFFF  # over the limit
    NO_MEMORY = 0xFFFFFFFE
    FIRST_BUCKETS = 1024
    FIRST_BYTES = 65536


cdef struct Interned:
    uint64_t seed[2]  # odd
    uint32_t limit  # strings
    uint64_t limit_bytes
    uint32_t count
    uint32_t capacity
    uint64_t *offset  # [count + 1], into data
    uint32_t *hash  # [count]
    uint8_t *data
    uint64_t data_capacity
    uint32_t *buckets  # number + 1, or 0; open addressing
    uint32_t bucket_mask


cdef inline uint64_t hash_bytes(
    const uint8_t *data, size_t count, const uint64_t *seed
) noexcept nogil:
    """A hash nobody can predict who does not know the seed."""
    cdef uint64_t hashed = seed[1] ^ count
    cdef uint64_t words[2]
    while count >= 16:
        memcpy(words, data, 16)
        hashed = both_halves(words[0] ^ seed[0], words[1] ^ hashed)
        data += 16
        count -= 16
    words[0] = words[1] = 0
    memcpy(words, data, count)
    hashed = both_halves(words[0] ^ seed[0], words[1] ^ hashed)
    return both_halves(hashed ^ seed[1], seed[0])


cdef inline bint begin_interned(
    Interned *interned, const uint64_t *seed, uint32_t limit, uint64_t limit_bytes
) noexcept nogil:
    """`interned` is all zeros; False without memory. `free_interned` afterwards in any case."""
    interned.seed[0] = seed[0] | 1
    interned.seed[1] = seed[1] | 1
    interned.limit = limit
    interned.limit_bytes = limit_bytes
    interned.capacity = FIRST_BUCKETS // 2
    interned.data_capacity = FIRST_BYTES
    interned.offset = <uint64_t *>malloc((interned.capacity + 1) * sizeof(uint64_t))
    interned.hash = <uint32_t *>malloc(interned.capacity * sizeof(uint32_t))
    interned.data = <uint8_t *>malloc(interned.data_capacity)
    interned.buckets = <uint32_t *>calloc(FIRST_BUCKETS, sizeof(uint32_t))
    interned.bucket_mask = FIRST_BUCKETS - 1
    if (
        interned.offset == NULL
        or interned.hash == NULL
        or interned.data == NULL
        or interned.buckets == NULL
    ):
        return False
    interned.offset[0] = 0
    return True


cdef inline void free_interned(Interned *interned) noexcept nogil:
    free(interned.offset)
    free(interned.hash)
    free(interned.data)
    free(interned.buckets)
    interned.offset = NULL
    interned.hash = NULL
    interned.data = NULL
    interned.buckets = NULL


cdef inline bint grow_buckets(Interned *interned) noexcept nogil:
    """Twice the buckets, and room for as many strings as half of them."""
    cdef uint32_t buckets = (interned.bucket_mask + 1) * 2
    cdef uint32_t *grown = <uint32_t *>calloc(buckets, sizeof(uint32_t))
    cdef uint32_t number, bucket
    cdef void *longer
    if grown == NULL:
        return False
    for number in range(interned.count):
        bucket = interned.hash[number] & (buckets - 1)
        while grown[bucket]:
            bucket = (bucket + 1) & (buckets - 1)
        grown[bucket] = number + 1
    free(interned.buckets)
    interned.buckets = grown
    interned.bucket_mask = buckets - 1
    longer = realloc(interned.offset, (<size_t>buckets // 2 + 1) * sizeof(uint64_t))
    if longer == NULL:
        return False
    interned.offset = <uint64_t *>longer
    longer = realloc(interned.hash, <size_t>buckets // 2 * sizeof(uint32_t))
    if longer == NULL:
        return False
    interned.hash = <uint32_t *>longer
    interned.capacity = buckets // 2
    return True


cdef inline bint grow_data(Interned *interned, size_t more) noexcept nogil:
    cdef uint64_t wanted = interned.data_capacity * 2
    cdef void *longer
    while wanted < interned.offset[interned.count] + more:
        wanted *= 2
    longer = realloc(interned.data, wanted)
    if longer == NULL:
        return False
    interned.data = <uint8_t *>longer
    interned.data_capacity = wanted
    return True


cdef inline uint32_t intern_bytes(
    Interned *interned, const uint8_t *data, size_t count
) noexcept nogil:
    """The number of these bytes, as they are known or from now on; or NOT_KEPT, or NO_MEMORY."""
    cdef uint32_t hashed = <uint32_t>hash_bytes(data, count, interned.seed)
    cdef uint32_t bucket = hashed & interned.bucket_mask
    cdef uint32_t number = interned.buckets[bucket]
    cdef uint64_t start
    while number:
        number -= 1
        start = interned.offset[number]
        if (
            interned.hash[number] == hashed
            and interned.offset[number + 1] - start == count
            and memcmp(interned.data + start, data, count) == 0
        ):
            return number
        bucket = (bucket + 1) & interned.bucket_mask
        number = interned.buckets[bucket]
    start = interned.offset[interned.count]
    if interned.count >= interned.limit or start + count > interned.limit_bytes:
        return NOT_KEPT
    if start + count > interned.data_capacity and not grow_data(interned, count):
        return NO_MEMORY
    number = interned.count
    interned.buckets[bucket] = number + 1
    interned.hash[number] = hashed
    memcpy(interned.data + start, data, count)
    interned.offset[number + 1] = start + count
    interned.count += 1
    if interned.count == interned.capacity and not grow_buckets(interned):
        return NO_MEMORY
    return number
