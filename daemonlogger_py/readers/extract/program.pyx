"""A filter's program, run on what is known of a class of packets.

As long as every branch is decided there is one way through. From the first that is not, both ways
are followed together, instruction by instruction to the end: where ways meet, only what is the same
on both remains known. A program only jumps forward, so that this is one pass. A jump backward,
which "protochain" makes, and whatever else is not understood, ends in "cannot tell".

Soundness: "no" and "yes" are said only of classes of which no packet, and every packet, is accepted
by libpcap's bpf_filter. Which classes there are is judge.pyx's affair.
"""
from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memset

import struct

from daemonlogger_py.readers.extract.bits cimport (
    ANSWER_NO,
    ANSWER_UNSURE,
    ANSWER_YES,
    Answer,
    Bits,
    anything,
    either,
    exactly,
)
from daemonlogger_py.readers.extract.instruction cimport (
    A_TO_X,
    ADD,
    AND,
    DEPENDS,
    DIVIDE,
    ENDS,
    GOES_ON,
    IF_ANY,
    IF_AT_LEAST,
    IF_EQUAL,
    IF_GREATER,
    JUMP,
    LOAD_AT,
    LOAD_BEHIND_X,
    LOAD_LENGTH,
    LOAD_MEMORY,
    LOAD_NUMBER,
    LONGEST_TAIL,
    MEMORY_WORDS,

    MULTIPLY,
    NEGATE,
    NOT_UNDERSTOOD,
    OR,
    REMAINDER,
    RETURN_A,
    RETURN_NUMBER,
    SHIFT_LEFT,
    SHIFT_RIGHT,
    STORE_A,
    STORE_X,
    SUBTRACT,
    X_HEADER_LENGTH,
    X_LENGTH,
    X_MEMORY,
    X_NUMBER,
    X_TO_A,
    XOR,
    Effect,
    Instruction,
    Known,
    Operation,
    Place,
    carry_out,
    decide,
    lay_out,
    suppose,
    sure_bytes,
)

INSTRUCTION = struct.Struct("=HBBI")  # struct bpf_insn of bpf(4)

# Operation, size of what is loaded, whether X is the operand; by the instruction's code, bpf(4).
OPERATIONS = {
    0x00: (LOAD_NUMBER, 0, False),
    0x20: (LOAD_AT, 4, False),
    0x28: (LOAD_AT, 2, False),
    0x30: (LOAD_AT, 1, False),
    0x40: (LOAD_BEHIND_X, 4, False),
    0x48: (LOAD_BEHIND_X, 2, False),
    0x50: (LOAD_BEHIND_X, 1, False),
    0x60: (LOAD_MEMORY, 0, False),
    0x80: (LOAD_LENGTH, 0, False),
    0x01: (X_NUMBER, 0, False),
    0x61: (X_MEMORY, 0, False),
    0x81: (X_LENGTH, 0, False),
    0xB1: (X_HEADER_LENGTH, 1, False),
    0x02: (STORE_A, 0, False),
    0x03: (STORE_X, 0, False),
    0x84: (NEGATE, 0, False),
    0x05: (JUMP, 0, False),
    0x06: (RETURN_NUMBER, 0, False),
    0x16: (RETURN_A, 0, False),
    0x07: (A_TO_X, 0, False),
    0x87: (X_TO_A, 0, False),
}
# With the number in the instruction, or, by one more bit, with X.
WITH_OPERAND = {
    0x04: ADD,
    0x14: SUBTRACT,
    0x24: MULTIPLY,
    0x34: DIVIDE,
    0x44: OR,
    0x54: AND,
    0x64: SHIFT_LEFT,
    0x74: SHIFT_RIGHT,
    0x94: REMAINDER,
    0xA4: XOR,
    0x15: IF_EQUAL,
    0x25: IF_GREATER,
    0x35: IF_AT_LEAST,
    0x45: IF_ANY,
}
OPERATIONS |= {code: (operation, 0, False) for code, operation in WITH_OPERAND.items()}
OPERATIONS |= {code | 8: (operation, 0, True) for code, operation in WITH_OPERAND.items()}
IN_MEMORY = {LOAD_MEMORY, X_MEMORY, STORE_A, STORE_X}


