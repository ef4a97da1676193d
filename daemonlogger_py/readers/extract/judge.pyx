"""Which blocks of a savefile may hold a packet that a filter accepts, from its sidecar alone.

The filter's program judges each class (program.pyx). Classes that share a prefix and a shape share
the beginning of that run, up to where it needs a value of the class; with most filters that is all
of it for what is not IP. Whether a packet matches, the filter itself has to say: that, and reading
the blocks, is scan.pyx's affair; what a sidecar holds, sidecar.pyx's.
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from typing import NamedTuple

from daemonlogger_py.readers.extract.instruction cimport LONGEST_TAIL, Known, lay_out, sure_bytes
from daemonlogger_py.readers.extract.program cimport (
    VERDICT_DEPENDS,
    VERDICT_NO,
    VERDICT_YES,
    Program,
    Verdict,
)
from daemonlogger_py.readers.extract.ranges cimport LAST_NS, Range, Ranges
from daemonlogger_py.readers.index.sidecar cimport Columns, Sidecar

# Of a block, while classes are judged.

cdef enum:
    OUTSIDE = 0
    WANTED = 1
    WITHIN = 2  # the times, and nobody wants it so far
    # Blocks beside each other become one range up to here: long reads, yet close bounds on time.
    RANGE_BYTES = 1048576


class Selection(NamedTuple):
    """What has to be read of one savefile, and how that was found."""

    ranges: Ranges  # the blocks that are wanted, on record boundaries
    classes_no: int
    classes_yes: int
    classes_unsure: int
    classes_unjudged: int  # every block within the times was wanted already
    blocks: int
    blocks_outside: int  # the times
    blocks_wanted: int
    damaged: bool  # the sidecar contradicts itself: read the whole savefile


cdef class Judge:
    """A filter, and the room it needs: not to be used by two threads at once."""

    def __cinit__(self):
        self.shapes_seen = 0
        memset(self.beginnings, 0, sizeof(self.beginnings))

    def __init__(self, bytes code):
        """`code` is `Filter.code` of engine/bpf.pyx, compiled for the linktype of the sidecars."""
        self.program = Program(code)

    def select(self, Sidecar sidecar not None, uint64_t from_ns=0, uint64_t to_ns=LAST_NS):
        """Choose what has to be read of the sidecar's savefile; a Selection.

        Packets are looked for from `from_ns` to `to_ns`, both included.
        """
        cdef Judgement told
        ranges = self.select_columns(&sidecar.columns, from_ns, to_ns, &told)
        return Selection(
            ranges, told.classes_no, told.classes_yes, told.classes_unsure, told.classes_unjudged,
            told.blocks, told.blocks_outside, told.blocks_wanted, told.damaged,
        )

    cdef Ranges select_columns(
        self, const Columns *columns, uint64_t from_ns, uint64_t to_ns, Judgement *told
    ):
        cdef Ranges ranges = Ranges()
        cdef uint8_t *wanted = <uint8_t *>malloc(<size_t>columns.blocks + 1)
        cdef int failed
        if wanted == NULL:
            raise MemoryError
        with nogil:
            self.judge(columns, from_ns, to_ns, wanted, told)
            failed = gather(columns, wanted, ranges)
            free(wanted)
        if failed:
            raise MemoryError
        return ranges

    cdef void judge(
        self,
        const Columns *columns,
        uint64_t from_ns,
        uint64_t to_ns,
        uint8_t *wanted,
        Judgement *told,
    ) noexcept nogil:
        """Set `wanted`, one byte a block, to 1 where one may hold what is looked for, else to 0.

        Only blocks with packets from `from_ns` to `to_ns`, both included. The columns are as
        Sidecar has checked them; what it cannot check is looked at here.
        """
        cdef uint32_t block
        cdef uint32_t left
        memset(told, 0, sizeof(Judgement))
        told.blocks = columns.blocks
        left = mark_times(columns, from_ns, to_ns, wanted)
        told.blocks_outside = told.blocks - left
        told.damaged = not self.judge_classes(columns, wanted, &left, told)
        told.classes_unjudged = (
            columns.classes - told.classes_no - told.classes_yes - told.classes_unsure
        )
        for block in range(columns.blocks):
            wanted[block] = wanted[block] == WANTED or (told.damaged and wanted[block] == WITHIN)
            told.blocks_wanted += wanted[block]

    cdef bint judge_classes(
        self, const Columns *columns, uint8_t *wanted, uint32_t *left, Judgement *told
    ) noexcept nogil:
        """Want the blocks of all classes that are not "no"; whether the columns make sense."""
        cdef Known known
        cdef Verdict verdict
        cdef const Beginning *beginning = NULL
        cdef uint32_t shape
        cdef uint32_t values_bytes
        cdef uint32_t mask_bytes
        cdef uint32_t offset
        cdef uint32_t last_known = 0
        cdef uint32_t number = 0
        cdef uint32_t behind = 0
        cdef uint32_t prefix
        cdef const uint8_t *values = columns.values
        known.tail = self.tail
        for shape in range(columns.shapes):
            self.shapes_seen += 1
            offset = columns.shape_offset[shape]
            mask_bytes = columns.shape_offset[shape + 1] - offset
            values_bytes = lay_out(columns.shape_mask + offset, mask_bytes, self.tail, &last_known)
            known.tail_bytes = min(mask_bytes, <uint32_t>LONGEST_TAIL)
            if columns.shape_classes[shape] > columns.classes - number:
                return False
            behind = number + columns.shape_classes[shape]
            beginning = NULL
            while number < behind:
                if not left[0]:
                    return True
                prefix = columns.class_prefix[number]
                if prefix >= columns.prefixes:
                    return False
                if beginning == NULL or beginning.prefix != prefix:
                    beginning = self.begin(columns, prefix, &known, last_known)
                known.values = values
                verdict = beginning.verdict
                if verdict == VERDICT_DEPENDS:
                    verdict = self.program.run_from(&known, &beginning.state)
                if verdict == VERDICT_NO:
                    told.classes_no += 1
                else:
                    told.classes_yes += verdict == VERDICT_YES
                    told.classes_unsure += verdict != VERDICT_YES
                    if not want(columns, number, wanted, left):
                        return False
                values += values_bytes
                number += 1
        return number == columns.classes

    cdef const Beginning *begin(
        self, const Columns *columns, uint32_t prefix, Known *known, uint32_t last_known
    ) noexcept nogil:
        """What the program makes of a prefix and shape, before it needs a value of a class."""
        cdef Beginning *beginning = &self.beginnings[prefix % PREFIX_SLOTS]
        cdef uint32_t offset = columns.prefix_offset[prefix]
        known.prefix = columns.prefix_bytes + offset
        known.prefix_mask = columns.prefix_mask + offset
        known.prefix_bytes = columns.prefix_offset[prefix + 1] - offset
        known.sure_bytes = sure_bytes(known, last_known)
        if beginning.shape != self.shapes_seen or beginning.prefix != prefix:
            beginning.shape = self.shapes_seen
            beginning.prefix = prefix
            known.values = NULL
            self.program.begin(&beginning.state)
            beginning.verdict = self.program.run(known, &beginning.state)
        return beginning


cdef inline uint32_t mark_times(
    const Columns *columns, uint64_t from_ns, uint64_t to_ns, uint8_t *wanted
) noexcept nogil:
    """Mark the blocks with packets of that time as WITHIN, others as OUTSIDE; how many within."""
    cdef uint32_t within = 0
    cdef uint32_t block
    for block in range(columns.blocks):
        wanted[block] = OUTSIDE
        if columns.block_first_ns[block] <= to_ns and columns.block_last_ns[block] >= from_ns:
            wanted[block] = WITHIN
            within += 1
    return within


cdef inline bint want(
    const Columns *columns, uint32_t number, uint8_t *wanted, uint32_t *left
) noexcept nogil:
    """Mark the blocks of a class as WANTED if they are within; whether its postings make sense."""
    cdef const uint8_t *at = columns.postings + columns.posting_offset[number]
    cdef const uint8_t *end = columns.postings + columns.posting_offset[number + 1]
    cdef uint64_t block = 0
    cdef uint64_t step
    cdef uint32_t shift
    if at == end:
        return False
    while at < end:
        step = at[0] & 0x7F
        shift = 7
        while at[0] & 0x80:
            at += 1
            if at == end or shift > 28:
                return False
            step |= <uint64_t>(at[0] & 0x7F) << shift
            shift += 7
        at += 1
        block += step
        if block >= columns.blocks:
            return False
        if wanted[block] == WITHIN:
            wanted[block] = WANTED
            left[0] -= 1
    return True


cdef inline int gather(const Columns *columns, const uint8_t *wanted, Ranges ranges) noexcept nogil:
    """Make ranges of the wanted blocks, those beside each other together; -1: no memory."""
    cdef Range *last
    cdef uint64_t end = 0
    cdef uint32_t block
    ranges.ordered = columns.ordered
    for block in range(columns.blocks):
        if not wanted[block]:
            continue
        last = &ranges.items[ranges.count - 1] if ranges.count else NULL
        end = columns.block_offset[block + 1]
        if last != NULL and last.end == columns.block_offset[block] and (
            end - last.begin <= RANGE_BYTES
        ):
            last.end = end
            last.packets += columns.block_packets[block]
            last.early_ns = min(last.early_ns, columns.block_first_ns[block])
            last.late_ns = max(last.late_ns, columns.block_last_ns[block])
        elif ranges.append(
            columns.block_offset[block],
            end,
            columns.block_packets[block],
            columns.block_first_ns[block],
            columns.block_last_ns[block],
        ) < 0:
            return -1
    ranges.bound()
    return 0
