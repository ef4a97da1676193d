"""Why a fill came back: the values of `protocol.Stop`, for native code."""

cdef enum Reason:
    GOING = 0
    FULL = 1
    SIZE = 2
    PACKETS = 3
    TIME = 4
    DEADLINE = 5
    WAKE = 6
    END = 7
    DAMAGED = 8
    FAILED = 9
