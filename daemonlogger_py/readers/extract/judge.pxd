"""Which blocks of a savefile may hold what a filter accepts; see judge.pyx."""
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from daemonlogger_py.readers.extract.instruction cimport LONGEST_TAIL, Known, Place
from daemonlogger_py.readers.extract.program cimport Program, State, Verdict
from daemonlogger_py.readers.extract.ranges cimport Ranges
from daemonlogger_py.readers.index.sidecar cimport Columns, Sidecar

cdef enum:
    PREFIX_SLOTS = 256

cdef struct Beginning:  # of the run for all classes of one prefix and shape
    uint64_t shape  # a number that no other shape of any sidecar had
    uint32_t prefix
    Verdict verdict
    State state  # where values are needed first

cdef struct Judgement:
    uint32_t classes_no
    uint32_t classes_yes
    uint32_t classes_unsure
    uint32_t classes_unjudged  # every block within the times was wanted already
    uint32_t blocks
    uint32_t blocks_outside  # the times
    uint32_t blocks_wanted
    bint damaged  # the sidecar contradicts itself: every block within the times is wanted


cdef class Judge:
    cdef Program program
    cdef uint64_t shapes_seen
    cdef Place tail[LONGEST_TAIL]
    cdef Beginning beginnings[PREFIX_SLOTS]

    cdef void judge(
        self, const Columns *columns, uint64_t from_ns, uint64_t to_ns, uint8_t *wanted,
        Judgement *told
    ) noexcept nogil
    cdef bint judge_classes(
        self, const Columns *columns, uint8_t *wanted, uint32_t *left, Judgement *told
    ) noexcept nogil
    cdef const Beginning *begin(
        self, const Columns *columns, uint32_t prefix, Known *known, uint32_t last_known
    ) noexcept nogil
    cdef Ranges select_columns(
        self, const Columns *columns, uint64_t from_ns, uint64_t to_ns, Judgement *told
    )
