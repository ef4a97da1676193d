"""File names of streams, made from a template as tcpflow(1) has it (-T, -F).

A template is compiled once; names are then written without the GIL. What comes from packets is
digits, hexadecimal digits, colons and dots and nothing else, so that no name needs escaping and
none can leave the output directory: the template alone could, and is refused if it might. Whether
a name is taken, and the counter that helps then, are the business of files.pyx.
"""
import os

from daemonlogger_py.errors import UsageError

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset, strlen

from daemonlogger_py.flow.flow cimport Flow, Link
from daemonlogger_py.readers.streams.text cimport Text, free_text, put, put_char, put_decimal

cdef extern from "<arpa/inet.h>" nogil:
    enum:
        AF_INET
        AF_INET6
        INET6_ADDRSTRLEN
    const char *inet_ntop(int family, const void *address, char *text, unsigned int size)

cdef extern from "<time.h>" nogil:
    ctypedef long time_t
    struct tm:
        int tm_year
        int tm_mon
        int tm_mday
        int tm_hour
        int tm_min
        int tm_sec
    tm *gmtime_r(const time_t *seconds, tm *fields)

cdef enum Token:
    LITERAL
    SOURCE_ADDRESS
    SOURCE_PORT
    DESTINATION_ADDRESS
    DESTINATION_PORT
    SOURCE_MAC
    DESTINATION_MAC
    VLAN_MARK
    VLAN
    TIME_ISO
    TIME_SECONDS
    COUNT_MARK
    COUNT
    COUNT_ALWAYS
    NUMBER
    NUMBER_THOUSANDS
    NUMBER_MILLIONS
    NUMBER_BILLIONS
    SESSION

cdef enum:
    IPV6 = 6
    # NAME_MAX is 255; what is put behind a stream's name, as -HTTPBODY-001 and an extension or
    # .findx, needs room.
    COMPONENT_BYTES = 255 - 48
    # PATH_MAX is 4096, and the output directory's own path goes before the name.
    NAME_BYTES = 2048

# Letter: (token, most characters it becomes, whether it may become none).
TOKENS = {
    "A": (SOURCE_ADDRESS, 45, False),
    "a": (SOURCE_PORT, 5, False),
    "B": (DESTINATION_ADDRESS, 45, False),
    "b": (DESTINATION_PORT, 5, False),
    "E": (SOURCE_MAC, 17, False),
    "e": (DESTINATION_MAC, 17, False),
    "V": (VLAN_MARK, 2, True),
    "v": (VLAN, 19, True),
    "T": (TIME_ISO, 20, False),
    "t": (TIME_SECONDS, 20, False),
    "C": (COUNT_MARK, 1, True),
    "c": (COUNT, 20, True),
    "#": (COUNT_ALWAYS, 20, False),
    "N": (NUMBER, 3, False),
    "K": (NUMBER_THOUSANDS, 3, False),
    "M": (NUMBER_MILLIONS, 3, False),
    "G": (NUMBER_BILLIONS, 3, False),
    "S": (SESSION, 20, False),
}
ACCEPTED = " ".join(f"%{letter}" for letter in TOKENS) + " %%"

# What each letter of -F puts before the template.
PREFIXES = {
    "t": "%tT",
    "T": "%T",
    "k": "%K/",
    "m": "%M000-%M999/%M%K/",
    "g": "%G000000-%G999999/%G%M000-%G%M999/%G%M%K/",
}


