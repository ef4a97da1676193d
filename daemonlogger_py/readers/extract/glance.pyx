"""Which savefiles need not be opened at all, from a glance at their sidecars.

Most savefiles of a ring hold nothing of what is looked for, and most of those not even the address
or the port. So before classes are judged one by one (judge.pyx), the filter's program is run once
on all of a sidecar's packets with a prefix of one form and a tail of another: a number that was
loaded may be any of the distinct words that the sidecar stores (distinct.pxd). What refuses each of
these packets refuses the savefile.

The postings are not read, nor what words belong together. Savefiles are believed to be those that
a sidecar was made of if name, size and time of modification are the same.
"""
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcmp, memcpy

import os

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
from daemonlogger_py.readers.extract.distinct cimport Forms, Pair, decide_any, lay_out_forms
from daemonlogger_py.readers.extract.instruction cimport (
    JUMP,
    NOT_UNDERSTOOD,
    RETURN_NUMBER,
    Instruction,
    Operation,
    decide,
    suppose,
)
from daemonlogger_py.readers.extract.program cimport Program
from daemonlogger_py.readers.extract.way cimport Way, step
from daemonlogger_py.readers.index.npz cimport NPZ_BYTES, Npz
from daemonlogger_py.readers.index.sidecar cimport (
    BELIEVED,
    Block,
    Content,
    Facts,
    Piece,
    Run,
    read_file,
    take_known,
)

from daemonlogger_py.engine.bpf import compile_for
from daemonlogger_py.errors import FilterError
from daemonlogger_py.readers.index.sidecar import sidecar_name

cdef enum:
    MOST_PROGRAMS = 8
    # Of a sidecar of some thousand classes all but the postings; else the whole is read after all.
    FIRST_BYTES = 65536

cdef enum Look:
    LOOK_CLOSER = 0
    PASS_OVER = 1
    COMPILE_FIRST = 2  # there is no program for its linktype so far

cdef struct Asked:  # about one savefile
    const char *sidecar
    const char *name
    size_t name_bytes
    uint64_t size_bytes
    int64_t modified_ns
    uint32_t linktype
    Look look

cdef bytes SUFFIX_BYTES = sidecar_name("").encode()
# Linktypes for which libpcap compiles the same program whatever the savefile's byte order is,
# which a sidecar does not say.
ORDERLESS = frozenset({1, 12, 101, 113, 228, 229, 276})


