"""Text that grows, built without the GIL: names, report rows and console output are made with it.

A Text begins zeroed; `free_text` frees it. Running out of memory sets `failed` and nothing more is
taken, so that only the end of a piece of work has to ask.
"""
from libc.stdint cimport uint8_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy

cdef struct Text:
    char *data
    size_t used
    size_t capacity
    bint failed


cdef inline bint has_room(Text *text, size_t more) noexcept nogil:
    cdef size_t wanted = text.used + more
    cdef char *grown
    if wanted <= text.capacity:
        return not text.failed
    if text.failed:
        return False
    wanted = wanted * 2 if wanted > 64 else 128
    grown = <char *>realloc(text.data, wanted)
    if grown == NULL:
        text.failed = True
        return False
    text.data = grown
    text.capacity = wanted
    return True


cdef inline void put(Text *text, const void *data, size_t count) noexcept nogil:
    if count and has_room(text, count):
        memcpy(text.data + text.used, data, count)
        text.used += count


cdef inline void put_char(Text *text, uint8_t value) noexcept nogil:
    if has_room(text, 1):
        text.data[text.used] = <char>value
        text.used += 1


cdef inline void put_decimal(Text *text, uint64_t value, int digits) noexcept nogil:
    """`value` in decimal, with leading zeros up to `digits`, which is at most 20."""
    cdef char figures[20]
    cdef int at = 20
    while value or at == 20:
        at -= 1
        figures[at] = <char>(48 + value % 10)
        value //= 10
    while 20 - at < digits:
        at -= 1
        figures[at] = 48
    put(text, figures + at, 20 - at)


cdef inline void free_text(Text *text) noexcept nogil:
    free(text.data)
    text.data = NULL
    text.used = text.capacity = 0
    text.failed = False
