"""The bytes of a sidecar's file to columns in memory, for sidecar.pyx: the layout is said there.

Every length, count and number that leads anywhere is checked here, but for what is in postings.
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from daemonlogger_py.readers.index.members cimport (
    blocks_type,
    bytes_type,
    facts_type,
    prefix_names,
    runs_type,
    tail_names,
)
from daemonlogger_py.readers.index.npz cimport NPZ_BYTES, Array, Npz, is_directory, take_array
from daemonlogger_py.readers.index.rows cimport (
    MOST_PREFIXES,
    Names,
    Stored,
    item16,
    item32,
    read_rows,
    take_rows,
)
from daemonlogger_py.readers.index.sidecar cimport (
    BELIEVED,
    DAMAGED,
    NO_MEMORY,
    OTHER_FORMAT,
    Block,
    Columns,
    Content,
    Facts,
    Piece,
    Run,
    Verdict,
)

cdef enum:
    FORMAT_NUMBER = 1
    FIRST_OFFSET = 24  # of the first record in a savefile
    MOST_VALUES_BYTES = 0x8000000
    NAME_BYTES = 255


cdef inline bint has_place(Piece *piece, size_t count) noexcept nogil:
    """Make it as large as that; what was in it is gone. False without memory."""
    if piece.data != NULL and piece.capacity >= count:
        return True
    free(piece.data)
    piece.data = malloc(count)
    piece.capacity = count if piece.data != NULL else 0
    return piece.data != NULL


cdef inline bint of_this_format(const Content *content) noexcept nogil:
    return item32(&content.facts, 0) == FORMAT_NUMBER  # the first of the Facts


cdef inline bint take_known_members(
    const uint8_t *file, size_t count, size_t *at, Npz *npz, Content *content
) noexcept nogil:
    cdef Names prefixes = prefix_names()
    cdef Names tails = tail_names()
    if not take_array(
        file, count, at, npz, b"savefile.npy", facts_type, sizeof(Facts), &content.facts
    ) or content.facts.count != 1:
        return False
    return (
        of_this_format(content)
        and take_array(file, count, at, npz, b"name.npy", bytes_type, 1, &content.name)
        and take_array(
            file, count, at, npz, b"blocks.npy", blocks_type, sizeof(Block), &content.blocks
        )
        and take_rows(file, count, at, npz, &prefixes, &content.prefixes)
        and take_rows(file, count, at, npz, &tails, &content.tails)
        and take_array(file, count, at, npz, b"runs.npy", runs_type, sizeof(Run), &content.runs)
    )


cdef inline bint take_content(
    const uint8_t *file, size_t count, Content *content, Verdict *verdict
) noexcept nogil:
    """Find all members of a file, each of them checked; `verdict` says more where it is no."""
    cdef Npz npz
    cdef size_t at = 0
    npz.count = 0
    verdict[0] = DAMAGED
    if not take_known_members(file, count, &at, &npz, content):
        if npz.count and content.facts.count == 1 and not of_this_format(content):
            verdict[0] = OTHER_FORMAT
        return False
    return (
        take_array(
            file, count, &at, &npz, b"posting_bytes.npy", bytes_type, 1, &content.posting_bytes
        )
        and take_array(file, count, &at, &npz, b"postings.npy", bytes_type, 1, &content.postings)
        and is_directory(file, count, at, &npz)
    )


cdef struct Places:  # where the parts of a sidecar's second piece of memory begin
    uint64_t *block_offset
    uint64_t *block_first_ns
    uint64_t *block_last_ns
    uint32_t *block_packets
    uint32_t *prefix_offset
    uint32_t *shape_offset
    uint32_t *shape_classes
    uint32_t *class_prefix
    uint32_t *posting_offset
    uint8_t *prefix_bytes
    uint8_t *prefix_mask
    uint8_t *values
    uint8_t *prefix_values  # as they are stored, for the time of reading


cdef inline bint has_places(
    const Content *content, uint32_t classes, Piece *piece, Places *places
) noexcept nogil:
    """Make places for all that is not used as it was read; False without memory."""
    cdef size_t blocks = content.blocks.count
    cdef size_t prefixes = content.prefixes.rows
    cdef size_t shapes = content.tails.form_rows.count
    if not has_place(
        piece,
        (3 * blocks + 1) * sizeof(uint64_t)
        + (blocks + prefixes + 1 + 2 * shapes + 1 + 2 * <size_t>classes + 1) * sizeof(uint32_t)
        + 2 * content.prefixes.full_bytes
        + content.prefixes.values_bytes
        + content.tails.values_bytes,
    ):
        return False
    places.block_offset = <uint64_t *>piece.data
    places.block_first_ns = places.block_offset + blocks + 1
    places.block_last_ns = places.block_first_ns + blocks
    places.block_packets = <uint32_t *>(places.block_last_ns + blocks)
    places.prefix_offset = places.block_packets + blocks
    places.shape_offset = places.prefix_offset + prefixes + 1
    places.shape_classes = places.shape_offset + shapes + 1
    places.class_prefix = places.shape_classes + shapes
    places.posting_offset = places.class_prefix + classes
    places.prefix_bytes = <uint8_t *>(places.posting_offset + classes + 1)
    places.prefix_mask = places.prefix_bytes + content.prefixes.full_bytes
    places.prefix_values = places.prefix_mask + content.prefixes.full_bytes
    places.values = places.prefix_values + content.prefixes.values_bytes
    return True


cdef inline bint read_blocks(
    const Content *content, const Facts *facts, Places *places
) noexcept nogil:
    cdef Block block
    cdef uint64_t offset = FIRST_OFFSET
    cdef uint64_t packets = 0
    cdef size_t i
    for i in range(content.blocks.count):
        memcpy(&block, content.blocks.data + i * sizeof(Block), sizeof(Block))
        if block.size_bytes == 0 or block.packets == 0 or block.first_ns > block.last_ns:
            return False
        places.block_offset[i] = offset
        places.block_first_ns[i] = block.first_ns
        places.block_last_ns[i] = block.last_ns
        places.block_packets[i] = block.packets
        offset += block.size_bytes
        packets += block.packets
    places.block_offset[content.blocks.count] = offset
    return (
        offset == facts.end_offset and offset <= facts.size_bytes and packets == facts.packets
    )


cdef inline bint read_prefixes(const Content *content, Places *places) noexcept nogil:
    """Lay out all prefixes with the bytes of which nothing is known."""
    cdef const Stored *stored = &content.prefixes
    cdef const uint8_t *mask = stored.masks.data
    cdef const uint8_t *value = places.prefix_values
    cdef uint32_t form, _row, i, length
    cdef uint32_t offset = 0
    cdef size_t prefix = 0
    if not read_rows(stored, places.prefix_values):
        return False
    for form in range(stored.form_bytes.count):
        length = item16(&stored.form_bytes, form)
        for _row in range(item32(&stored.form_rows, form)):
            places.prefix_offset[prefix] = offset
            prefix += 1
            for i in range(length):
                places.prefix_bytes[offset + i] = 0
                places.prefix_mask[offset + i] = mask[i]
                if mask[i]:
                    places.prefix_bytes[offset + i] = value[0] & mask[i]
                    value += 1
            offset += length
        mask += length
    places.prefix_offset[prefix] = offset
    return True


cdef inline bint read_classes(
    const Content *content, uint32_t classes, Places *places
) noexcept nogil:
    cdef uint32_t offset = 0
    cdef uint32_t first = 0
    cdef uint32_t i
    cdef size_t number
    cdef Run run
    for number in range(content.tails.form_rows.count):
        places.shape_offset[number] = offset
        places.shape_classes[number] = item32(&content.tails.form_rows, number)
        offset += item16(&content.tails.form_bytes, number)
    places.shape_offset[content.tails.form_rows.count] = offset
    for number in range(content.runs.count):
        memcpy(&run, content.runs.data + number * sizeof(Run), sizeof(Run))
        if run.prefix >= content.prefixes.rows or run.classes > classes - first:
            return False
        for i in range(first, first + run.classes):
            places.class_prefix[i] = run.prefix
        first += run.classes
    return first == classes and read_rows(&content.tails, places.values)


cdef inline bint read_postings(
    const Content *content, uint32_t classes, Places *places
) noexcept nogil:
    """Add up the lengths of the postings; what is in them is left to who asks for a class."""
    cdef const uint8_t *at = content.posting_bytes.data
    cdef const uint8_t *end = at + content.posting_bytes.count
    cdef uint64_t offset = 0
    cdef uint64_t size_bytes
    cdef uint32_t i, shift
    for i in range(classes):
        places.posting_offset[i] = <uint32_t>offset
        size_bytes = 0
        shift = 0
        while True:
            if at == end or shift > 28:
                return False
            size_bytes |= <uint64_t>(at[0] & 0x7F) << shift
            at += 1
            if at[-1] < 0x80:
                break
            shift += 7
        offset += size_bytes
        if offset > content.postings.count:
            return False
    places.posting_offset[classes] = <uint32_t>offset
    return at == end and offset == content.postings.count


cdef inline bint within_limits(const Content *content, const Facts *facts) noexcept nogil:
    """What memory a sidecar takes is bounded, however much its columns claim."""
    return (
        content.name.count <= NAME_BYTES
        and content.prefixes.rows <= MOST_PREFIXES
        and content.tails.rows <= content.posting_bytes.count
        and content.tails.values_bytes <= MOST_VALUES_BYTES
        and facts.ordered <= 1
    )


cdef inline void fill_columns(
    Columns *columns, const Content *content, const Facts *facts, const Places *places
) noexcept nogil:
    columns.linktype = facts.linktype & 0xFFFF
    columns.snaplen = facts.snaplen
    columns.blocks = <uint32_t>content.blocks.count
    columns.block_offset = places.block_offset
    columns.block_first_ns = places.block_first_ns
    columns.block_last_ns = places.block_last_ns
    columns.block_packets = places.block_packets
    columns.prefixes = <uint32_t>content.prefixes.rows
    columns.prefix_offset = places.prefix_offset
    columns.prefix_bytes = places.prefix_bytes
    columns.prefix_mask = places.prefix_mask
    columns.shapes = <uint32_t>content.tails.form_rows.count
    columns.shape_offset = places.shape_offset
    columns.shape_mask = content.tails.masks.data
    columns.shape_classes = places.shape_classes
    columns.classes = <uint32_t>content.tails.rows
    columns.class_prefix = places.class_prefix
    columns.values = places.values
    columns.posting_offset = places.posting_offset
    columns.postings = content.postings.data
    columns.postings_bytes = content.postings.count
    columns.ordered = facts.ordered


cdef inline Verdict load(
    const uint8_t *file, size_t count, Columns *columns, Facts *facts, Array *name, Piece *piece
) noexcept nogil:
    """Make columns of a file's bytes, some of which they go on pointing into."""
    cdef Content content
    cdef Places places
    cdef uint32_t classes
    cdef Verdict verdict = DAMAGED
    if count > NPZ_BYTES or not take_content(file, count, &content, &verdict):
        return verdict
    memcpy(facts, content.facts.data, sizeof(Facts))
    if not within_limits(&content, facts):
        return DAMAGED
    classes = <uint32_t>content.tails.rows
    if not has_places(&content, classes, piece, &places):
        return NO_MEMORY
    if not (
        read_blocks(&content, facts, &places)
        and read_prefixes(&content, &places)
        and read_classes(&content, classes, &places)
        and read_postings(&content, classes, &places)
    ):
        return DAMAGED
    fill_columns(columns, &content, facts, &places)
    name[0] = content.name
    return BELIEVED