cdef class Glance:
    """A filter, and the room it needs: not to be used by two threads at once."""

    cdef str _text
    cdef list _programs
    cdef void *programs[MOST_PROGRAMS]  # what `_programs` holds
    cdef uint32_t linktypes[MOST_PROGRAMS]
    cdef uint32_t program_count
    cdef Way *ways
    cdef uint32_t way_count
    cdef Forms *forms
    cdef Piece file
    cdef uint64_t from_ns
    cdef uint64_t to_ns
    cdef readonly uint64_t savefiles  # passed over so far
    cdef readonly uint64_t blocks  # of these
    cdef readonly uint64_t blocks_outside
    cdef readonly uint64_t classes

    def __cinit__(self):
        self.forms = <Forms *>malloc(sizeof(Forms))
        if self.forms == NULL:
            raise MemoryError

    def __init__(self, str text not None, uint64_t from_ns, uint64_t to_ns):
        """Look for packets from `from_ns` to `to_ns`, both included, that the filter accepts."""
        self._text = text
        self._programs = []
        self.from_ns = from_ns
        self.to_ns = to_ns

    def __dealloc__(self):
        free(self.forms)
        free(self.ways)
        free(self.file.data)

    def passes_over(self, int dir_fd, savefiles):
        """For each savefile, whether it holds nothing that is looked for; a list of bool.

        `savefiles` are (name, size_bytes, modified_ns) as the file system has them; their sidecars
        are in the directory `dir_fd`. One whose sidecar is missing, old or damaged is not passed
        over, nor is one that was not indexed to its end.
        """
        cdef list held = []
        cdef size_t count = len(savefiles)
        cdef size_t i
        cdef Asked *asked = <Asked *>calloc(count + 1, sizeof(Asked))
        cdef bytes path, name
        if asked == NULL:
            raise MemoryError
        try:
            for i, (savefile, size_bytes, modified_ns) in enumerate(savefiles):
                name = os.fsencode(savefile)
                path = name + SUFFIX_BYTES
                held.append((name, path))
                asked[i].sidecar = path
                asked[i].name = name
                asked[i].name_bytes = len(name)
                asked[i].size_bytes = size_bytes
                asked[i].modified_ns = modified_ns
                asked[i].look = COMPILE_FIRST
            at = 0
            while at < count:
                at = self.look(dir_fd, asked, at, count)
            return [asked[i].look == PASS_OVER for i in range(count)]
        finally:
            free(asked)

    cdef size_t look(self, int dir_fd, Asked *asked, size_t at, size_t count) except? 0:
        """Look at savefiles from `at` on, and compile for the linktype where they end."""
        with nogil:
            while at < count:
                asked[at].look = self.look_at(dir_fd, &asked[at])
                if asked[at].look == COMPILE_FIRST:
                    break
                at += 1
        if at < count and not self.compile(asked[at].linktype):
            asked[at].look = LOOK_CLOSER
            at += 1
        return at

    cdef bint compile(self, uint32_t linktype) except -1:
        """Make a program for a linktype; False if there can be none."""
        cdef Program program
        cdef Way *ways
        if linktype not in ORDERLESS or self.program_count == MOST_PROGRAMS:
            return False
        try:
            program = Program(compile_for(linktype, 0, self._text).code)
        except FilterError:
            return False
        if program.instructions >= self.way_count:
            ways = <Way *>realloc(self.ways, (program.instructions + 1) * sizeof(Way))
            if ways == NULL:
                raise MemoryError
            self.ways = ways
            self.way_count = program.instructions + 1
        self._programs.append(program)
        self.programs[self.program_count] = <void *>program
        self.linktypes[self.program_count] = linktype
        self.program_count += 1
        return True

    cdef Look look_at(self, int dir_fd, Asked *asked) noexcept nogil:
        cdef Content content
        cdef Facts facts
        cdef uint32_t program = 0
        cdef uint32_t outside = 0
        if not (
            self.knows(dir_fd, asked.sidecar, FIRST_BYTES, &content)
            or self.knows(dir_fd, asked.sidecar, NPZ_BYTES, &content)
        ):
            return LOOK_CLOSER
        memcpy(&facts, content.facts.data, sizeof(Facts))
        if (
            facts.size_bytes != asked.size_bytes
            or facts.modified_ns != asked.modified_ns
            or facts.end_offset != facts.size_bytes
            or content.name.count != asked.name_bytes
            or memcmp(content.name.data, asked.name, asked.name_bytes)
        ):
            return LOOK_CLOSER
        asked.linktype = facts.linktype
        while program < self.program_count and self.linktypes[program] != facts.linktype:
            program += 1
        if program == self.program_count:
            return COMPILE_FIRST
        if self.is_within(&content, &outside) and self.may_match(
            <Program>self.programs[program], &content
        ):
            return LOOK_CLOSER
        self.savefiles += 1
        self.blocks += content.blocks.count
        self.blocks_outside += outside
        self.classes += content.tails.rows
        return PASS_OVER

    cdef bint knows(
        self, int dir_fd, const char *sidecar, size_t most, Content *content
    ) noexcept nogil:
        """Read as much of a sidecar, up to all that is known but the postings; False: it is not."""
        cdef Npz npz
        cdef size_t count = 0
        cdef size_t at = 0
        npz.count = 0
        return read_file(dir_fd, sidecar, &self.file, &count, most) == BELIEVED and take_known(
            <const uint8_t *>self.file.data, count, &at, &npz, content
        )

    cdef bint is_within(self, const Content *content, uint32_t *outside) noexcept nogil:
        """Whether there is a block with packets of the times."""
        cdef Block block
        cdef size_t i
        for i in range(content.blocks.count):
            memcpy(&block, content.blocks.data + i * sizeof(Block), sizeof(Block))
            outside[0] += block.first_ns > self.to_ns or block.last_ns < self.from_ns
        return outside[0] < content.blocks.count

    cdef bint may_match(self, Program program, const Content *content) noexcept nogil:
        """Whether some class may match; False is certain."""
        cdef Forms *forms = self.forms
        cdef Pair pair
        cdef Run run
        cdef size_t number
        cdef uint32_t prefix_form, before
        cdef uint32_t tail_form = 0
        cdef uint32_t tail_rows = 0  # of the tail's form that are left
        cdef uint32_t left, taken
        forms.columns_used = forms.spots_used = 0
        if not (
            lay_out_forms(&content.prefixes, forms, forms.prefixes, &forms.prefix_forms)
            and lay_out_forms(&content.tails, forms, forms.tails, &forms.tail_forms)
        ):
            return True
        pair.columns = forms.columns
        pair.prefix = pair.tail = NULL
        for number in range(content.runs.count):
            memcpy(&run, content.runs.data + number * sizeof(Run), sizeof(Run))
            prefix_form = before = 0
            while prefix_form < forms.prefix_forms and (
                run.prefix - before >= forms.prefixes[prefix_form].rows
            ):
                before += forms.prefixes[prefix_form].rows
                prefix_form += 1
            if prefix_form == forms.prefix_forms:
                return True
            left = run.classes
            while left:
                while tail_rows == 0:
                    if tail_form == forms.tail_forms:
                        return True
                    tail_rows = forms.tails[tail_form].rows
                    tail_form += 1
                taken = min(left, tail_rows)
                left -= taken
                tail_rows -= taken
                if (
                    pair.prefix == &forms.prefixes[prefix_form]
                    and pair.tail == &forms.tails[tail_form - 1]
                ):
                    continue
                pair.prefix = &forms.prefixes[prefix_form]
                pair.tail = &forms.tails[tail_form - 1]
                if self.may_accept(program, &pair):
                    return True
        # Every class has been in some run.
        return tail_rows != 0 or tail_form != forms.tail_forms

    cdef bint may_accept(self, Program program, const Pair *pair) noexcept nogil:
        """Whether the program may accept packets of this pair; False is certain."""
        cdef const Instruction *instruction
        cdef Operation operation
        cdef Way way
        cdef uint32_t at
        for at in range(program.instructions + 1):
            self.ways[at].reached = False
        way.a = exactly(0)
        way.x = exactly(0)
        way.origin.known = False
        for at in range(program.words):
            way.memory[at] = anything()
        self.reach(program, 0, &way)
        for at in range(program.instructions + 1):
            if not self.ways[at].reached:
                continue
            self.take(program, at, &way)
            instruction = &program.code[at]
            operation = <Operation>instruction.operation
            if operation < JUMP:
                if step(instruction, pair, &way):
                    self.reach(program, at + 1, &way)
            elif operation < RETURN_NUMBER:
                self.branch(program, instruction, pair, &way)
            elif operation == RETURN_NUMBER:
                if instruction.number:
                    return True
            elif operation == NOT_UNDERSTOOD or way.a.value or way.a.unknown:
                return True
        return False

    cdef void branch(
        self, Program program, const Instruction *instruction, const Pair *pair, Way *way
    ) noexcept nogil:
        cdef Operation operation = <Operation>instruction.operation
        cdef Bits operand = way.x if instruction.with_x else exactly(instruction.number)
        cdef Bits a = way.a
        cdef Answer answer
        if instruction.yes == instruction.no:
            self.reach(program, instruction.yes, way)
            return
        answer = decide(operation, a, operand)
        if answer == ANSWER_UNSURE and way.origin.known and not operand.unknown:
            answer = decide_any(pair, operation, &way.origin, operand.value)
        if answer != ANSWER_NO:
            suppose(operation, True, operand, &way.a)
            self.reach(program, instruction.yes, way)
            way.a = a
        if answer != ANSWER_YES:
            suppose(operation, False, operand, &way.a)
            self.reach(program, instruction.no, way)

    cdef void reach(self, Program program, uint32_t at, const Way *way) noexcept nogil:
        cdef Way *before = &self.ways[at]
        cdef uint32_t word
        if not before.reached:
            before.reached = True
            before.a = way.a
            before.x = way.x
            before.origin = way.origin
            for word in range(program.words):
                before.memory[word] = way.memory[word]
            return
        before.a = either(before.a, way.a)
        before.x = either(before.x, way.x)
        before.origin.known = (
            before.origin.known
            and way.origin.known
            and before.origin.offset == way.origin.offset
            and before.origin.size == way.origin.size
            and before.origin.mask == way.origin.mask
        )
        for word in range(program.words):
            before.memory[word] = either(before.memory[word], way.memory[word])

    cdef void take(self, Program program, uint32_t at, Way *way) noexcept nogil:
        cdef const Way *before = &self.ways[at]
        cdef uint32_t word
        way.a = before.a
        way.x = before.x
        way.origin = before.origin
        for word in range(program.words):
            way.memory[word] = before.memory[word]
