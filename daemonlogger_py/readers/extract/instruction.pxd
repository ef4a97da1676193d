"""What one instruction of classic BPF makes of packets of which some bytes are known.

What follows from instructions one after the other is program.pyx's affair. Instructions: bpf(4) and
libpcap's bpf_filter.c, whose behaviour decides: a load beyond the captured bytes and a division by
zero end the program with 0, which refuses the packet.
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from daemonlogger_py.readers.extract.bits cimport (
    ALL_BITS,
    Answer,
    Bits,
    add,
    any_of,
    anything,
    both,
    differing,
    divide,
    exactly,
    has_any,
    is_at_least,
    is_equal,
    is_greater,
    most,
    multiply,
    partly,
    remainder,
    shift_left,
    shift_right,
    subtract,
)

cdef enum:
    MEMORY_WORDS = 16
    # Loads from here on mean something else than a byte of the packet, where they are known at all.
    FIRST_ANCILLARY = 0xFFFFF000
    LONGEST_TAIL = 1024  # bytes of a tail that are looked at; those behind count as unknown

# Those that only compute come first, those that branch after them, those that end last.
cdef enum Operation:
    LOAD_AT = 0
    LOAD_BEHIND_X
    LOAD_LENGTH
    LOAD_NUMBER
    LOAD_MEMORY
    X_LENGTH
    X_NUMBER
    X_MEMORY
    X_HEADER_LENGTH
    STORE_A
    STORE_X
    ADD
    SUBTRACT
    MULTIPLY
    DIVIDE
    REMAINDER
    AND
    OR
    XOR
    SHIFT_LEFT
    SHIFT_RIGHT
    NEGATE
    A_TO_X
    X_TO_A
    JUMP
    IF_EQUAL
    IF_GREATER
    IF_AT_LEAST
    IF_ANY
    RETURN_NUMBER
    RETURN_A
    NOT_UNDERSTOOD  # whatever it does

cdef struct Instruction:
    uint8_t operation
    uint8_t size  # of a load, in bytes
    uint8_t with_x  # the other operand is X, not the number
    uint32_t number
    uint32_t yes  # where it goes on, always further down
    uint32_t no

cdef struct Place:  # of one byte of a tail
    uint16_t index  # in the values of a class
    uint8_t mask
    uint8_t run  # bytes known in full from here on

cdef struct Known:  # of the packets of one class
    const uint8_t *prefix
    const uint8_t *prefix_mask
    uint32_t prefix_bytes
    const Place *tail
    uint32_t tail_bytes
    const uint8_t *values  # NULL: what is asked is what is true whatever they are
    uint64_t sure_bytes  # captured of every packet

cdef enum Effect:
    GOES_ON
    MAY_END  # with 0; else it goes on
    ENDS  # with 0
    DEPENDS  # on the values


cdef inline uint32_t lay_out(
    const uint8_t *mask, uint32_t mask_bytes, Place *places, uint32_t *last_known
) noexcept nogil:
    """Note for a tail's bytes which are known, and where; returns how many values a class has.

    `places` are as many as the tail has bytes, at most LONGEST_TAIL; `last_known` is how many
    bytes those are up to the last that is known.
    """
    cdef uint32_t count = min(mask_bytes, <uint32_t>LONGEST_TAIL)
    cdef uint32_t index = 0
    cdef uint32_t at
    cdef uint8_t run = 0
    last_known[0] = 0
    for at in range(count):
        places[at].index = <uint16_t>index
        places[at].mask = mask[at]
        if mask[at]:
            index += 1
            last_known[0] = at + 1
    for at in range(count, mask_bytes):
        index += mask[at] != 0
    at = count
    while at:
        at -= 1
        run = <uint8_t>min(run + 1, 255) if mask[at] == 0xFF else 0
        places[at].run = run
    return index


cdef inline uint64_t sure_bytes(const Known *known, uint32_t last_known) noexcept nogil:
    """How many bytes every packet has: up to the last of which a bit is known."""
    cdef uint32_t count = known.prefix_bytes
    if last_known:
        return <uint64_t>count + last_known
    while count and not known.prefix_mask[count - 1]:
        count -= 1
    return count


cdef inline Bits byte_at(const Known *known, uint64_t offset) noexcept nogil:
    cdef const Place *place
    cdef uint8_t mask
    if offset < known.prefix_bytes:
        mask = known.prefix_mask[offset]
        return partly(known.prefix[offset] & mask, <uint8_t>~mask)
    offset -= known.prefix_bytes
    if offset < known.tail_bytes and known.tail[offset].mask:
        place = &known.tail[offset]
        return partly(known.values[place.index] & place.mask, <uint8_t>~place.mask)
    return partly(0, 0xFF)


cdef inline uint32_t big_endian(const uint8_t *at, uint32_t size) noexcept nogil:
    if size == 1:
        return at[0]
    if size == 2:
        return <uint32_t>at[0] << 8 | at[1]
    return <uint32_t>at[0] << 24 | <uint32_t>at[1] << 16 | <uint32_t>at[2] << 8 | at[3]


cdef inline Effect load(
    const Known *known, uint64_t offset, uint32_t size, Bits *loaded
) noexcept nogil:
    """Load a big-endian number of `size` bytes: 1, 2 or 4."""
    cdef uint64_t at = offset - known.prefix_bytes  # behind the tail if it is in the prefix
    cdef uint32_t number
    cdef Bits byte
    if at < known.tail_bytes and known.tail[at].run >= size and known.values != NULL:
        loaded[0] = exactly(big_endian(known.values + known.tail[at].index, size))
        return GOES_ON
    if (
        known.values == NULL
        and offset + size > known.prefix_bytes
        and offset < <uint64_t>known.prefix_bytes + known.tail_bytes
    ):
        return DEPENDS
    loaded[0] = exactly(0)
    for number in range(size):
        byte = byte_at(known, offset + number)
        loaded.value = loaded.value << 8 | byte.value
        loaded.unknown = loaded.unknown << 8 | byte.unknown
    return GOES_ON if offset + size <= known.sure_bytes else MAY_END


cdef inline Effect load_packet(
    const Instruction *instruction, const Known *known, Bits x, Bits *loaded
) noexcept nogil:
    if instruction.number >= FIRST_ANCILLARY:
        loaded[0] = anything()
        return MAY_END
    if x.unknown:
        loaded[0] = partly(0, <uint32_t>ALL_BITS >> (32 - 8 * instruction.size))
        return MAY_END
    return load(known, <uint64_t>instruction.number + x.value, instruction.size, loaded)


cdef inline Effect load_header_length(
    const Instruction *instruction, const Known *known, Bits *x
) noexcept nogil:
    """Four times the low half of a byte: the length of an IPv4 header."""
    cdef Bits byte
    cdef Effect effect = load_packet(instruction, known, exactly(0), &byte)
    if effect != DEPENDS:
        x[0] = shift_left(both(byte, exactly(0xF)), exactly(2))
    return effect


cdef inline Effect compute(Operation operation, Bits operand, Bits *a) noexcept nogil:
    if operation == ADD:
        a[0] = add(a[0], operand)
    elif operation == SUBTRACT:
        a[0] = subtract(a[0], operand)
    elif operation == MULTIPLY:
        a[0] = multiply(a[0], operand)
    elif operation == AND:
        a[0] = both(a[0], operand)
    elif operation == OR:
        a[0] = any_of(a[0], operand)
    elif operation == XOR:
        a[0] = differing(a[0], operand)
    elif operation == SHIFT_LEFT:
        a[0] = shift_left(a[0], operand)
    elif operation == SHIFT_RIGHT:
        a[0] = shift_right(a[0], operand)
    elif operation == DIVIDE or operation == REMAINDER:
        if most(operand) == 0:
            return ENDS
        a[0] = divide(a[0], operand) if operation == DIVIDE else remainder(a[0], operand)
        return GOES_ON if operand.value else MAY_END
    return GOES_ON


cdef inline Effect carry_out(
    const Instruction *instruction, const Known *known, Bits *a, Bits *x, Bits *memory
) noexcept nogil:
    """Do what an instruction before JUMP says."""
    cdef Operation operation = <Operation>instruction.operation
    if operation == LOAD_AT:
        return load_packet(instruction, known, exactly(0), a)
    elif operation == LOAD_BEHIND_X:
        return load_packet(instruction, known, x[0], a)
    elif operation == LOAD_LENGTH:
        a[0] = anything()
    elif operation == LOAD_NUMBER:
        a[0] = exactly(instruction.number)
    elif operation == LOAD_MEMORY:
        a[0] = memory[instruction.number]
    elif operation == X_LENGTH:
        x[0] = anything()
    elif operation == X_NUMBER:
        x[0] = exactly(instruction.number)
    elif operation == X_MEMORY:
        x[0] = memory[instruction.number]
    elif operation == X_HEADER_LENGTH:
        return load_header_length(instruction, known, x)
    elif operation == STORE_A:
        memory[instruction.number] = a[0]
    elif operation == STORE_X:
        memory[instruction.number] = x[0]
    elif operation == NEGATE:
        a[0] = subtract(exactly(0), a[0])
    elif operation == A_TO_X:
        x[0] = a[0]
    elif operation == X_TO_A:
        a[0] = x[0]
    else:
        return compute(operation, x[0] if instruction.with_x else exactly(instruction.number), a)
    return GOES_ON


cdef inline Answer decide(Operation operation, Bits a, Bits operand) noexcept nogil:
    """Which way a branch goes."""
    if operation == IF_EQUAL:
        return is_equal(a, operand)
    if operation == IF_ANY:
        return has_any(a, operand)
    if operation == IF_GREATER:
        return is_greater(a, operand)
    return is_at_least(a, operand)


cdef inline void suppose(Operation operation, bint answer, Bits operand, Bits *a) noexcept nogil:
    """What is known of A where the branch has gone that way."""
    if operand.unknown:
        return
    if operation == IF_EQUAL and answer:
        a[0] = operand
    elif operation == IF_ANY and not answer:
        a[0] = both(a[0], exactly(~operand.value))
    elif operation == IF_ANY and not operand.value & (operand.value - 1):
        a[0] = any_of(a[0], operand)
