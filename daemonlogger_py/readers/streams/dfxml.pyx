"""Rows of the DFXML report: what is known of a closed stream, as XML in the words of tcpflow 1.6.1.

Elements, attributes and their order are those of tcpflow(1), its spelling of ``startime`` included;
what it does not tell comes behind: ``beginning`` where no SYN was captured, ``gaps``, ``gap_bytes``
and ``differing_bytes`` where they are not zero, and the element ``<gaps>`` if it is asked for. Head
and tail of the document, and when a row is written, are the business of report.py.

Names are bytes, as a file system has them. What XML cannot hold (control characters, and what is
not UTF-8) becomes ``\\xHH``, so that a report is well-formed whatever a directory is called.
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset, strlen

from daemonlogger_py.flow.flow cimport Range
from daemonlogger_py.readers.streams.closed cimport Closed
from daemonlogger_py.readers.streams.text cimport Text, free_text, put, put_char, put_decimal

cdef extern from "<arpa/inet.h>" nogil:
    enum:
        AF_INET
        AF_INET6
        INET6_ADDRSTRLEN
    const char *inet_ntop(int family, const void *address, char *text, uint32_t size)

cdef extern from *:
    """
    #ifdef __clang__
    #define STREAMS_COMPILER __VERSION__
    #elif defined(__GNUC__)
    #define STREAMS_COMPILER "GCC " __VERSION__
    #else
    #define STREAMS_COMPILER "unknown"
    #endif
    """
    const char *STREAMS_COMPILER
    const char *CYTHON_VERSION "CYTHON_ABI"

COMPILER = STREAMS_COMPILER.decode()
CYTHON = CYTHON_VERSION.decode().replace("_", ".")

cdef enum:
    IPV4 = 4
    IPV6 = 6

cdef uint64_t SECOND_NS = 1000000000
cdef const char *HEXADECIMAL = b"0123456789abcdef"


cdef void put_head(
    Text *text, const Closed *closed, const char *prefix, bint with_gaps
) noexcept nogil:
    put_text(text, b"    <fileobject>\n")
    if closed.name != NULL:
        put_text(text, b"      <filename>")
        put_escaped(text, <const uint8_t *>prefix, strlen(prefix))
        put_escaped(text, <const uint8_t *>closed.name, strlen(closed.name))
        put_text(text, b"</filename>\n")
    put_text(text, b"      <filesize>")
    put_decimal(text, closed.stream_bytes, 1)
    put_text(text, b"</filesize>\n      <tcpflow")
    put_attributes(text, closed)
    put_text(text, b" />\n")
    if with_gaps and closed.gap_count:
        put_gaps(text, closed)


cdef void put_tail(Text *text) noexcept nogil:
    put_text(text, b"    </fileobject>\n")


cdef void put_attributes(Text *text, const Closed *closed) noexcept nogil:
    put_text(text, b" startime='")
    put_time(text, closed.first_ns)
    put_text(text, b"' endtime='")
    put_time(text, closed.last_ns)
    put_text(text, b"'")
    if closed.has_macs:
        put_mac(text, b" mac_daddr='", closed.mac_destination)
        put_mac(text, b" mac_saddr='", closed.mac_source)
    # Linux' AF_INET and AF_INET6, whatever they are where this runs.
    put_text(text, b" family='2'" if closed.family == IPV4 else b" family='10'")
    put_text(text, b" src_ipn='")
    put_address(text, closed.family, closed.source)
    put_text(text, b"' dst_ipn='")
    put_address(text, closed.family, closed.destination)
    put_text(text, b"'")
    put_number(text, b" srcport='", closed.source_port)
    put_number(text, b" dstport='", closed.destination_port)
    put_number(text, b" packets='", closed.packets)
    if closed.out_of_order:
        put_number(text, b" out_of_order_count='", closed.out_of_order)
    if closed.violations:
        put_number(text, b" violations='", closed.violations)
    put_number(text, b" len='", closed.length_bytes)
    if closed.captured_bytes != closed.length_bytes:
        put_number(text, b" caplen='", closed.captured_bytes)
    if not closed.syn:
        put_text(text, b" beginning='unseen'")
    if closed.gap_count:
        put_number(text, b" gaps='", closed.gap_count)
        put_number(text, b" gap_bytes='", closed.gap_bytes)
    if closed.differing_bytes:
        put_number(text, b" differing_bytes='", closed.differing_bytes)


cdef void put_gaps(Text *text, const Closed *closed) noexcept nogil:
    cdef uint32_t at
    put_text(text, b"      <gaps>\n")
    for at in range(closed.gap_count):
        put_number(text, b"       <gap file_offset='", <uint64_t>closed.gaps[at].begin)
        put_number(text, b" len='", <uint64_t>(closed.gaps[at].end - closed.gaps[at].begin))
        put_text(text, b" />\n")
    put_text(text, b"      </gaps>\n")


cdef void put_number(Text *text, const char *before, uint64_t number) noexcept nogil:
    put_text(text, before)
    put_decimal(text, number, 1)
    put_char(text, c"'")


cdef void put_mac(Text *text, const char *before, const uint8_t *address) noexcept nogil:
    """Nothing for the address that is all zeros, as a loopback interface has it."""
    cdef char shown[18]
    cdef int at
    if not (address[0] | address[1] | address[2] | address[3] | address[4] | address[5]):
        return
    for at in range(6):
        shown[3 * at] = HEXADECIMAL[address[at] >> 4]
        shown[3 * at + 1] = HEXADECIMAL[address[at] & 15]
        shown[3 * at + 2] = c":"
    shown[17] = c"'"
    put_text(text, before)
    put(text, shown, 18)


cdef void put_address(Text *text, uint8_t family, const uint8_t *address) noexcept nogil:
    cdef char shown[INET6_ADDRSTRLEN]
    cdef int at
    if family == IPV4:
        for at in range(4):
            if at:
                put_char(text, c".")
            put_decimal(text, address[at], 1)
    elif inet_ntop(AF_INET6, address, shown, INET6_ADDRSTRLEN) != NULL:
        put_text(text, shown)


cdef void put_time(Text *text, uint64_t time_ns) noexcept nogil:
    """ISO 8601, UTC, cut to microseconds; a whole second has no decimals, as in tcpflow."""
    cdef uint64_t seconds = time_ns // SECOND_NS
    cdef uint32_t microseconds = <uint32_t>(time_ns % SECOND_NS // 1000)
    cdef uint32_t second_of_day = <uint32_t>(seconds % 86400)
    cdef char shown[27]
    cdef int used = 20
    put_date(shown, <uint32_t>(seconds // 86400))
    shown[10] = c"T"
    put_two(shown + 11, second_of_day // 3600)
    shown[13] = c":"
    put_two(shown + 14, second_of_day // 60 % 60)
    shown[16] = c":"
    put_two(shown + 17, second_of_day % 60)
    if microseconds:
        shown[19] = c"."
        put_two(shown + 20, microseconds // 10000)
        put_two(shown + 22, microseconds // 100 % 100)
        put_two(shown + 24, microseconds % 100)
        used = 27
    shown[used - 1] = c"Z"
    put(text, shown, used)


cdef void put_date(char *shown, uint32_t day) noexcept nogil:
    """YYYY-MM-DD of a day since 1970, of the proleptic Gregorian calendar.

    A year is taken to begin in March, so that the leap day is its last: months then have
    (153 * month + 2) // 5 days before them. 1970-01-01 is 719468 days behind the March of year 0.
    """
    cdef uint32_t days = day + 719468
    cdef uint32_t era = days // 146097  # of 400 years, after which all repeats
    cdef uint32_t of_era = days % 146097
    cdef uint32_t year = (of_era - of_era // 1460 + of_era // 36524 - of_era // 146096) // 365
    cdef uint32_t of_year = of_era - (365 * year + year // 4 - year // 100)
    cdef uint32_t month = (5 * of_year + 2) // 153
    year += 400 * era
    if month >= 10:  # January and February belong to the next year
        year += 1
    put_two(shown, year // 100)
    put_two(shown + 2, year % 100)
    shown[4] = c"-"
    put_two(shown + 5, month + 3 if month < 10 else month - 9)
    shown[7] = c"-"
    put_two(shown + 8, of_year - (153 * month + 2) // 5 + 1)


cdef void put_two(char *shown, uint32_t number) noexcept nogil:
    shown[0] = <char>(48 + number // 10)
    shown[1] = <char>(48 + number % 10)


cdef void put_text(Text *text, const char *what) noexcept nogil:
    put(text, what, strlen(what))


cdef void put_escaped(Text *text, const uint8_t *data, size_t count) noexcept nogil:
    cdef size_t at = 0, plain = 0
    cdef size_t taken
    cdef const char *reference
    while at < count:
        if is_plain(data[at]):
            at += 1
            continue
        taken = utf8_character(data + at, count - at)
        if taken > 1:
            at += taken
            continue
        put(text, data + plain, at - plain)
        reference = reference_of(data[at])
        if reference != NULL:
            put_text(text, reference)
        else:
            put_text(text, b"\\x")
            put_char(text, HEXADECIMAL[data[at] >> 4])
            put_char(text, HEXADECIMAL[data[at] & 15])
        at += 1
        plain = at
    put(text, data + plain, count - plain)


cdef bint is_plain(uint8_t value) noexcept nogil:
    return 0x20 <= value < 0x7F and value not in (c"&", c"<", c">", c"'", c'"')


cdef const char *reference_of(uint8_t value) noexcept nogil:
    """How a character that XML can hold, but not as it is, is written; NULL: it cannot hold it."""
    if value == c"&":
        return b"&amp;"
    if value == c"<":
        return b"&lt;"
    if value == c">":
        return b"&gt;"
    if value == c"'":
        return b"&apos;"
    if value == c'"':
        return b"&quot;"
    if value == c"\t":
        return b"&#9;"
    if value == c"\n":
        return b"&#10;"
    if value == c"\r":
        return b"&#13;"
    return NULL


cdef size_t utf8_character(const uint8_t *data, size_t count) noexcept nogil:
    """Bytes of the character of several bytes (RFC 3629) that data begins with and that XML has.

    0 if there is none: a lone or missing byte, an overlong form, a surrogate, U+FFFE and U+FFFF,
    and the control characters from U+0080 to U+009F, which a terminal obeys.
    """
    cdef uint32_t character
    cdef size_t length, at
    if data[0] < 0xC2 or data[0] > 0xF4:
        return 0
    length = 2 if data[0] < 0xE0 else 3 if data[0] < 0xF0 else 4
    if length > count:
        return 0
    character = data[0] & (0x7F >> length)
    for at in range(1, length):
        if data[at] & 0xC0 != 0x80:
            return 0
        character = character << 6 | (data[at] & 0x3F)
    if character < 0xA0 or (length == 3 and character < 0x800):
        return 0
    if length == 4 and not 0x10000 <= character <= 0x10FFFF:
        return 0
    if 0xD800 <= character <= 0xDFFF or character in (0xFFFE, 0xFFFF):
        return 0
    return length


def escaped(const uint8_t[::1] data not None):
    """Return `data`, such as a file name, as the text of an XML element or attribute (bytes)."""
    cdef Text text
    cdef const uint8_t *first
    memset(&text, 0, sizeof(text))
    if data.shape[0]:
        first = &data[0]
        with nogil:
            put_escaped(&text, first, data.shape[0])
    return taken_from(&text)


def fileobject(
    bytes prefix, bytes name, bytes source, bytes destination, *, source_port=0,
    destination_port=0, macs=None, first_ns=0, last_ns=0, stream_bytes=0, packets=0,
    out_of_order=0, violations=0, length_bytes=0, captured_bytes=None, differing_bytes=0, gaps=(),
    bint syn=True, bint with_gaps=False,
):
    """Return the whole <fileobject> of a stream (bytes), for one whose facts are in Python.

    Addresses are 4 or 16 bytes, `macs` the 6 bytes of source and destination, `gaps` pairs of
    begin and end. A `name` of None is a stream without a file. Raises ValueError for other sizes.
    """
    cdef Closed closed
    cdef Text text
    cdef uint32_t at
    cdef const char *prefix_text = prefix
    memset(&closed, 0, sizeof(closed))
    memset(&text, 0, sizeof(text))
    if len(source) not in (4, 16) or len(source) != len(destination):
        raise ValueError("addresses are two of 4 bytes or two of 16")
    closed.family = IPV4 if len(source) == 4 else IPV6
    memcpy(closed.source, <const char *>source, len(source))
    memcpy(closed.destination, <const char *>destination, len(destination))
    if macs is not None:
        if [len(mac) for mac in macs] != [6, 6]:
            raise ValueError("MAC addresses are two of 6 bytes")
        closed.has_macs = True
        memcpy(closed.mac_source, <const char *>macs[0], 6)
        memcpy(closed.mac_destination, <const char *>macs[1], 6)
    closed.name = NULL if name is None else <char *>name
    closed.source_port = source_port
    closed.destination_port = destination_port
    closed.first_ns = first_ns
    closed.last_ns = last_ns
    closed.stream_bytes = stream_bytes
    closed.packets = packets
    closed.out_of_order = out_of_order
    closed.violations = violations
    closed.length_bytes = length_bytes
    closed.captured_bytes = length_bytes if captured_bytes is None else captured_bytes
    closed.differing_bytes = differing_bytes
    closed.syn = syn
    gaps = [(int(begin), int(end)) for begin, end in gaps]
    closed.gaps = <Range *>malloc(sizeof(Range) * (len(gaps) + 1))
    if closed.gaps == NULL:
        raise MemoryError
    try:
        for at in range(<uint32_t>len(gaps)):
            closed.gaps[at].begin = gaps[at][0]
            closed.gaps[at].end = gaps[at][1]
            closed.gap_bytes += <uint64_t>(closed.gaps[at].end - closed.gaps[at].begin)
        closed.gap_count = <uint32_t>len(gaps)
        with nogil:
            put_head(&text, &closed, prefix_text, with_gaps)
            put_tail(&text)
    finally:
        free(closed.gaps)
    return taken_from(&text)


cdef bytes taken_from(Text *text):
    """What was put into `text`, which is freed."""
    try:
        if text.failed:
            raise MemoryError
        return text.data[:text.used] if text.used else b""
    finally:
        free_text(text)
