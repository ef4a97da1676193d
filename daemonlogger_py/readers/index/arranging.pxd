"""The tables of a savefile to the columns of its sidecar, sorted: always the same columns."""
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy, memset

from daemonlogger_py.readers.index.interned cimport Interned
from daemonlogger_py.readers.index.sidecar cimport Columns, Piece
from daemonlogger_py.readers.index.tables cimport Build, Span

cdef extern from "<stdlib.h>" nogil:
    void qsort_r(
        void *base,
        size_t count,
        size_t size,
        int (*compare)(const void *, const void *, void *) noexcept nogil,
        void *context,
    )

cdef struct Ranked:  # what sorts, and whose it is
    uint64_t rank
    uint64_t head  # the first eight bytes
    uint32_t number


cdef inline int by_rank(const void *one, const void *other, void *interned) noexcept nogil:
    """By rank, then by bytes."""
    cdef const Ranked *a = <const Ranked *>one
    cdef const Ranked *b = <const Ranked *>other
    cdef const Interned *of = <const Interned *>interned
    cdef uint64_t a_at, b_at
    if a.rank != b.rank:
        return 1 if a.rank > b.rank else -1
    if a.head != b.head:
        return 1 if a.head > b.head else -1
    # Strings of one rank are of one length.
    a_at = of.offset[a.number]
    b_at = of.offset[b.number]
    return memcmp(of.data + a_at, of.data + b_at, of.offset[a.number + 1] - a_at)


cdef inline uint64_t head_of(const uint8_t *data, uint64_t count) noexcept nogil:
    """Up to eight bytes as a number that sorts as they do."""
    cdef uint64_t head = 0
    cdef uint64_t i
    for i in range(8):
        head = head << 8 | (data[i] if i < count else 0)
    return head


cdef inline Ranked *sorted_strings(const Interned *interned) noexcept nogil:
    """Numbers by length, then bytes; NULL without memory."""
    cdef Ranked *ranked = <Ranked *>malloc((interned.count + <size_t>1) * sizeof(Ranked))
    cdef uint32_t i
    if ranked == NULL:
        return NULL
    for i in range(interned.count):
        ranked[i].number = i
        ranked[i].rank = interned.offset[i + 1] - interned.offset[i]
        ranked[i].head = head_of(interned.data + interned.offset[i], ranked[i].rank)
    qsort_r(ranked, interned.count, sizeof(Ranked), by_rank, <void *>interned)
    return ranked


cdef struct Sorted:  # all tables in the order in which they are written
    Ranked *prefixes
    Ranked *shapes
    Ranked *classes
    uint32_t *prefix_rank
    uint32_t *shape_rank
    uint32_t *postings_bytes  # by class
    uint32_t *last_block  # by class
    uint32_t kept  # classes with postings


cdef inline void free_sorted(Sorted *of) noexcept nogil:
    free(of.prefixes)
    free(of.shapes)
    free(of.classes)
    free(of.prefix_rank)
    free(of.shape_rank)
    free(of.postings_bytes)
    free(of.last_block)


cdef inline uint32_t *ranks_of(const Ranked *ranked, uint32_t count) noexcept nogil:
    cdef uint32_t *ranks = <uint32_t *>malloc((count + <size_t>1) * sizeof(uint32_t))
    cdef uint32_t i
    if ranks != NULL and ranked != NULL:
        for i in range(count):
            ranks[ranked[i].number] = i
    return ranks


cdef inline bint sort_tables(const Build *build, Sorted *of) noexcept nogil:
    """False without memory."""
    cdef uint32_t count = build.classes.count
    cdef uint32_t i, size
    cdef uint32_t numbers[2]
    cdef const uint8_t *key
    of.prefixes = sorted_strings(&build.prefixes)
    of.shapes = sorted_strings(&build.shapes)
    of.prefix_rank = ranks_of(of.prefixes, build.prefixes.count)
    of.shape_rank = ranks_of(of.shapes, build.shapes.count)
    of.classes = <Ranked *>malloc(count * sizeof(Ranked))
    of.postings_bytes = <uint32_t *>malloc(count * sizeof(uint32_t))
    of.last_block = <uint32_t *>malloc(count * sizeof(uint32_t))
    if (
        of.prefixes == NULL
        or of.shapes == NULL
        or of.prefix_rank == NULL
        or of.shape_rank == NULL
        or of.classes == NULL
        or of.postings_bytes == NULL
        or of.last_block == NULL
    ):
        return False
    measure_postings(build, of)
    of.kept = 0
    for i in range(count):
        if of.postings_bytes[i] == 0:
            continue
        key = build.classes.data + build.classes.offset[i]
        size = <uint32_t>(build.classes.offset[i + 1] - build.classes.offset[i])
        memcpy(numbers, key, sizeof(numbers))
        of.classes[of.kept].number = i
        of.classes[of.kept].rank = (
            <uint64_t>of.shape_rank[numbers[1]] << 32 | of.prefix_rank[numbers[0]]
        )
        of.classes[of.kept].head = head_of(key + sizeof(numbers), size - sizeof(numbers))
        of.kept += 1
    qsort_r(of.classes, of.kept, sizeof(Ranked), by_rank, <void *>&build.classes)
    return True


