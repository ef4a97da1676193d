"""When a frame is due that leaves with the timing it was recorded with.

The recorded gaps are added up and divided once, so that no rounding and no late wake-up is
carried on. Where the recorded clock was put back, the gap counts as none.
"""
from libc.stdint cimport uint64_t

cdef struct Pace:
    double factor  # how many times as fast as recorded; 0: no pace at all
    bint begun
    uint64_t origin_ns  # CLOCK_MONOTONIC when the first frame left
    uint64_t elapsed_ns  # recorded time from the first frame to this one
    uint64_t last_ns  # time stamp of this one


cdef inline uint64_t advance(Pace *pace, uint64_t time_ns, uint64_t now_ns) noexcept nogil:
    """Go on to the frame stamped `time_ns`; the CLOCK_MONOTONIC time at which it is due."""
    cdef uint64_t gap_ns = 0
    cdef double wait_ns
    if not pace.begun:
        pace.begun = True
        pace.origin_ns = now_ns
    elif time_ns > pace.last_ns:
        gap_ns = time_ns - pace.last_ns
    if pace.elapsed_ns + gap_ns >= pace.elapsed_ns:  # else the stamps are nonsense
        pace.elapsed_ns += gap_ns
    pace.last_ns = time_ns
    wait_ns = pace.elapsed_ns / pace.factor
    # 9e18 ns, 285 years, is what fits beside the clock in 64 bits.
    return pace.origin_ns + <uint64_t>min(wait_ns, 9e18)