cdef class Template:
    """A compiled template of file names; `text` is the whole of it, prefixes and counter too.

    It never changes: threads may share it.

    `prefixes` are letters of tcpflow's -F (t T k m g), each put before what the ones left of it
    made. `always_count` (-Fc) numbers every connection, the first being c0. %C%c is appended to a
    template without %c. An empty component (of `a//b`, or of `%v/%A` without a VLAN) and one that
    is `.` are left out.

    Raises UsageError for an unknown token or letter, for a template that leaves the output
    directory (absolute, or with a component `..`), for names that could be empty, and for names
    longer than a file system takes.
    """

    def __cinit__(self, str template, str prefixes="", bint always_count=False):
        given = template
        if template.startswith("/"):
            raise UsageError(
                f"-T/--template {template!r}: an absolute name leaves the output directory"
            )
        for letter in list(prefixes):
            if letter not in PREFIXES:
                raise UsageError(
                    f"format {letter!r} of file names is unknown; accepted are {' '.join(PREFIXES)}"
                )
            template = PREFIXES[letter] + template
        parts = split(template)
        if not any(part == (COUNT, "") for part in parts):
            template += "%C%c"
            parts += [(COUNT_MARK, ""), (COUNT, "")]
        self.text = template
        self.always_count = always_count
        components = split_components(parts)
        check(given, components, always_count)
        self.squeezes = any(not least(component, always_count)[1] for component in components)
        self.take(components)

    def __dealloc__(self):
        free(self.pieces)
        free(self.literals)

    cdef take(self, list components):
        parts = []
        for component in components:
            parts += [(LITERAL, "/")] * bool(parts) + component
        self.pieces = <Piece *>calloc(len(parts), sizeof(Piece))
        if self.pieces == NULL:
            raise MemoryError
        cdef bytes literals = b""
        for token, literal in parts:
            encoded = os.fsencode(literal)
            self.pieces[self.piece_count] = Piece(token, len(literals), len(encoded))
            self.piece_count += 1
            literals += encoded
        self.literals = <char *>malloc(len(literals) + 1)
        if self.literals == NULL:
            raise MemoryError
        memcpy(self.literals, <const char *>literals, len(literals))

    cdef void write(self, Text *name, const Flow *flow, int side, uint64_t count) noexcept nogil:
        cdef size_t start = name.used
        cdef const Piece *piece
        cdef uint32_t i
        for i in range(self.piece_count):
            piece = &self.pieces[i]
            if piece.token == LITERAL:
                put(name, self.literals + piece.start, piece.count)
            elif piece.token == COUNT_MARK:
                if count or self.always_count:
                    put_char(name, b"c")
            elif piece.token == COUNT:
                if count or self.always_count:
                    put_decimal(name, count, 1)
            elif piece.token == COUNT_ALWAYS:
                put_decimal(name, count, 1)
            else:
                put_token(name, piece.token, flow, side)
        if self.squeezes:
            squeeze(name, start)

    def name(
        self,
        str source,
        int source_port,
        str destination,
        int destination_port,
        *,
        uint64_t count=0,
        uint64_t number=0,
        uint64_t session=0,
        uint64_t first_ns=0,
        vlans=(),
        macs=None,
    ):
        """The name of the stream that these are of; `macs` is that of the source, then the other.

        Raises ValueError for what is no address.
        """
        cdef Flow flow
        cdef Text text
        memset(&flow, 0, sizeof(Flow))
        memset(&text, 0, sizeof(Text))
        set_flow(
            &flow, source, source_port, destination, destination_port, session, vlans, macs
        )
        flow.streams[0].number = number
        flow.streams[0].first_ns = first_ns
        self.write(&text, &flow, 0, count)
        try:
            if text.failed:
                raise MemoryError
            return os.fsdecode(text.data[:text.used])
        finally:
            free_text(&text)


cdef list split(str template):
    """(token, literal) of each part of the template."""
    parts = []
    rest = iter(list(template))
    for character in rest:
        if character != "%":
            parts.append((LITERAL, character))
            continue
        letter = next(rest, "")
        if letter == "%":
            parts.append((LITERAL, "%"))
        elif letter in TOKENS:
            parts.append((TOKENS[letter][0], ""))
        else:
            what = f"unknown token %{letter}" if letter else "% at the end"
            raise UsageError(f"-T/--template {template!r}: {what}; accepted are {ACCEPTED}")
    return parts


cdef list split_components(list parts):
    """The parts between slashes, literals joined; without components that are empty or `.`."""
    components = [[]]
    for token, literal in parts:
        if literal == "/":
            components.append([])
        elif token == LITERAL and components[-1] and components[-1][-1][0] == LITERAL:
            components[-1][-1] = (LITERAL, components[-1][-1][1] + literal)
        else:
            components[-1].append((token, literal))
    last = components.pop()
    return [part for part in components if part not in ([], [(LITERAL, ".")])] + [last]


cdef tuple least(list component, bint always_count):
    """What a component is at its shortest, if it is literal then, and whether that is not ''."""
    of_token = {token: optional for token, _, optional in TOKENS.values()}
    if always_count:
        of_token[COUNT_MARK] = of_token[COUNT] = False
    if all(token == LITERAL or of_token[token] for token, _ in component):
        shortest = "".join(literal for _, literal in component)
        return shortest, shortest != ""
    return None, True


cdef check(str template, list components, bint always_count):
    longest_of = {token: longest for token, longest, _ in TOKENS.values()}
    total = len(components) - 1
    for component in components:
        shortest, _ = least(component, always_count)
        if shortest == "..":
            raise UsageError(f"-T/--template {template!r}: '..' leaves the output directory")
        if shortest == "." or (shortest == "" and component is components[-1]):
            raise UsageError(
                f"-T/--template {template!r}: a name could be {shortest!r}, which no file can have"
            )
        if any("\0" in literal for _, literal in component):
            raise UsageError(f"-T/--template {template!r}: NUL cannot be in a name")
        longest = sum(
            len(os.fsencode(literal)) if token == LITERAL else longest_of[token]
            for token, literal in component
        )
        total += longest
        if longest > COMPONENT_BYTES:
            raise UsageError(
                f"-T/--template {template!r}: a name of up to {longest} bytes; "
                f"accepted are up to {COMPONENT_BYTES} between two slashes"
            )
    if total > NAME_BYTES:
        raise UsageError(
            f"-T/--template {template!r}: names of up to {total} bytes; accepted are up to"
            f" {NAME_BYTES}"
        )