cdef inline uint32_t leb128_bytes(uint32_t value) noexcept nogil:
    cdef uint32_t count = 1
    while value > 0x7F:
        value >>= 7
        count += 1
    return count


cdef inline void measure_postings(const Build *build, Sorted *of) noexcept nogil:
    cdef const Span *spans = <const Span *>build.spans.data
    cdef const uint32_t *log = <const uint32_t *>build.log.data
    cdef uint32_t block, number
    cdef uint32_t at = 0
    memset(of.postings_bytes, 0, build.classes.count * sizeof(uint32_t))
    memset(of.last_block, 0, build.classes.count * sizeof(uint32_t))
    for block in range(<uint32_t>(build.spans.used // sizeof(Span))):
        while at < spans[block].log_end:
            number = log[at]
            of.postings_bytes[number] += leb128_bytes(block - of.last_block[number])
            of.last_block[number] = block
            at += 1


cdef inline void write_postings(
    const Build *build, Sorted *of, uint32_t *posting_offset, uint8_t *postings
) noexcept nogil:
    """All postings, class by class in their order; `of.postings_bytes` becomes where each is."""
    cdef const Span *spans = <const Span *>build.spans.data
    cdef const uint32_t *log = <const uint32_t *>build.log.data
    cdef uint32_t block, number, i, step
    cdef uint32_t offset = 0
    cdef uint32_t at = 0
    for i in range(of.kept):
        number = of.classes[i].number
        posting_offset[i] = offset
        step = of.postings_bytes[number]
        of.postings_bytes[number] = offset
        offset += step
    posting_offset[of.kept] = offset
    memset(of.last_block, 0, build.classes.count * sizeof(uint32_t))
    for block in range(<uint32_t>(build.spans.used // sizeof(Span))):
        while at < spans[block].log_end:
            number = log[at]
            step = block - of.last_block[number]
            of.last_block[number] = block
            while step > 0x7F:
                postings[of.postings_bytes[number]] = <uint8_t>(step | 0x80)
                of.postings_bytes[number] += 1
                step >>= 7
            postings[of.postings_bytes[number]] = <uint8_t>step
            of.postings_bytes[number] += 1
            at += 1


cdef inline uint64_t values_bytes(const Build *build, const Sorted *of) noexcept nogil:
    cdef uint64_t total = 0
    cdef uint32_t i, number
    for i in range(of.kept):
        number = of.classes[i].number
        total += build.classes.offset[number + 1] - build.classes.offset[number] - 8
    return total


cdef inline uint64_t total_postings(const Build *build, const Sorted *of) noexcept nogil:
    cdef uint64_t total = 0
    cdef uint32_t i
    for i in range(build.classes.count):
        total += of.postings_bytes[i]
    return total


cdef inline bint fill(
    const Build *build, Sorted *of, Columns *columns, Piece *memory
) noexcept nogil:
    """Lay out the columns in one piece of memory; False without it."""
    cdef size_t blocks = build.spans.used // sizeof(Span)
    cdef size_t prefixes = build.prefixes.count
    cdef size_t shapes = build.shapes.count
    cdef size_t kept = of.kept
    cdef uint64_t prefix_bytes = build.prefixes.offset[prefixes] // 2
    cdef uint64_t shape_bytes = build.shapes.offset[shapes]
    cdef uint64_t *longs
    cdef uint32_t *words
    cdef uint8_t *bytes_at
    columns.postings_bytes = total_postings(build, of)
    memory.capacity = (
        (3 * blocks + 1) * sizeof(uint64_t)
        + (blocks + prefixes + 1 + 2 * shapes + 1 + 2 * kept + 1) * sizeof(uint32_t)
        + 2 * prefix_bytes
        + shape_bytes
        + values_bytes(build, of)
        + columns.postings_bytes
    )
    memory.data = malloc(memory.capacity)
    if memory.data == NULL:
        return False
    longs = <uint64_t *>memory.data
    words = <uint32_t *>(longs + 3 * blocks + 1)
    columns.blocks = <uint32_t>blocks
    fill_blocks(build, columns, longs, words)
    words += blocks
    columns.prefixes = <uint32_t>prefixes
    columns.shapes = <uint32_t>shapes
    columns.classes = of.kept
    columns.prefix_offset = words
    columns.shape_offset = words + prefixes + 1
    columns.shape_classes = columns.shape_offset + shapes + 1
    columns.class_prefix = columns.shape_classes + shapes
    columns.posting_offset = columns.class_prefix + kept
    bytes_at = <uint8_t *>(columns.posting_offset + kept + 1)
    columns.prefix_bytes = bytes_at
    columns.prefix_mask = bytes_at + prefix_bytes
    columns.shape_mask = columns.prefix_mask + prefix_bytes
    fill_prefixes(build, of, columns)
    fill_shapes(build, of, columns)
    columns.values = columns.shape_mask + shape_bytes
    columns.postings = fill_classes(build, of, columns)
    write_postings(
        build, of, <uint32_t *>columns.posting_offset, <uint8_t *>columns.postings
    )
    columns.ordered = not build.unordered
    return True


cdef inline void fill_blocks(
    const Build *build, Columns *columns, uint64_t *longs, uint32_t *words
) noexcept nogil:
    cdef const Span *spans = <const Span *>build.spans.data
    cdef size_t blocks = columns.blocks
    cdef size_t i
    columns.block_offset = longs
    columns.block_first_ns = longs + blocks + 1
    columns.block_last_ns = longs + 2 * blocks + 1
    columns.block_packets = words
    for i in range(blocks):
        longs[i] = spans[i].offset
        longs[blocks + 1 + i] = spans[i].first_ns
        longs[2 * blocks + 1 + i] = spans[i].last_ns
        words[i] = spans[i].packets
    longs[blocks] = build.end_offset


cdef inline void fill_prefixes(
    const Build *build, const Sorted *of, Columns *columns
) noexcept nogil:
    cdef uint32_t *offsets = <uint32_t *>columns.prefix_offset
    cdef uint32_t i, number, size
    cdef uint32_t at = 0
    cdef const uint8_t *key
    for i in range(columns.prefixes):
        number = of.prefixes[i].number
        key = build.prefixes.data + build.prefixes.offset[number]
        size = <uint32_t>(build.prefixes.offset[number + 1] - build.prefixes.offset[number]) // 2
        offsets[i] = at
        memcpy(<uint8_t *>columns.prefix_mask + at, key, size)
        memcpy(<uint8_t *>columns.prefix_bytes + at, key + size, size)
        at += size
    offsets[columns.prefixes] = at


cdef inline void fill_shapes(const Build *build, const Sorted *of, Columns *columns) noexcept nogil:
    cdef uint32_t *offsets = <uint32_t *>columns.shape_offset
    cdef uint32_t *counts = <uint32_t *>columns.shape_classes
    cdef uint32_t i, number, size
    cdef uint32_t at = 0
    for i in range(columns.shapes):
        number = of.shapes[i].number
        size = <uint32_t>(build.shapes.offset[number + 1] - build.shapes.offset[number])
        offsets[i] = at
        counts[i] = 0
        memcpy(
            <uint8_t *>columns.shape_mask + at,
            build.shapes.data + build.shapes.offset[number],
            size,
        )
        at += size
    offsets[columns.shapes] = at


cdef inline const uint8_t *fill_classes(
    const Build *build, const Sorted *of, Columns *columns
) noexcept nogil:
    """Count and write the classes; returns what is behind their values."""
    cdef uint32_t *counts = <uint32_t *>columns.shape_classes
    cdef uint32_t *prefixes = <uint32_t *>columns.class_prefix
    cdef uint8_t *at = <uint8_t *>columns.values
    cdef uint32_t i, number
    cdef uint64_t start, size
    for i in range(of.kept):
        number = of.classes[i].number
        counts[of.classes[i].rank >> 32] += 1
        prefixes[i] = <uint32_t>of.classes[i].rank
        start = build.classes.offset[number] + 8
        size = build.classes.offset[number + 1] - start
        memcpy(at, build.classes.data + start, size)
        at += size
    return at
