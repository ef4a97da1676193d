"""A filter's program, run on what is known of a class of packets; see program.pyx."""
from libc.stdint cimport uint8_t, uint32_t

from daemonlogger_py.readers.extract.bits cimport Bits
from daemonlogger_py.readers.extract.instruction cimport MEMORY_WORDS, Instruction, Known

cdef enum Verdict:
    VERDICT_NO = 0  # no packet of the class matches
    VERDICT_YES = 1  # every one does
    VERDICT_CANNOT_TELL = 2
    VERDICT_DEPENDS = 3  # on the class's values, which were not looked at

cdef struct State:  # of a run of the program, before an instruction
    uint32_t at
    bint may_end  # it may have ended with 0 before
    Bits a
    Bits x
    Bits memory[MEMORY_WORDS]


cdef class Program:
    cdef Instruction *code
    cdef uint32_t instructions
    cdef uint32_t words  # of memory that are used
    cdef uint8_t *reached
    cdef Bits *pending

    cdef void begin(self, State *state) noexcept nogil
    cdef Verdict run(self, const Known *known, State *state) noexcept nogil
    cdef Verdict run_from(self, const Known *known, const State *beginning) noexcept nogil
    cdef Verdict join(self, const Known *known, State *state) noexcept nogil
    cdef void branch(self, const Instruction *instruction, State *state) noexcept nogil
    cdef void reach(self, uint32_t at, const State *state) noexcept nogil
