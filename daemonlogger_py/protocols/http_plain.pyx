"""Heads of HTTP/1.x as nearly all are, read in one pass; and fields looked up by name.

`plain_head` reads what is beyond doubt (RFC 9112, 2.1): a common method or a status line, a target
that is a path, fields of visible characters on one line each, every line ended by CR LF, and at
most one plain Content-Length or Transfer-Encoding. It gives what llhttp would, a tenth of the time;
whatever is not plain it leaves to llhttp, by way of http_head.py.
"""
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t
from libc.string cimport memcmp

cdef enum:
    TOKEN = 1  # RFC 9110, 5.6.2
    VALUE = 2  # of a field, between its first and its last character: visible, blank or tab
    TARGET = 4  # of a path and its query
    DIGIT = 8

cdef enum:
    LENGTH_DIGITS = 18  # of a Content-Length, so that it fits 63 bits
    VERSION_BYTES = 8  # of "HTTP/1.1"

cdef uint8_t kinds[256]


cdef void fill_kinds() noexcept:
    cdef int value
    cdef uint8_t kind
    for value in range(256):
        kind = 0
        if 0x20 <= value < 0x7F or value == c"\t":
            kind |= VALUE
        # A number sign begins a fragment, which has no business in a request.
        if 0x21 <= value < 0x7F and value != c"#":
            kind |= TARGET
        if c"0" <= value <= c"9":
            kind |= DIGIT | TOKEN
        if c"a" <= value <= c"z" or c"A" <= value <= c"Z":
            kind |= TOKEN
        kinds[value] = kind
    for value in b"!#$%&'*+-.^_`|~":
        kinds[value] |= TOKEN


fill_kinds()

cdef tuple METHODS = (b"GET", b"POST", b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"PATCH")


cdef struct Cursor:
    const uint8_t *at
    const uint8_t *end
    bint has_length
    bint has_coding


cdef inline bint take(Cursor *cursor, const char *what, Py_ssize_t count) noexcept nogil:
    """Whether `what` is next; then it is passed."""
    if cursor.end - cursor.at < count or memcmp(cursor.at, what, count) != 0:
        return False
    cursor.at += count
    return True


cdef inline Py_ssize_t run_of(Cursor *cursor, uint8_t kind) noexcept nogil:
    """Pass the characters of a kind; how many there were."""
    cdef const uint8_t *begin = cursor.at
    while cursor.at < cursor.end and kinds[cursor.at[0]] & kind:
        cursor.at += 1
    return cursor.at - begin


cdef inline bint take_version(Cursor *cursor) noexcept nogil:
    if not take(cursor, b"HTTP/1.", VERSION_BYTES - 1) or cursor.at == cursor.end:
        return False
    cursor.at += 1
    return cursor.at[-1] == c"1" or cursor.at[-1] == c"0"


cdef bint is_name(const uint8_t *data, Py_ssize_t count, const char *name) noexcept nogil:
    """Whether `data` is `name`, which is in lower case, in whatever case."""
    cdef Py_ssize_t at
    cdef uint8_t value
    for at in range(count):
        value = data[at]
        if c"A" <= value <= c"Z":
            value |= 0x20
        if value != <uint8_t>name[at]:
            return False
    return True


cdef bint is_plain_framing(
    Cursor *cursor, const uint8_t *name, Py_ssize_t name_bytes, const uint8_t *value,
    Py_ssize_t value_bytes,
) noexcept nogil:
    """Whether a field leaves no doubt about the body; others than those two do anyway."""
    cdef Py_ssize_t at
    if name_bytes == 14 and is_name(name, name_bytes, b"content-length"):
        if cursor.has_length or cursor.has_coding or value_bytes > LENGTH_DIGITS:
            return False
        cursor.has_length = True
        for at in range(value_bytes):
            if not kinds[value[at]] & DIGIT:
                return False
    elif name_bytes == 17 and is_name(name, name_bytes, b"transfer-encoding"):
        if cursor.has_length or cursor.has_coding:
            return False
        cursor.has_coding = True
        return value_bytes == 7 and is_name(value, value_bytes, b"chunked")
    return True


