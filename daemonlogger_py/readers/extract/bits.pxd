"""Numbers of 32 bits of which some bits are not known, and what the operations of BPF make of them.

Each operation answers for every number its operands may be: a bit is known in the result only if it
is the same for all of them. Formulas of `add` and `subtract`: Vishwanathan et al., Sound, Precise,
and Fast Abstract Interpretation with Tristate Numbers, CGO 2022.
"""
cimport cython

from libc.stdint cimport uint32_t

cdef enum:
    ALL_BITS = 0xFFFFFFFF

cdef enum Answer:
    ANSWER_NO = 0
    ANSWER_YES = 1
    ANSWER_UNSURE = 2

cdef struct Bits:
    uint32_t value  # 0 where a bit is unknown
    uint32_t unknown


cdef inline Bits exactly(uint32_t value) noexcept nogil:
    cdef Bits made
    made.value = value
    made.unknown = 0
    return made


cdef inline Bits partly(uint32_t value, uint32_t unknown) noexcept nogil:
    cdef Bits made
    made.value = value & ~unknown
    made.unknown = unknown
    return made


cdef inline Bits anything() noexcept nogil:
    return partly(0, ALL_BITS)


cdef inline uint32_t least(Bits a) noexcept nogil:
    return a.value


cdef inline uint32_t most(Bits a) noexcept nogil:
    return a.value | a.unknown


cdef inline Bits up_to(uint32_t limit) noexcept nogil:
    """Any number from 0 to `limit`: the bits above its highest are 0."""
    limit |= limit >> 1
    limit |= limit >> 2
    limit |= limit >> 4
    limit |= limit >> 8
    limit |= limit >> 16
    return partly(0, limit)


cdef inline Bits either(Bits a, Bits b) noexcept nogil:
    """One or the other."""
    return partly(a.value, a.unknown | b.unknown | (a.value ^ b.value))


cdef inline Bits add(Bits a, Bits b) noexcept nogil:
    cdef uint32_t low = a.value + b.value
    return partly(low, ((low + a.unknown + b.unknown) ^ low) | a.unknown | b.unknown)


cdef inline Bits subtract(Bits a, Bits b) noexcept nogil:
    cdef uint32_t middle = a.value - b.value
    return partly(
        middle, ((middle + a.unknown) ^ (middle - b.unknown)) | a.unknown | b.unknown
    )


cdef inline Bits multiply(Bits a, Bits b) noexcept nogil:
    cdef uint32_t lowest
    if not a.unknown | b.unknown:
        return exactly(a.value * b.value)
    lowest = (most(a) & -most(a)) * (most(b) & -most(b))  # what both are multiples of
    if not lowest:
        return exactly(0)
    return partly(0, -lowest)


@cython.cdivision(True)
cdef inline Bits divide(Bits a, Bits b) noexcept nogil:
    """`b` is not 0; where it may be, the caller sees to what happens then."""
    if not a.unknown | b.unknown:
        return exactly(a.value // b.value)
    return up_to(most(a) // max(least(b), 1))


@cython.cdivision(True)
cdef inline Bits remainder(Bits a, Bits b) noexcept nogil:
    """`b` is not 0; where it may be, the caller sees to what happens then."""
    if not a.unknown | b.unknown:
        return exactly(a.value % b.value)
    if not b.unknown and not b.value & (b.value - 1):
        return both(a, exactly(b.value - 1))
    return up_to(min(most(a), most(b) - 1))


cdef inline Bits both(Bits a, Bits b) noexcept nogil:
    return partly(a.value & b.value, most(a) & most(b) & (a.unknown | b.unknown))


cdef inline Bits any_of(Bits a, Bits b) noexcept nogil:
    return partly(a.value | b.value, (a.unknown | b.unknown) & ~(a.value | b.value))


cdef inline Bits differing(Bits a, Bits b) noexcept nogil:
    return partly(a.value ^ b.value, a.unknown | b.unknown)


cdef inline Bits shift_left(Bits a, Bits count) noexcept nogil:
    """By 32 or more: nothing is left, or, in some builds of libpcap, anything."""
    if count.unknown or count.value > 31:
        return anything()
    return partly(a.value << count.value, a.unknown << count.value)


cdef inline Bits shift_right(Bits a, Bits count) noexcept nogil:
    """By 32 or more: nothing is left, or, in some builds of libpcap, anything."""
    if count.unknown or count.value > 31:
        return anything()
    return partly(a.value >> count.value, a.unknown >> count.value)


cdef inline Answer is_equal(Bits a, Bits b) noexcept nogil:
    if (a.value ^ b.value) & ~(a.unknown | b.unknown):
        return ANSWER_NO
    return ANSWER_UNSURE if a.unknown | b.unknown else ANSWER_YES


cdef inline Answer is_greater(Bits a, Bits b) noexcept nogil:
    if least(a) > most(b):
        return ANSWER_YES
    return ANSWER_UNSURE if most(a) > least(b) else ANSWER_NO


cdef inline Answer is_at_least(Bits a, Bits b) noexcept nogil:
    if least(a) >= most(b):
        return ANSWER_YES
    return ANSWER_UNSURE if most(a) >= least(b) else ANSWER_NO


cdef inline Answer has_any(Bits a, Bits b) noexcept nogil:
    """Whether some bit is set in both."""
    if a.value & b.value:
        return ANSWER_YES
    return ANSWER_UNSURE if most(a) & most(b) else ANSWER_NO
