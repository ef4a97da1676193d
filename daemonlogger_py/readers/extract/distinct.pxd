"""Which values the known bytes of a sidecar's packets have, class by class no longer told apart.

A sidecar stores known bytes in columns of up to four, most of them as their distinct words:
rows.pxd of the index. A form is a mask over bytes, of a prefix or of a tail; where its bytes are
known, a column has every value they have in some class.
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from daemonlogger_py.readers.extract.bits cimport (
    ANSWER_NO,
    ANSWER_UNSURE,
    ANSWER_YES,
    Answer,
    Bits,
    exactly,
)
from daemonlogger_py.readers.extract.instruction cimport (
    IF_AT_LEAST,
    IF_EQUAL,
    IF_GREATER,
    Operation,
)
from daemonlogger_py.readers.index.rows cimport (
    COLUMN_BYTES,
    Stored,
    index_bytes,
    item16,
    item32,
    known_bytes,
)

cdef enum:
    MOST_FORMS = 256  # what goes beyond these is not looked at
    MOST_COLUMNS = 2048
    MOST_SPOTS = 16384
    WORDS_AT_ONCE = 64

cdef struct Column:
    const uint8_t *words  # of `width` bytes
    uint32_t count
    uint32_t width
    bint summed
    uint32_t always  # bits that are set in every word; its first byte is the highest
    uint32_t ever  # bits that are set in some word

cdef struct Spot:  # a byte of a form
    uint16_t column
    uint8_t byte  # of the column's words
    uint8_t mask  # 0: nothing is known

cdef struct Form:
    const Spot *spots
    uint32_t size_bytes
    uint32_t rows

cdef struct Forms:  # prefixes and tails share columns and spots
    Form prefixes[MOST_FORMS]
    Form tails[MOST_FORMS]
    uint32_t prefix_forms
    uint32_t tail_forms
    Column columns[MOST_COLUMNS]
    uint32_t columns_used
    Spot spots[MOST_SPOTS]
    uint32_t spots_used

cdef struct Pair:  # what is known of the packets with a prefix of one form and a tail of another
    const Form *prefix
    const Form *tail
    Column *columns

cdef struct Origin:  # of a number: bytes of the packet, of which bits were left out
    bint known  # else it is a number that was computed
    uint64_t offset
    uint32_t size
    uint32_t mask

cdef struct Part:  # of a number: bytes that lie in one column
    Column *column
    uint32_t mask  # of the column's words
    int shift  # to the left, from a column's word to the number


cdef inline bint lay_out_forms(
    const Stored *stored, Forms *forms, Form *made, uint32_t *count
) noexcept nogil:
    """Find the columns of stored rows; False if there is more than is looked at.

    All lengths in `stored` were checked when it was read.
    """
    cdef const uint8_t *mask = stored.masks.data
    cdef const uint8_t *words = stored.words.data
    cdef const uint8_t *indexes = stored.indexes.data
    cdef uint32_t number, length, stride, width, entries, at, value
    cdef uint32_t entry = 0
    cdef Column *column
    cdef Spot *spots
    if stored.form_bytes.count > MOST_FORMS:
        return False
    for number in range(<uint32_t>stored.form_bytes.count):
        length = item16(&stored.form_bytes, number)
        stride = known_bytes(mask, length)
        if (
            length > MOST_SPOTS - forms.spots_used
            or stride > COLUMN_BYTES * (MOST_COLUMNS - forms.columns_used)
        ):
            return False
        spots = &forms.spots[forms.spots_used]
        forms.spots_used += length
        made[number].spots = spots
        made[number].size_bytes = length
        made[number].rows = item32(&stored.form_rows, number)
        value = 0
        for at in range(length):
            spots[at].mask = mask[at]
            if mask[at]:
                spots[at].column = <uint16_t>(forms.columns_used + value // COLUMN_BYTES)
                spots[at].byte = <uint8_t>(value % COLUMN_BYTES)
                value += 1
        mask += length
        while stride:
            width = min(<uint32_t>COLUMN_BYTES, stride)
            stride -= width
            entries = item32(&stored.entries, entry)
            entry += 1
            column = &forms.columns[forms.columns_used]
            forms.columns_used += 1
            column.summed = False
            column.width = width
            column.words = words if entries else indexes
            column.count = entries if entries else made[number].rows
            if entries:
                words += <size_t>entries * width
            indexes += <size_t>made[number].rows * (index_bytes(entries) if entries else width)
    count[0] = <uint32_t>stored.form_bytes.count
    return True


cdef inline uint32_t word_at(const Column *column, uint32_t number) noexcept nogil:
    """A word, its first byte the highest."""
    cdef uint32_t word = 0
    cdef uint32_t i
    cdef const uint8_t *at = column.words + <size_t>number * column.width
    if column.width == COLUMN_BYTES:
        return <uint32_t>at[0] << 24 | <uint32_t>at[1] << 16 | <uint32_t>at[2] << 8 | at[3]
    for i in range(column.width):
        word |= <uint32_t>at[i] << (24 - 8 * i)
    return word


cdef inline void sum_up(Column *column) noexcept nogil:
    cdef uint32_t number = 0
    cdef uint32_t i, found
    cdef uint32_t word[WORDS_AT_ONCE]
    cdef uint32_t always = 0xFFFFFFFF
    cdef uint32_t ever = 0
    if column.width == COLUMN_BYTES:
        while column.count - number >= WORDS_AT_ONCE:
            memcpy(word, column.words + <size_t>number * COLUMN_BYTES, sizeof(word))
            for i in range(WORDS_AT_ONCE):
                always &= word[i]
                ever |= word[i]
            number += WORDS_AT_ONCE
        # They were taken as they lie in memory.
        always = in_memory(always)
        ever = in_memory(ever)
    for number in range(number, column.count):
        found = word_at(column, number)
        always &= found
        ever |= found
    column.always = always
    column.ever = ever
    column.summed = True


cdef inline const Spot *spot_of(const Pair *pair, uint64_t offset) noexcept nogil:
    """Where a byte of the packet is; NULL: nothing is known of it."""
    cdef const Spot *spot = NULL
    if offset < pair.prefix.size_bytes:
        spot = &pair.prefix.spots[offset]
    elif offset - pair.prefix.size_bytes < pair.tail.size_bytes:
        spot = &pair.tail.spots[offset - pair.prefix.size_bytes]
    return spot if spot != NULL and spot.mask else NULL


cdef inline void load_any(
    const Pair *pair, uint64_t offset, uint32_t size, Bits *loaded
) noexcept nogil:
    """Load what all classes have in common. Where it ends the program, nothing is accepted."""
    cdef uint32_t i
    cdef uint8_t always, ever, unknown
    cdef const Spot *spot
    cdef Column *column
    loaded[0] = exactly(0)
    for i in range(size):
        spot = spot_of(pair, offset + i)
        always = 0
        unknown = 0xFF
        if spot != NULL:
            column = &pair.columns[spot.column]
            if not column.summed:
                sum_up(column)
            always = <uint8_t>(column.always >> (24 - 8 * spot.byte))
            ever = <uint8_t>(column.ever >> (24 - 8 * spot.byte))
            unknown = <uint8_t>~spot.mask | (always ^ ever)
        loaded.value = loaded.value << 8 | (always & <uint8_t>~unknown)
        loaded.unknown = loaded.unknown << 8 | unknown


cdef inline uint32_t take_apart(
    const Pair *pair, const Origin *origin, Part *parts, uint32_t *unknown
) noexcept nogil:
    """The parts of a number, at most four; `unknown` are its bits that lie in none."""
    cdef uint32_t count = 0
    cdef uint32_t i, mask
    cdef int shift
    cdef const Spot *spot
    cdef Column *column
    unknown[0] = origin.mask
    for i in range(origin.size):
        spot = spot_of(pair, origin.offset + i)
        if spot == NULL:
            continue
        shift = 8 * (<int>origin.size - 1 - <int>i) - (24 - 8 * <int>spot.byte)
        mask = <uint32_t>spot.mask << (8 * (origin.size - 1 - i)) & origin.mask
        if not mask:
            continue
        unknown[0] &= ~mask
        column = &pair.columns[spot.column]
        if not count or parts[count - 1].column != column or parts[count - 1].shift != shift:
            parts[count].column = column
            parts[count].shift = shift
            parts[count].mask = 0
            count += 1
        parts[count - 1].mask |= moved(mask, -shift)
    return count


cdef inline uint32_t moved(uint32_t word, int shift) noexcept nogil:
    return word << shift if shift >= 0 else word >> -shift


cdef inline bint some_word_is(
    const Column *column, uint32_t mask, uint32_t wanted
) noexcept nogil:
    """Whether a word of the column is `wanted`, as far as `mask` goes."""
    cdef uint32_t number = 0
    cdef uint32_t i, found
    cdef uint32_t word[WORDS_AT_ONCE]
    # Compared as they lie in memory, whatever this machine's byte order.
    cdef uint32_t mask_there = in_memory(mask)
    cdef uint32_t wanted_there = in_memory(wanted & mask)
    if column.width == COLUMN_BYTES:
        while column.count - number >= WORDS_AT_ONCE:
            memcpy(word, column.words + <size_t>number * COLUMN_BYTES, sizeof(word))
            found = 0
            for i in range(WORDS_AT_ONCE):  # without a branch, and so several in one instruction
                found |= word[i] & mask_there == wanted_there
            if found:
                return True
            number += WORDS_AT_ONCE
    for number in range(number, column.count):
        if word_at(column, number) & mask == wanted & mask:
            return True
    return False


cdef inline uint32_t in_memory(uint32_t word) noexcept nogil:
    cdef uint8_t[4] there = [
        <uint8_t>(word >> 24), <uint8_t>(word >> 16), <uint8_t>(word >> 8), <uint8_t>word
    ]
    cdef uint32_t made
    memcpy(&made, there, sizeof(made))
    return made


cdef inline bint may_equal(
    const Pair *pair, const Origin *origin, uint32_t number
) noexcept nogil:
    """Whether a class may have this number; False is certain."""
    cdef Part parts[4]
    cdef uint32_t unknown, i
    cdef uint32_t count = take_apart(pair, origin, parts, &unknown)
    if number & ~origin.mask:
        return False
    for i in range(count):
        if not some_word_is(parts[i].column, parts[i].mask, moved(number, -parts[i].shift)):
            return False
    return True


cdef inline void between(
    const Pair *pair, const Origin *origin, uint32_t *least, uint32_t *most
) noexcept nogil:
    """No class has a number below `least` or above `most`."""
    cdef Part parts[4]
    cdef uint32_t unknown, i, number, word, low, high
    cdef uint32_t count = take_apart(pair, origin, parts, &unknown)
    least[0] = 0
    most[0] = unknown
    for i in range(count):
        low = parts[i].mask
        high = 0
        for number in range(parts[i].column.count):
            word = word_at(parts[i].column, number) & parts[i].mask
            low = min(low, word)
            high = max(high, word)
        least[0] |= moved(low, parts[i].shift)
        most[0] |= moved(high, parts[i].shift)


cdef inline Answer decide_any(
    const Pair *pair, Operation operation, const Origin *origin, uint32_t number
) noexcept nogil:
    """Which way a branch goes for every class; ANSWER_UNSURE where they may differ."""
    cdef uint32_t least, most
    if operation == IF_EQUAL:
        return ANSWER_UNSURE if may_equal(pair, origin, number) else ANSWER_NO
    if operation != IF_GREATER and operation != IF_AT_LEAST:
        return ANSWER_UNSURE
    between(pair, origin, &least, &most)
    if operation == IF_AT_LEAST:
        if least >= number:
            return ANSWER_YES
        return ANSWER_NO if most < number else ANSWER_UNSURE
    if least > number:
        return ANSWER_YES
    return ANSWER_NO if most <= number else ANSWER_UNSURE