cdef set_flow(
    Flow *flow, str source, int source_port, str destination, int destination_port,
    uint64_t session, vlans, macs,
):
    """Fill what names are made from; side 0 is the source. Raises ValueError."""
    import ipaddress

    cdef Link *link = &flow.streams[0].link
    cdef bytes packed
    for side, (text, port) in enumerate(((source, source_port), (destination, destination_port))):
        address = ipaddress.ip_address(text)
        packed = address.packed
        memcpy(flow.addresses[<int>side], <const char *>packed, len(packed))
        flow.family = address.version
        flow.ports[<int>side] = port
    flow.session = session
    link.vlan_count = len(vlans)
    for i, vlan in enumerate(vlans):
        link.vlans[<int>i % 4] = vlan
    if macs is not None:
        link.has_macs = True
        packed = bytes.fromhex(macs[0].replace(":", ""))
        memcpy(link.mac_source, <const char *>packed, min(6, len(packed)))
        packed = bytes.fromhex(macs[1].replace(":", ""))
        memcpy(link.mac_destination, <const char *>packed, min(6, len(packed)))


cdef void put_token(Text *name, int token, const Flow *flow, int side) noexcept nogil:
    cdef uint64_t number = flow.streams[side].number
    if token == SOURCE_ADDRESS:
        put_padded(name, flow.family, flow.addresses[side])
    elif token == SOURCE_PORT:
        put_decimal(name, flow.ports[side], 5)
    elif token == DESTINATION_ADDRESS:
        put_padded(name, flow.family, flow.addresses[1 - side])
    elif token == DESTINATION_PORT:
        put_decimal(name, flow.ports[1 - side], 5)
    elif token == SOURCE_MAC:
        put_mac(name, flow.streams[side].link.mac_source)
    elif token == DESTINATION_MAC:
        put_mac(name, flow.streams[side].link.mac_destination)
    elif token == VLAN_MARK:
        if flow.streams[side].link.vlan_count:
            put(name, "--", 2)
    elif token == VLAN:
        put_vlans(name, &flow.streams[side].link)
    elif token == TIME_ISO:
        put_time(name, flow.streams[side].first_ns // 1000000000)
    elif token == TIME_SECONDS:
        put_decimal(name, flow.streams[side].first_ns // 1000000000, 1)
    elif token == NUMBER:
        put_decimal(name, number % 1000, 3)
    elif token == NUMBER_THOUSANDS:
        put_decimal(name, number // 1000 % 1000, 3)
    elif token == NUMBER_MILLIONS:
        put_decimal(name, number // 1000000 % 1000, 3)
    elif token == NUMBER_BILLIONS:
        put_decimal(name, number // 1000000000 % 1000, 3)
    elif token == SESSION:
        put_decimal(name, flow.session, 20)


cdef void put_padded(Text *name, int family, const uint8_t *address) noexcept nogil:
    cdef int i
    if family == IPV6:
        put_address(name, family, address)
        return
    for i in range(4):
        if i:
            put_char(name, b".")
        put_decimal(name, address[i], 3)


cdef void put_address(Text *text, int family, const uint8_t *address) noexcept nogil:
    cdef char written[INET6_ADDRSTRLEN]
    if inet_ntop(AF_INET6 if family == IPV6 else AF_INET, address, written, sizeof(written)):
        put(text, written, strlen(written))


cdef void put_mac(Text *name, const uint8_t *mac) noexcept nogil:
    cdef const char *digits = "0123456789abcdef"
    cdef int i
    for i in range(6):
        if i:
            put_char(name, b":")
        put_char(name, digits[mac[i] >> 4])
        put_char(name, digits[mac[i] & 15])


cdef void put_vlans(Text *name, const Link *link) noexcept nogil:
    cdef int i
    for i in range(min(link.vlan_count, 4)):
        if i:
            put_char(name, b".")
        put_decimal(name, link.vlans[i] & 0xFFF, 1)


cdef void put_time(Text *name, uint64_t seconds) noexcept nogil:
    cdef time_t since_1970 = <time_t>seconds
    cdef tm fields
    memset(&fields, 0, sizeof(tm))
    gmtime_r(&since_1970, &fields)
    put_decimal(name, <uint64_t>(fields.tm_year + 1900), 4)
    put_char(name, b"-")
    put_decimal(name, <uint64_t>(fields.tm_mon + 1), 2)
    put_char(name, b"-")
    put_decimal(name, <uint64_t>fields.tm_mday, 2)
    put_char(name, b"T")
    put_decimal(name, <uint64_t>fields.tm_hour, 2)
    put_char(name, b":")
    put_decimal(name, <uint64_t>fields.tm_min, 2)
    put_char(name, b":")
    put_decimal(name, <uint64_t>fields.tm_sec, 2)
    put_char(name, b"Z")


cdef void squeeze(Text *name, size_t start) noexcept nogil:
    """Drop the empty components of what begins at `start`."""
    cdef size_t kept = start
    cdef size_t at
    for at in range(start, name.used):
        if name.data[at] == b"/" and (kept == start or name.data[kept - 1] == b"/"):
            continue
        name.data[kept] = name.data[at]
        kept += 1
    name.used = kept