cdef tuple take_field(Cursor *cursor):
    """The next field, and its line passed; None if it is not plain."""
    cdef const uint8_t *name = cursor.at
    cdef Py_ssize_t name_bytes = run_of(cursor, TOKEN)
    cdef const uint8_t *value
    cdef Py_ssize_t value_bytes
    if name_bytes == 0 or not take(cursor, b":", 1):
        return None
    while cursor.at < cursor.end and (cursor.at[0] == c" " or cursor.at[0] == c"\t"):
        cursor.at += 1
    value = cursor.at
    value_bytes = run_of(cursor, VALUE)
    # An empty value, and blanks behind one, are among what parsers differ in.
    if value_bytes == 0 or value[value_bytes - 1] == c" " or value[value_bytes - 1] == c"\t":
        return None
    if not take(cursor, b"\r\n", 2):
        return None
    if not is_plain_framing(cursor, name, name_bytes, value, value_bytes):
        return None
    return (
        PyBytes_FromStringAndSize(<const char *>name, name_bytes),
        PyBytes_FromStringAndSize(<const char *>value, value_bytes),
    )


cdef tuple head_at(const uint8_t *data, Py_ssize_t start, Py_ssize_t end, bint request):
    cdef Cursor cursor
    cdef const uint8_t *begin
    cdef Py_ssize_t count
    cdef int status = 0
    cdef bytes method = b""
    cdef bytes target = b""
    cdef list fields = []
    cdef tuple found
    cursor.at = data + start
    cursor.end = data + end
    cursor.has_length = cursor.has_coding = False
    if request:
        begin = cursor.at
        method = PyBytes_FromStringAndSize(<const char *>begin, run_of(&cursor, TOKEN))
        if method not in METHODS or not take(&cursor, b" /", 2):
            return None
        begin = cursor.at - 1
        count = run_of(&cursor, TARGET) + 1
        if not take(&cursor, b" ", 1) or not take_version(&cursor):
            return None
        target = PyBytes_FromStringAndSize(<const char *>begin, count)
    else:
        if not take_version(&cursor) or not take(&cursor, b" ", 1):
            return None
        begin = cursor.at
        if run_of(&cursor, DIGIT) != 3 or begin[0] == c"0" or not take(&cursor, b" ", 1):
            return None
        status = (begin[0] - 48) * 100 + (begin[1] - 48) * 10 + begin[2] - 48
        run_of(&cursor, VALUE)
    if not take(&cursor, b"\r\n", 2):
        return None
    while not take(&cursor, b"\r\n", 2):
        found = take_field(&cursor)
        if found is None:
            return None
        fields.append(found)
    return cursor.at - data, status, method, target, tuple(fields), ""


def plain_head(data, Py_ssize_t start, Py_ssize_t end, bint request):
    """Read the head of a request, or else of a response, in data[start:end]; None unless plain.

    Returns (offset behind its blank line, status, method, target, fields, ""): a `Head`'s values.
    Raises ValueError where that is not within `data`.
    """
    cdef Py_buffer view
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    try:
        if not 0 <= start <= end <= view.len:
            raise ValueError(f"{start} to {end} is not within {view.len} bytes")
        return head_at(<const uint8_t *>view.buf, start, end, request)
    finally:
        PyBuffer_Release(&view)


def field(tuple fields not None, bytes name not None):
    """Value of the field (its name in lower case); of several, joined by commas; b"" without."""
    cdef Py_ssize_t count = PyBytes_GET_SIZE(name)
    cdef const char *wanted = PyBytes_AS_STRING(name)
    cdef bytes key, value
    cdef bytes first = None
    cdef list values = None
    for key, value in fields:
        if PyBytes_GET_SIZE(key) == count and is_name(
            <const uint8_t *>PyBytes_AS_STRING(key), count, wanted
        ):
            if first is None:
                first = value
            elif values is None:
                values = [first, value]
            else:
                values.append(value)
    if values is not None:
        return b", ".join(values)
    return b"" if first is None else first


def framing(tuple fields not None):
    """How a body is framed that these fields announce, RFC 9112, 6.3: (framing, Content-Length).

    "chunked" and "close" come with a length of 0. Of several fields of a name the last one holds.
    """
    cdef bytes key, value
    cdef bytes coding = b""
    length = -1
    for key, value in fields:
        if PyBytes_GET_SIZE(key) == 14:
            if is_name(<const uint8_t *>PyBytes_AS_STRING(key), 14, b"content-length"):
                length = int(value)
        elif PyBytes_GET_SIZE(key) == 17:
            if is_name(<const uint8_t *>PyBytes_AS_STRING(key), 17, b"transfer-encoding"):
                coding = value.rpartition(b",")[2].strip().lower()
    if coding == b"chunked":
        return "chunked", 0
    if length >= 0 and coding in (b"", b"identity"):
        return "length", length
    return "close", 0
