"""What a savefile is made into while it is read: known bytes by number, and who is in which block.

Every table is bounded: what comes when one is full is of the opaque class, of which nothing is
known, and what is in the tables stays true. Laying them out as columns is arranging.pxd's.
"""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy, memset

from daemonlogger_py.flow.cursor cimport VARYING_BYTES
from daemonlogger_py.flow.layers cimport Layers
from daemonlogger_py.readers.index.interned cimport (
    NO_MEMORY,
    Interned,
    begin_interned,
    free_interned,
    intern_bytes,
)
from daemonlogger_py.readers.index.npz cimport Output, free_output, put_bytes, put_u32
from daemonlogger_py.readers.index.rows cimport MOST_PREFIXES, known_bytes

cdef enum:
    PREFIXES_BYTES = 0x1000000
    MOST_SHAPES = 4096
    SHAPES_BYTES = 0x100000
    MOST_CLASSES = 0x100000
    CLASSES_BYTES = 0x4000000
    # What a sidecar may come to: a sixteenth of its savefile, within these. A flood of invented
    # addresses is worth no more; what is beyond it is opaque.
    LEAST_BUDGET_BYTES = 0x10000
    MOST_BUDGET_BYTES = 0x2000000
    CLASS_COST_BYTES = 4  # of a class, besides its values
    POSTING_COST_BYTES = 2
    OPAQUE = 0

cdef struct Span:  # a block
    uint64_t offset
    uint64_t first_ns
    uint64_t last_ns
    uint32_t packets
    uint32_t log_end  # of its entries in the log

cdef struct Build:
    Interned prefixes  # mask, then values
    Interned shapes  # masks
    Interned classes  # number of the prefix, of the shape, values
    Output spans
    Output log  # for each block the classes that are in it, each once
    uint32_t *last_block  # for each class the last block it was logged in + 1, or 0
    uint32_t last_block_capacity
    int64_t budget_bytes
    uint64_t packets
    uint64_t end_offset
    uint64_t last_ns
    bint unordered
    bint failed


cdef inline bint begin(Build *build, uint64_t size_bytes, const uint64_t *seed) noexcept nogil:
    """Make the tables, with an opaque class in them; False without memory."""
    cdef uint8_t opaque[8]
    memset(opaque, 0, sizeof(opaque))
    build.budget_bytes = <int64_t>min(
        max(size_bytes // 16, <uint64_t>LEAST_BUDGET_BYTES), <uint64_t>MOST_BUDGET_BYTES
    )
    return (
        begin_interned(&build.prefixes, seed, MOST_PREFIXES, PREFIXES_BYTES)
        and begin_interned(&build.shapes, seed, MOST_SHAPES, SHAPES_BYTES)
        and begin_interned(&build.classes, seed, MOST_CLASSES, CLASSES_BYTES)
        and intern_bytes(&build.prefixes, opaque, 0) == 0
        and intern_bytes(&build.shapes, opaque, 0) == 0
        and intern_bytes(&build.classes, opaque, sizeof(opaque)) == OPAQUE
    )


cdef inline void end(Build *build) noexcept nogil:
    free_interned(&build.prefixes)
    free_interned(&build.shapes)
    free_interned(&build.classes)
    free_output(&build.spans)
    free_output(&build.log)
    free(build.last_block)
    build.last_block = NULL


cdef inline uint32_t class_of(
    Build *build, const uint8_t *frame, const Layers *layers
) noexcept nogil:
    """The number of the class of a frame; OPAQUE where it has none."""
    cdef uint8_t key[2 * VARYING_BYTES + 8]
    cdef const uint8_t *mask = &layers.known.same[0]
    cdef uint32_t split = layers.split
    cdef uint32_t i, known
    cdef uint32_t numbers[2]
    cdef uint32_t number
    cdef uint32_t before = build.classes.count
    cdef uint32_t prefixes_before = build.prefixes.count
    memcpy(key, mask, split)
    for i in range(split):
        key[split + i] = frame[i] & mask[i]
    numbers[0] = intern_bytes(&build.prefixes, key, 2 * split)
    numbers[1] = intern_bytes(&build.shapes, mask + split, layers.end - split)
    if numbers[0] >= NO_MEMORY or numbers[1] >= NO_MEMORY:
        build.failed = build.failed or numbers[0] == NO_MEMORY or numbers[1] == NO_MEMORY
        return OPAQUE
    if build.prefixes.count > prefixes_before:
        spend(build, known_bytes(mask, split))
    memcpy(key, numbers, sizeof(numbers))
    known = sizeof(numbers)
    for i in range(split, layers.end):
        key[known] = frame[i] & mask[i]
        known += mask[i] != 0
    number = intern_bytes(&build.classes, key, known)
    if number >= NO_MEMORY:
        build.failed = build.failed or number == NO_MEMORY
        return OPAQUE
    if build.classes.count > before:
        spend(build, CLASS_COST_BYTES + <int64_t>known - <int64_t>sizeof(numbers))
    return number


cdef inline void spend(Build *build, int64_t count) noexcept nogil:
    """Take from the budget; when it is used up, nothing new is kept."""
    build.budget_bytes -= count
    if build.budget_bytes < 0:
        build.prefixes.limit = build.prefixes.count
        build.shapes.limit = build.shapes.count
        build.classes.limit = build.classes.count


cdef inline bint has_last_block(Build *build, uint32_t number) noexcept nogil:
    cdef uint32_t wanted
    cdef void *longer
    if number < build.last_block_capacity:
        return True
    wanted = max(<uint32_t>1024, build.last_block_capacity * 2)
    longer = realloc(build.last_block, wanted * sizeof(uint32_t))
    if longer == NULL:
        build.failed = True
        return False
    build.last_block = <uint32_t *>longer
    memset(
        build.last_block + build.last_block_capacity,
        0,
        (wanted - build.last_block_capacity) * sizeof(uint32_t),
    )
    build.last_block_capacity = wanted
    return True


cdef inline void log_class(Build *build, uint32_t number, uint32_t block) noexcept nogil:
    """A packet of the class is in the block, which is the last one so far."""
    if not has_last_block(build, number) or build.last_block[number] == block + 1:
        return
    if number != OPAQUE:
        if build.budget_bytes < 0:
            log_class(build, OPAQUE, block)
            return
        spend(build, POSTING_COST_BYTES)
    build.last_block[number] = block + 1
    put_u32(&build.log, number)


cdef inline Span *span_for(
    Build *build, uint64_t offset, uint64_t end_offset, uint64_t time_ns, uint64_t block_bytes
) noexcept nogil:
    """The block that the record from `offset` to `end_offset` is in; NULL without memory."""
    cdef Span fresh
    cdef Span *span = <Span *>build.spans.data
    cdef size_t count = build.spans.used // sizeof(Span)
    if count == 0 or end_offset - span[count - 1].offset > block_bytes:
        memset(&fresh, 0, sizeof(fresh))
        fresh.offset = offset
        fresh.first_ns = fresh.last_ns = time_ns
        put_bytes(&build.spans, &fresh, sizeof(fresh))
        if build.spans.failed:
            build.failed = True
            return NULL
        count += 1
    span = <Span *>build.spans.data + count - 1
    span.first_ns = min(span.first_ns, time_ns)
    span.last_ns = max(span.last_ns, time_ns)
    span.packets += 1
    return span
