"""What one instruction makes of packets whose known bytes may each have several values.

As instruction.pxd, but a number that was loaded is also remembered as what it is of the packet, so
that a branch can ask whether any packet has a certain one there.
"""
from libc.stdint cimport uint32_t, uint64_t

from daemonlogger_py.readers.extract.bits cimport (
    ALL_BITS,
    Bits,
    anything,
    both,
    exactly,
    shift_left,
)
from daemonlogger_py.readers.extract.distinct cimport Origin, Pair, load_any
from daemonlogger_py.readers.extract.instruction cimport (
    A_TO_X,
    AND,
    ENDS,
    FIRST_ANCILLARY,
    LOAD_AT,
    LOAD_BEHIND_X,
    MEMORY_WORDS,
    STORE_A,
    STORE_X,
    X_HEADER_LENGTH,
    X_LENGTH,
    X_MEMORY,
    X_NUMBER,
    Instruction,
    Operation,
    carry_out,
)

cdef struct Way:  # what is known where a way comes to an instruction
    bint reached
    Bits a
    Bits x
    Bits memory[MEMORY_WORDS]
    Origin origin  # of A


cdef inline bint step(const Instruction *instruction, const Pair *pair, Way *way) noexcept nogil:
    """Do what an instruction before JUMP says; False where it ends the program, for certain."""
    cdef Operation operation = <Operation>instruction.operation
    cdef Bits byte = anything()
    if operation == X_HEADER_LENGTH:
        if instruction.number < FIRST_ANCILLARY:
            load_any(pair, instruction.number, 1, &byte)
        way.x = shift_left(both(byte, exactly(0xF)), exactly(2))
        return True
    if operation == LOAD_AT or operation == LOAD_BEHIND_X:
        load(instruction, pair, way)
        return True
    if operation == AND and not instruction.with_x:
        way.origin.mask &= instruction.number
    elif not (
        operation == STORE_A
        or operation == STORE_X
        or operation == A_TO_X
        or operation == X_LENGTH
        or operation == X_MEMORY
        or operation == X_NUMBER
    ):
        way.origin.known = False
    return carry_out(instruction, NULL, &way.a, &way.x, way.memory) != ENDS


cdef inline void load(const Instruction *instruction, const Pair *pair, Way *way) noexcept nogil:
    cdef uint64_t offset = instruction.number
    way.a = anything()
    way.origin.known = False
    if instruction.number >= FIRST_ANCILLARY:
        return
    if instruction.operation == LOAD_BEHIND_X:
        if way.x.unknown:
            return
        offset += way.x.value
    way.origin.known = True
    way.origin.offset = offset
    way.origin.size = instruction.size
    way.origin.mask = <uint32_t>ALL_BITS >> (32 - 8 * instruction.size)
    load_any(pair, offset, instruction.size, &way.a)
