"""NumPy's .npz as native code writes and checks it: a zip of stored members, each one .npy array.

Every byte of such a file is determined by the arrays in it: no time stamps, fixed order, the
smallest padding. So what was read is compared with what would have been written, and one flipped
bit anywhere is found: in the data by the members' CRC-32, in what is around it by comparison.
`numpy.load` and `zipfile` read it. Formats: PKWARE's APPNOTE 4.3 (zip), NumPy's NEP 1 (npy 1.0).
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcmp, memcpy, memset, strlen

from daemonlogger_py.savefile.crc32 cimport crc32_of

cdef extern from *:
    """
    static inline int big_endian(void) {
        return __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__;
    }
    """
    bint big_endian() noexcept nogil

cdef enum:
    NPZ_MEMBERS = 24  # at most
    NPZ_BYTES = 0x8000000  # of a whole file, at most; also keeps zip's 32-bit fields right
    LOCAL_BYTES = 30
    CENTRAL_BYTES = 46
    END_BYTES = 22
    NPY_BYTES = 10  # before the text of its header
    NPY_ALIGNED = 64
    NPY_TEXT_BYTES = 512
    ZIP_VERSION = 20
    ZIP_DATE = 0x21  # 1980-01-01, the first there is


cdef struct Output:  # bytes that grow; `failed`: no memory, or more than NPZ_BYTES
    uint8_t *data
    size_t used
    size_t capacity
    bint failed


cdef struct Member:
    const char *name
    uint32_t crc
    uint32_t size_bytes  # the npy header included
    uint32_t offset  # of its local header


cdef struct Npz:  # a file that is written or checked, member by member
    Member members[NPZ_MEMBERS]
    uint32_t count


cdef struct Array:  # one that was read: `count` items of a member
    const uint8_t *data  # not aligned
    size_t count


cdef inline void reserve(Output *output, size_t more) noexcept nogil:
    cdef size_t wanted
    cdef uint8_t *grown
    if output.failed or output.used + more <= output.capacity:
        return
    wanted = max(output.used + more, output.capacity * 2, <size_t>4096)
    grown = NULL
    if output.used + more <= NPZ_BYTES:
        grown = <uint8_t *>realloc(output.data, wanted)
    if grown == NULL:
        output.failed = True
        return
    output.data = grown
    output.capacity = wanted


cdef inline void put_bytes(Output *output, const void *data, size_t count) noexcept nogil:
    reserve(output, count)
    if count and not output.failed:
        memcpy(output.data + output.used, data, count)
        output.used += count


cdef inline void put_byte(Output *output, uint8_t value) noexcept nogil:
    if output.used == output.capacity:
        reserve(output, 1)
    if not output.failed:
        output.data[output.used] = value
        output.used += 1


cdef inline void put_u32(Output *output, uint32_t value) noexcept nogil:
    put_bytes(output, &value, sizeof(value))


cdef inline void put_leb128(Output *output, uint32_t value) noexcept nogil:
    while value > 0x7F:
        put_byte(output, <uint8_t>(value | 0x80))
        value >>= 7
    put_byte(output, <uint8_t>value)


cdef inline void free_output(Output *output) noexcept nogil:
    free(output.data)
    output.data = NULL
    output.used = output.capacity = 0


cdef inline uint8_t *zip16(uint8_t *at, uint32_t value) noexcept nogil:
    at[0] = <uint8_t>value
    at[1] = <uint8_t>(value >> 8)
    return at + 2


cdef inline uint8_t *zip32(uint8_t *at, uint32_t value) noexcept nogil:
    return zip16(zip16(at, value & 0xFFFF), value >> 16)


cdef inline uint32_t unzip32(const uint8_t *at) noexcept nogil:
    return at[0] | <uint32_t>at[1] << 8 | <uint32_t>at[2] << 16 | <uint32_t>at[3] << 24


cdef inline uint8_t *zip_facts(uint8_t *at, const Member *member) noexcept nogil:
    """What a local header and the directory both say, from the version that is needed on."""
    at = zip16(at, ZIP_VERSION)
    at = zip16(at, 0)  # flags
    at = zip16(at, 0)  # stored
    at = zip16(at, 0)  # time
    at = zip16(at, ZIP_DATE)
    at = zip32(at, member.crc)
    at = zip32(at, member.size_bytes)
    at = zip32(at, member.size_bytes)
    at = zip16(at, <uint32_t>strlen(member.name))
    return zip16(at, 0)  # extra fields


cdef inline void local_header(uint8_t *at, const Member *member) noexcept nogil:
    """LOCAL_BYTES, which the name follows."""
    zip_facts(zip32(at, 0x04034B50), member)


cdef inline void put_directory(
    Output *output, const Npz *npz, uint32_t start
) noexcept nogil:
    """Append what is behind the members, which is at byte offset `start` of the file."""
    cdef size_t before = output.used
    cdef uint32_t size_bytes
    cdef uint32_t i
    cdef uint8_t entry[CENTRAL_BYTES]
    cdef uint8_t *at
    cdef const Member *member
    for i in range(npz.count):
        member = &npz.members[i]
        at = zip_facts(zip16(zip32(entry, 0x02014B50), ZIP_VERSION), member)
        memset(at, 0, 10)  # comment, disk, attributes
        zip32(at + 10, member.offset)
        put_bytes(output, entry, CENTRAL_BYTES)
        put_bytes(output, member.name, strlen(member.name))
    size_bytes = <uint32_t>(output.used - before)
    memset(entry, 0, END_BYTES)
    zip32(entry, 0x06054B50)
    zip16(zip16(entry + 8, npz.count), npz.count)
    zip32(zip32(entry + 12, size_bytes), start)
    put_bytes(output, entry, END_BYTES)


cdef inline uint8_t *put_text(uint8_t *at, const char *text) noexcept nogil:
    cdef size_t count = strlen(text)
    memcpy(at, text, count)
    return at + count


cdef inline uint8_t *put_decimal(uint8_t *at, size_t number) noexcept nogil:
    cdef uint8_t digits[20]  # of 64 bits
    cdef int left = 20
    while left == 20 or number:
        left -= 1
        digits[left] = <uint8_t>(ord(b"0") + number % 10)
        number //= 10
    memcpy(at, digits + left, 20 - left)
    return at + 20 - left


cdef inline size_t npy_header(uint8_t *at, const char *dtype, size_t count) noexcept nogil:
    """Write the header of a vector to NPY_TEXT_BYTES at `at`; returns how long it is."""
    cdef uint8_t *end = at + NPY_BYTES
    cdef uint8_t *here
    cdef size_t size_bytes
    memcpy(at, b"\x93NUMPY\x01\x00", 8)
    end = put_text(end, b"{'descr': ")
    end = put_text(end, dtype)
    end = put_text(end, b", 'fortran_order': False, 'shape': (")
    end = put_decimal(end, count)
    end = put_text(end, b",), }")
    if big_endian():  # numbers are this machine's, and say so
        here = at + NPY_BYTES
        while here < end:
            if here[0] == ord(b"<"):
                here[0] = ord(b">")
            here += 1
    size_bytes = (end - at + 1 + NPY_ALIGNED - 1) // NPY_ALIGNED * NPY_ALIGNED
    memset(end, ord(b" "), at + size_bytes - end)
    zip16(at + 8, <uint32_t>(size_bytes - NPY_BYTES))
    at[size_bytes - 1] = ord(b"\n")
    return size_bytes


cdef inline void put_array(
    Output *output,
    Npz *npz,
    const char *name,
    const char *dtype,
    size_t item_bytes,
    const void *data,
    size_t count,
) noexcept nogil:
    """Append a member: `count` items of the NumPy type `dtype`, written as in an .npy header.

    `name` ends in .npy and outlives it.
    """
    cdef uint8_t header[NPY_TEXT_BYTES]
    cdef uint8_t local[LOCAL_BYTES]
    cdef size_t header_bytes = npy_header(header, dtype, count)
    cdef Member *member = &npz.members[npz.count]
    npz.count += 1
    if count * item_bytes > NPZ_BYTES:
        output.failed = True
        return
    member.name = name
    member.size_bytes = <uint32_t>(header_bytes + count * item_bytes)
    member.offset = <uint32_t>output.used
    member.crc = crc32_of(0, header, header_bytes)
    if count:
        member.crc = crc32_of(member.crc, <const uint8_t *>data, count * item_bytes)
    local_header(local, member)
    put_bytes(output, local, LOCAL_BYTES)
    put_bytes(output, name, strlen(name))
    put_bytes(output, header, header_bytes)
    put_bytes(output, data, count * item_bytes)


cdef inline bint take_array(
    const uint8_t *file,
    size_t file_bytes,
    size_t *at,
    Npz *npz,
    const char *name,
    const char *dtype,
    size_t item_bytes,
    Array *array,
) noexcept nogil:
    """Read the member at `at`, and go behind it; False if it is not what was written so."""
    cdef uint8_t header[NPY_TEXT_BYTES]
    cdef uint8_t local[LOCAL_BYTES]
    cdef size_t name_bytes = strlen(name)
    cdef size_t left = file_bytes - at[0]
    cdef size_t header_bytes
    cdef const uint8_t *here = file + at[0]
    cdef Member *member = &npz.members[npz.count]
    if left < LOCAL_BYTES + name_bytes + NPY_ALIGNED:
        return False
    member.name = name
    member.offset = <uint32_t>at[0]
    member.size_bytes = unzip32(here + 22)
    left -= LOCAL_BYTES + name_bytes
    if member.size_bytes > left or member.size_bytes < NPY_ALIGNED:
        return False
    member.crc = crc32_of(0, here + LOCAL_BYTES + name_bytes, member.size_bytes)
    local_header(local, member)
    if memcmp(local, here, LOCAL_BYTES) or memcmp(name, here + LOCAL_BYTES, name_bytes):
        return False
    here += LOCAL_BYTES + name_bytes
    header_bytes = NPY_BYTES + (here[8] | <size_t>here[9] << 8)
    if header_bytes > member.size_bytes or header_bytes > NPY_TEXT_BYTES:
        return False
    array.data = here + header_bytes
    array.count = (member.size_bytes - header_bytes) // item_bytes
    if array.count * item_bytes != member.size_bytes - header_bytes:
        return False
    if npy_header(header, dtype, array.count) != header_bytes:
        return False
    if memcmp(header, here, header_bytes):
        return False
    npz.count += 1
    at[0] += LOCAL_BYTES + name_bytes + member.size_bytes
    return True


cdef inline bint is_directory(
    const uint8_t *file, size_t file_bytes, size_t at, const Npz *npz
) noexcept nogil:
    """Whether the file, from `at` on, is the directory of the members that were taken."""
    cdef Output expected
    cdef bint same
    memset(&expected, 0, sizeof(expected))
    put_directory(&expected, npz, <uint32_t>at)
    same = (
        not expected.failed
        and expected.used == file_bytes - at
        and memcmp(expected.data, file + at, expected.used) == 0
    )
    free_output(&expected)
    return same
