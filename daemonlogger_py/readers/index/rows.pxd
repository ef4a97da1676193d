"""Rows of known bytes, column by column, as prefixes and classes lie in a sidecar.

A form is a mask over bytes; a row of it has a value for each byte with a mask other than 0. The
values of a form's rows are cut in columns of four bytes, the last of what is left. A column of few
distinct words is written as those, ascending, and for each row the number of its word: nothing
where there is one word, one byte up to 256 of them, two bytes up to 65536. Any other column has
`entries` 0 and is written as it is. Six members hold it, named after what the rows are:

    NAME_form_bytes  length of each mask            NAME_masks    the masks, one behind the other
    NAME_form_rows   number of rows of each form    NAME_entries  of each column, form by form
    NAME_words       the distinct words             NAME_indexes  their numbers, or the columns
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, qsort
from libc.string cimport memcpy, memset

from daemonlogger_py.readers.index.interned cimport both_halves
from daemonlogger_py.readers.index.npz cimport (
    Array,
    Npz,
    Output,
    free_output,
    put_array,
    put_bytes,
    put_u32,
    take_array,
)

cdef enum:
    FORM_BYTES = 256  # a mask, at most
    COLUMN_BYTES = 4
    MOST_ENTRIES = 65536
    MOST_PREFIXES = 65535  # rows of them; also in memory, while they are collected

cdef struct Names:  # of the members of one kind of rows
    const char *form_bytes
    const char *masks
    const char *form_rows
    const char *entries
    const char *words
    const char *indexes

cdef struct Forms:  # rows to write: masks, and how many rows there are of each
    uint32_t count
    const uint32_t *offset  # [count + 1], into mask
    const uint8_t *mask
    const uint32_t *rows

cdef struct Stored:  # rows as they were read, checked by `check_rows`
    Array form_bytes
    Array masks
    Array form_rows
    Array entries
    Array words
    Array indexes
    uint64_t rows
    uint64_t values_bytes  # of all rows
    uint64_t full_bytes  # of all rows, the bytes that have no value included


cdef inline uint32_t item32(const Array *array, size_t index) noexcept nogil:
    cdef uint32_t value
    memcpy(&value, array.data + index * sizeof(value), sizeof(value))
    return value


cdef inline uint16_t item16(const Array *array, size_t index) noexcept nogil:
    cdef uint16_t value
    memcpy(&value, array.data + index * sizeof(value), sizeof(value))
    return value


cdef inline uint32_t known_bytes(const uint8_t *mask, uint32_t count) noexcept nogil:
    cdef uint32_t known = 0
    cdef uint32_t i
    for i in range(count):
        known += mask[i] != 0
    return known


cdef inline uint32_t index_bytes(uint32_t entries) noexcept nogil:
    return 0 if entries == 1 else 1 if entries <= 256 else 2


cdef inline uint32_t column_word(const uint8_t *at, uint32_t width) noexcept nogil:
    """As a number that sorts as the bytes do."""
    cdef uint32_t word = 0
    cdef uint32_t i
    for i in range(width):
        word = word << 8 | at[i]
    return word


cdef inline int by_value(const void *one, const void *other) noexcept nogil:
    cdef uint32_t a = (<const uint32_t *>one)[0]
    cdef uint32_t b = (<const uint32_t *>other)[0]
    return (a > b) - (a < b)


cdef struct Distinct:  # words of a column: a hash table of them, and their ranks
    uint64_t *slots  # word + 1, or 0
    uint32_t *ranks
    uint32_t *words
    uint32_t mask
    uint32_t count
    uint64_t seed


cdef inline uint32_t slot_of(const Distinct *distinct, uint32_t word) noexcept nogil:
    cdef uint32_t slot = <uint32_t>both_halves(word ^ distinct.seed, distinct.seed) & distinct.mask
    while distinct.slots[slot] and distinct.slots[slot] != <uint64_t>word + 1:
        slot = (slot + 1) & distinct.mask
    return slot


cdef inline bint begin_distinct(Distinct *distinct, uint32_t rows, uint64_t seed) noexcept nogil:
    cdef uint32_t slots = 16
    while slots < 2 * min(rows, <uint32_t>MOST_ENTRIES + 1):
        slots *= 2
    distinct.slots = <uint64_t *>calloc(slots, sizeof(uint64_t))
    distinct.ranks = <uint32_t *>malloc(slots * sizeof(uint32_t))
    distinct.words = <uint32_t *>malloc(slots * sizeof(uint32_t))
    distinct.mask = slots - 1
    distinct.count = 0
    distinct.seed = seed | 1
    return distinct.slots != NULL and distinct.ranks != NULL and distinct.words != NULL


cdef inline void free_distinct(Distinct *distinct) noexcept nogil:
    free(distinct.slots)
    free(distinct.ranks)
    free(distinct.words)


cdef inline bint find_distinct(
    Distinct *distinct, const uint8_t *values, uint32_t rows, uint32_t stride, uint32_t width
) noexcept nogil:
    """Whether a dictionary makes the column smaller; it is complete then."""
    cdef uint32_t row, word, slot
    for row in range(rows):
        word = column_word(values + <size_t>row * stride, width)
        slot = slot_of(distinct, word)
        if distinct.slots[slot] == 0:
            if distinct.count == MOST_ENTRIES:
                return False
            distinct.slots[slot] = <uint64_t>word + 1
            distinct.words[distinct.count] = word
            distinct.count += 1
    if (
        <uint64_t>distinct.count * width + <uint64_t>rows * index_bytes(distinct.count)
        >= <uint64_t>rows * width
    ):
        return False
    qsort(distinct.words, distinct.count, sizeof(uint32_t), by_value)
    for word in range(distinct.count):
        distinct.ranks[slot_of(distinct, distinct.words[word])] = word
    return True


cdef inline void put_column(
    Output *words,
    Output *indexes,
    Distinct *distinct,
    const uint8_t *values,
    uint32_t rows,
    uint32_t stride,
    uint32_t width,
) noexcept nogil:
    cdef uint32_t i, rank, size
    cdef uint8_t word[4]
    cdef uint8_t one
    cdef uint16_t two
    size = index_bytes(distinct.count)
    for i in range(distinct.count):
        rank = distinct.words[i] << 8 * (COLUMN_BYTES - width)
        word[0] = <uint8_t>(rank >> 24)
        word[1] = <uint8_t>(rank >> 16)
        word[2] = <uint8_t>(rank >> 8)
        word[3] = <uint8_t>rank
        put_bytes(words, word, width)
    if size == 0:
        return
    for i in range(rows):
        rank = distinct.ranks[slot_of(distinct, column_word(values + <size_t>i * stride, width))]
        one = <uint8_t>rank
        two = <uint16_t>rank
        put_bytes(indexes, &one if size == 1 else <uint8_t *>&two, size)


cdef inline bint put_form(
    Output *entries,
    Output *words,
    Output *indexes,
    const uint8_t *values,
    uint32_t rows,
    uint32_t stride,
    uint64_t seed,
) noexcept nogil:
    cdef uint32_t at = 0
    cdef uint32_t width, row
    cdef Distinct distinct
    cdef bint held
    while at < stride:
        width = min(<uint32_t>COLUMN_BYTES, stride - at)
        memset(&distinct, 0, sizeof(distinct))
        held = begin_distinct(&distinct, rows, seed)
        if held and find_distinct(&distinct, values + at, rows, stride, width):
            put_u32(entries, distinct.count)
            put_column(words, indexes, &distinct, values + at, rows, stride, width)
        elif held:
            put_u32(entries, 0)
            for row in range(rows):
                put_bytes(indexes, values + <size_t>row * stride + at, width)
        free_distinct(&distinct)
        if not held:
            return False
        at += width
    return True


cdef inline void put_rows(
    Output *output,
    Npz *npz,
    const Names *names,
    const Forms *forms,
    const uint8_t *values,
    uint64_t seed,
) noexcept nogil:
    """Append the six members; `output.failed` without memory. `values`: row by row, packed."""
    cdef Output lengths, entries, words, indexes
    cdef uint32_t form, count, stride
    cdef uint16_t length
    memset(&lengths, 0, sizeof(Output))
    memset(&entries, 0, sizeof(Output))
    memset(&words, 0, sizeof(Output))
    memset(&indexes, 0, sizeof(Output))
    for form in range(forms.count):
        count = forms.offset[form + 1] - forms.offset[form]
        length = <uint16_t>count
        put_bytes(&lengths, &length, sizeof(length))
        stride = known_bytes(forms.mask + forms.offset[form], count)
        if not put_form(&entries, &words, &indexes, values, forms.rows[form], stride, seed):
            output.failed = True
        values += <size_t>stride * forms.rows[form]
    if lengths.failed or entries.failed or words.failed or indexes.failed:
        output.failed = True
    put_array(output, npz, names.form_bytes, b"'<u2'", 2, lengths.data, forms.count)
    put_array(output, npz, names.masks, b"'|u1'", 1, forms.mask, forms.offset[forms.count])
    put_array(output, npz, names.form_rows, b"'<u4'", 4, forms.rows, forms.count)
    put_array(output, npz, names.entries, b"'<u4'", 4, entries.data, entries.used // 4)
    put_array(output, npz, names.words, b"'|u1'", 1, words.data, words.used)
    put_array(output, npz, names.indexes, b"'|u1'", 1, indexes.data, indexes.used)
    free_output(&lengths)
    free_output(&entries)
    free_output(&words)
    free_output(&indexes)


cdef inline bint take_rows(
    const uint8_t *file,
    size_t file_bytes,
    size_t *at,
    Npz *npz,
    const Names *names,
    Stored *stored,
) noexcept nogil:
    return (
        take_array(file, file_bytes, at, npz, names.form_bytes, b"'<u2'", 2, &stored.form_bytes)
        and take_array(file, file_bytes, at, npz, names.masks, b"'|u1'", 1, &stored.masks)
        and take_array(file, file_bytes, at, npz, names.form_rows, b"'<u4'", 4, &stored.form_rows)
        and take_array(file, file_bytes, at, npz, names.entries, b"'<u4'", 4, &stored.entries)
        and take_array(file, file_bytes, at, npz, names.words, b"'|u1'", 1, &stored.words)
        and take_array(file, file_bytes, at, npz, names.indexes, b"'|u1'", 1, &stored.indexes)
        and check_rows(stored)
    )


cdef inline bint check_rows(Stored *stored) noexcept nogil:
    """Whether all counts fit to each other; sets the totals."""
    cdef uint64_t mask_at = 0, column = 0, words = 0, indexes = 0
    cdef uint32_t form, length, rows, stride, width, entries
    stored.rows = stored.values_bytes = stored.full_bytes = 0
    if stored.form_rows.count != stored.form_bytes.count:
        return False
    for form in range(stored.form_bytes.count):
        length = item16(&stored.form_bytes, form)
        rows = item32(&stored.form_rows, form)
        if length > FORM_BYTES or mask_at + length > stored.masks.count:
            return False
        stride = known_bytes(stored.masks.data + mask_at, length)
        mask_at += length
        stored.rows += rows
        stored.values_bytes += <uint64_t>rows * stride
        stored.full_bytes += <uint64_t>rows * length
        while stride:
            width = min(<uint32_t>COLUMN_BYTES, stride)
            stride -= width
            if column == stored.entries.count:
                return False
            entries = item32(&stored.entries, column)
            column += 1
            if entries > MOST_ENTRIES:
                return False
            words += <uint64_t>entries * width
            indexes += <uint64_t>rows * (index_bytes(entries) if entries else width)
    return (
        mask_at == stored.masks.count
        and column == stored.entries.count
        and words == stored.words.count
        and indexes == stored.indexes.count
    )


cdef inline bint read_indexed(
    uint8_t *values,
    uint32_t rows,
    uint32_t stride,
    uint32_t width,
    const uint8_t *words,
    const uint8_t *indexes,
    uint32_t entries,
) noexcept nogil:
    cdef uint32_t row, index
    cdef uint32_t size = index_bytes(entries)
    cdef uint16_t two
    for row in range(rows):
        index = 0
        if size == 1:
            index = indexes[row]
        elif size == 2:
            memcpy(&two, indexes + <size_t>row * 2, 2)
            index = two
        if index >= entries:
            return False
        if width == COLUMN_BYTES:  # a length the compiler knows is one instruction
            memcpy(values, words + <size_t>index * COLUMN_BYTES, COLUMN_BYTES)
        else:
            memcpy(values, words + <size_t>index * width, width)
        values += stride
    return True


cdef inline void read_plain(
    uint8_t *values, uint32_t rows, uint32_t stride, uint32_t width, const uint8_t *column
) noexcept nogil:
    cdef uint32_t _row
    for _row in range(rows):
        if width == COLUMN_BYTES:
            memcpy(values, column, COLUMN_BYTES)
        else:
            memcpy(values, column, width)
        values += stride
        column += width


cdef inline bint read_rows(const Stored *stored, uint8_t *values) noexcept nogil:
    """Write the values of all rows, `values_bytes`; False for a number that names no word."""
    cdef const uint8_t *mask = stored.masks.data
    cdef const uint8_t *words = stored.words.data
    cdef const uint8_t *indexes = stored.indexes.data
    cdef uint64_t column = 0
    cdef uint32_t form, length, rows, stride, at, width, entries
    for form in range(stored.form_bytes.count):
        length = item16(&stored.form_bytes, form)
        rows = item32(&stored.form_rows, form)
        stride = known_bytes(mask, length)
        mask += length
        at = 0
        while at < stride:
            width = min(<uint32_t>COLUMN_BYTES, stride - at)
            entries = item32(&stored.entries, column)
            column += 1
            if entries == 0:
                read_plain(values + at, rows, stride, width, indexes)
                indexes += <size_t>rows * width
            else:
                if not read_indexed(values + at, rows, stride, width, words, indexes, entries):
                    return False
                words += <size_t>entries * width
                indexes += <size_t>rows * index_bytes(entries)
            at += width
        values += <size_t>rows * stride
    return True