def understand(int number, int count, int code, int if_so, int if_not, uint32_t operand):
    """The instruction with that number of `count`, as the fields of an Instruction.

    Where it would go backward or beyond the end, it goes to the number `count`.
    """
    operation, size, with_x = OPERATIONS.get(code, (NOT_UNDERSTOOD, 0, False))
    if operation in IN_MEMORY and operand >= MEMORY_WORDS:
        operation = NOT_UNDERSTOOD
    if operation in {DIVIDE, REMAINDER} and not with_x and operand == 0:
        operation = NOT_UNDERSTOOD
    yes = no = number + 1
    if operation == JUMP:
        # libpcap takes the distance as signed.
        yes = no = number + 1 + operand if operand < 2**31 else count
    elif operation in {IF_EQUAL, IF_GREATER, IF_AT_LEAST, IF_ANY}:
        yes += if_so
        no += if_not
    return operation, size, with_x, operand, min(yes, count), min(no, count)


cdef class Program:
    """A program, and the room its runs need: not to be used by two threads at once."""

    def __cinit__(self, bytes code):
        cdef Instruction *instruction
        cdef size_t count = len(code) // INSTRUCTION.size
        self.code = <Instruction *>calloc(count + 1, sizeof(Instruction))
        self.reached = <uint8_t *>calloc(count + 1, 1)
        if self.code == NULL or self.reached == NULL:
            raise MemoryError
        self.instructions = count
        self.words = 0
        for number, fields in enumerate(INSTRUCTION.iter_unpack(code[:count * INSTRUCTION.size])):
            instruction = &self.code[number]
            (
                instruction.operation, instruction.size, instruction.with_x, instruction.number,
                instruction.yes, instruction.no,
            ) = understand(number, count, *fields)
            if instruction.operation in IN_MEMORY:
                self.words = max(self.words, instruction.number + 1)
        self.code[count].operation = NOT_UNDERSTOOD
        self.pending = <Bits *>malloc((count + 1) * (2 + self.words) * sizeof(Bits))
        if self.pending == NULL:
            raise MemoryError

    def __init__(self, bytes code):
        """`code` is `Filter.code` of engine/bpf.pyx: 8 bytes an instruction, any at all."""

    def __dealloc__(self):
        free(self.code)
        free(self.reached)
        free(self.pending)

    cdef void begin(self, State *state) noexcept nogil:
        """Set `state` to where every run begins."""
        cdef uint32_t word
        state.at = 0
        state.may_end = False
        state.a = exactly(0)
        state.x = exactly(0)
        for word in range(self.words):
            state.memory[word] = anything()  # libpcap does not clear it

    cdef Verdict run_from(self, const Known *known, const State *beginning) noexcept nogil:
        """Follow the program from `beginning`, with values."""
        cdef State state
        cdef uint32_t word
        state.at = beginning.at
        state.may_end = beginning.may_end
        state.a = beginning.a
        state.x = beginning.x
        for word in range(self.words):
            state.memory[word] = beginning.memory[word]
        return self.run(known, &state)

    cdef Verdict run(self, const Known *known, State *state) noexcept nogil:
        """Follow the program from `state`.

        Without values, it may be VERDICT_DEPENDS: `state` is then where to begin with them.
        """
        cdef const Instruction *instruction
        cdef Bits a = state.a
        cdef Bits x = state.x
        cdef Bits operand
        cdef State shared
        cdef bint may_end = state.may_end
        cdef uint32_t at = state.at
        cdef Operation operation
        cdef Effect effect = GOES_ON
        cdef Answer answer
        while True:
            instruction = &self.code[at]
            operation = <Operation>instruction.operation
            if operation < JUMP:
                effect = carry_out(instruction, known, &a, &x, state.memory)
                if effect == GOES_ON:
                    at += 1
                    continue
                if effect == ENDS:
                    return VERDICT_NO
                if effect == DEPENDS:
                    break
                may_end = True
                at += 1
            elif operation < RETURN_NUMBER:
                operand = x if instruction.with_x else exactly(instruction.number)
                answer = decide(operation, a, operand)
                if answer == ANSWER_YES or instruction.yes == instruction.no:
                    at = instruction.yes
                elif answer == ANSWER_UNSURE:
                    break
                else:
                    at = instruction.no
            else:
                return returned(instruction, a, may_end)
        state.a = a
        state.x = x
        state.at = at
        state.may_end = may_end
        if known.values == NULL:
            if effect == DEPENDS:
                return VERDICT_DEPENDS
            shared = state[0]
            state = &shared
        return self.join(known, state)

    cdef Verdict join(self, const Known *known, State *state) noexcept nogil:
        """Follow both ways from the branch at `state` on, and from all that come."""
        cdef Verdict found
        cdef const Instruction *instruction
        cdef bint may_be_no = state.may_end
        cdef bint may_be_yes = False
        cdef uint32_t at
        cdef Effect effect
        cdef Verdict verdict
        cdef const Bits *before
        cdef uint32_t word
        cdef uint32_t first = state.at
        self.reach(first, state)
        for at in range(first, self.instructions + 1):
            if not self.reached[at]:
                continue
            self.reached[at] = 0
            before = &self.pending[at * (2 + self.words)]
            state.a = before[0]
            state.x = before[1]
            for word in range(self.words):
                state.memory[word] = before[2 + word]
            instruction = &self.code[at]
            if instruction.operation < JUMP:
                effect = carry_out(instruction, known, &state.a, &state.x, state.memory)
                if effect == DEPENDS:
                    found = VERDICT_DEPENDS
                    break
                may_be_no |= effect != GOES_ON
                if effect != ENDS:
                    self.reach(at + 1, state)
            elif instruction.operation < RETURN_NUMBER:
                self.branch(instruction, state)
            else:
                verdict = returned(instruction, state.a, False)
                may_be_no |= verdict != VERDICT_YES
                may_be_yes |= verdict != VERDICT_NO
            if may_be_no and may_be_yes:
                found = VERDICT_CANNOT_TELL
                break
        else:
            return VERDICT_YES if may_be_yes else VERDICT_NO
        memset(&self.reached[at], 0, self.instructions + 1 - at)
        return found

    cdef void branch(self, const Instruction *instruction, State *state) noexcept nogil:
        """Reach what comes after a jump, with what is then known."""
        cdef Operation operation = <Operation>instruction.operation
        cdef Bits operand = state.x if instruction.with_x else exactly(instruction.number)
        cdef Bits a = state.a
        cdef Answer answer
        if instruction.yes == instruction.no:
            self.reach(instruction.yes, state)
            return
        answer = decide(operation, a, operand)
        if answer != ANSWER_NO:
            suppose(operation, True, operand, &state.a)
            self.reach(instruction.yes, state)
            state.a = a
        if answer != ANSWER_YES:
            suppose(operation, False, operand, &state.a)
            self.reach(instruction.no, state)

    cdef void reach(self, uint32_t at, const State *state) noexcept nogil:
        """Note what is known where a way comes to an instruction."""
        cdef Bits *before = &self.pending[at * (2 + self.words)]
        cdef bint again = self.reached[at]
        cdef uint32_t word
        self.reached[at] = 1
        before[0] = either(before[0], state.a) if again else state.a
        before[1] = either(before[1], state.x) if again else state.x
        for word in range(2, 2 + self.words):
            before[word] = (
                either(before[word], state.memory[word - 2]) if again else state.memory[word - 2]
            )

    def verdict(self, bytes known, bytes mask, uint32_t prefix_bytes=0):
        """Judge one class by itself: True, False, or None for "cannot tell".

        Of its packets those bits of `known` are known that are set in `mask`, which is of the
        same length. `prefix_bytes` of them are what the class shares with others; what is said
        does not depend on it. Raises ValueError for lengths that contradict each other.
        """
        cdef bytes values
        cdef Known packets
        cdef State state
        cdef Verdict verdict
        cdef Place tail[LONGEST_TAIL]
        cdef uint32_t last_known = 0
        if len(known) != len(mask) or prefix_bytes > len(mask):
            raise ValueError("mask and known bytes are not of one length, or the prefix is longer")
        values = bytes(
            [byte for byte, bits in zip(known[prefix_bytes:], mask[prefix_bytes:]) if bits]
        )
        packets.prefix = known
        packets.prefix_mask = mask
        packets.prefix_bytes = prefix_bytes
        packets.tail = tail
        packets.tail_bytes = min(len(mask) - prefix_bytes, LONGEST_TAIL)
        lay_out(
            <const uint8_t *>mask + prefix_bytes, len(mask) - prefix_bytes, tail, &last_known
        )
        packets.sure_bytes = sure_bytes(&packets, last_known)
        packets.values = NULL
        self.begin(&state)
        verdict = self.run(&packets, &state)
        if verdict == VERDICT_DEPENDS:
            packets.values = values
            verdict = self.run_from(&packets, &state)
        return None if verdict == VERDICT_CANNOT_TELL else verdict == VERDICT_YES


cdef inline Verdict returned(
    const Instruction *instruction, Bits a, bint may_end
) noexcept nogil:
    """What comes of an instruction that ends the program."""
    if instruction.operation == RETURN_NUMBER:
        a = exactly(instruction.number)
    elif instruction.operation == NOT_UNDERSTOOD:
        return VERDICT_CANNOT_TELL
    if a.value:
        return VERDICT_CANNOT_TELL if may_end else VERDICT_YES
    return VERDICT_CANNOT_TELL if a.unknown else VERDICT_NO
