"""The checksums of a catalog's rows, and what is made of rows, many at a time.

Every reader checks each row that it believes, and rings have 100,000 of them. Which columns there
are is `catalog_rows`'s; SQLite is `catalog_database`'s.
"""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.long cimport PyLong_AsLongLongAndOverflow
from cpython.ref cimport Py_INCREF
from cpython.tuple cimport PyTuple_New, PyTuple_SET_ITEM
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from daemonlogger_py.savefile.crc32 cimport crc32_of

cdef extern from "Python.h":
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *count) except NULL

_new = tuple.__new__

cdef enum:
    ROOM_BYTES = 1024

cdef struct Sum:
    uint32_t crc
    size_t used
    uint8_t waiting[ROOM_BYTES]


def checksum(tuple columns not None):
    """CRC-32 over the columns of a row; it finds what decays, not what is forged.

    Of each column there is a letter for its kind and what is in it: `I` an integer, 8 bytes; `T` a
    text and `B` bytes, their length, 8 bytes, and themselves; `N` nothing. Integers are
    little-endian, texts UTF-8, with what is none in it as the bytes it came from. What else stands
    in a damaged row, `R`, is taken as a text of its `repr`.
    """
    return sum_of(columns, len(columns))


def believed(list rows not None, type kind not None, bytes plan not None = b""):
    """Those rows whose last column is the checksum of the others, without it, and how many not.

    Each becomes a `kind` of tuple; no column is looked for in it. The plan has a letter for each
    column, from the first on: `?` makes a truth value of it, `=` leaves one object in memory for
    all that are equal, `-` leaves it out as None, and any other leaves it as it is.
    """
    cdef list found = []
    cdef dict shared = {}
    cdef tuple row
    cdef Py_ssize_t count
    cdef Py_ssize_t others = 0
    for row in rows:
        count = len(row) - 1
        if count >= 0 and row[count] == sum_of(row, count):
            found.append(_new(kind, shaped(row, count, plan, shared)))
        else:
            others += 1
    return found, others


def text(bytes raw not None):
    """A text of the database: what is no UTF-8 in it as in the name of a file."""
    return PyUnicode_DecodeUTF8(
        PyBytes_AS_STRING(raw), PyBytes_GET_SIZE(raw), b"surrogateescape"
    )


cdef tuple shaped(tuple row, Py_ssize_t count, bytes plan, dict shared):
    cdef const char *letters = PyBytes_AS_STRING(plan)
    cdef Py_ssize_t planned = PyBytes_GET_SIZE(plan)
    cdef tuple made = PyTuple_New(count)
    cdef Py_ssize_t at
    cdef char letter
    for at in range(count):
        value = row[at]
        letter = letters[at] if at < planned else c"."
        if letter == c"?":
            value = bool(value)
        elif letter == c"-":
            value = None
        # What is equal in a dictionary, and of another type, stays what it is.
        elif letter == c"=" and (type(value) is int or type(value) is str):
            value = shared.setdefault(value, value)
        Py_INCREF(value)
        PyTuple_SET_ITEM(made, at, value)
    return made


cdef object sum_of(tuple columns, Py_ssize_t count):
    cdef Sum total
    cdef Py_ssize_t at
    cdef int64_t number
    cdef int beyond = 0
    memset(&total, 0, sizeof(total))
    for at in range(count):
        value = columns[at]
        if value is None:
            add(&total, b"N", 1)
        elif type(value) is int:
            number = PyLong_AsLongLongAndOverflow(value, &beyond)
            if beyond:
                add_bytes(&total, b"R", repr(value).encode())
                continue
            add(&total, b"I", 1)
            add_number(&total, <uint64_t>number)
        elif type(value) is str:
            add_text(&total, value)
        elif type(value) is bytes:
            add_bytes(&total, b"B", value)
        else:
            add_bytes(&total, b"R", repr(value).encode("utf-8", "surrogateescape"))
    return crc32_of(total.crc, total.waiting, total.used)


cdef int add_text(Sum *total, str value) except -1:
    cdef Py_ssize_t count = 0
    cdef const char *data
    try:
        data = PyUnicode_AsUTF8AndSize(value, &count)
    except UnicodeEncodeError:
        return add_bytes(total, b"T", value.encode("utf-8", "surrogateescape"))
    add(total, b"T", 1)
    add_number(total, count)
    add(total, data, count)
    return 0


cdef int add_bytes(Sum *total, const char *kind, bytes value) except -1:
    add(total, kind, 1)
    add_number(total, PyBytes_GET_SIZE(value))
    add(total, PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value))
    return 0


cdef void add_number(Sum *total, uint64_t number) noexcept nogil:
    cdef uint8_t data[8]
    cdef int at
    for at in range(8):
        data[at] = <uint8_t>(number >> (8 * at))
    add(total, <const char *>data, 8)


cdef void add(Sum *total, const char *data, size_t count) noexcept nogil:
    if count > ROOM_BYTES - total.used:
        total.crc = crc32_of(total.crc, total.waiting, total.used)
        total.used = 0
    if count > ROOM_BYTES:
        total.crc = crc32_of(total.crc, <const uint8_t *>data, count)
        return
    memcpy(total.waiting + total.used, data, count)
    total.used += count
