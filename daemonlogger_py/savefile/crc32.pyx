"""CRC-32 as zip files have it, at the speed of memory where the processor can multiply polynomials.

A search checks the sidecar of every savefile before it believes any of it, and zlib as Debian has
it takes half of that time. The folding is that of Gopal et al., "Fast CRC Computation for Generic
Polynomials Using PCLMULQDQ Instruction" (Intel, 2009); what is left in the end, and every other
processor, is zlib's.
"""
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t

cdef extern from "<zlib.h>" nogil:
    unsigned long crc32_z(unsigned long crc, const uint8_t *data, size_t count)

cdef extern from *:
    """
    #include <stddef.h>
    #include <stdint.h>

    #if defined(__x86_64__) && defined(__GNUC__)
    #include <immintrin.h>

    /* x^544, x^480, x^160 and x^96 modulo the polynomial, bits reflected: what is multiplied with
       the low and the high half of 16 bytes to move them on by 64 or by 16 bytes. */
    #define BY_64 _mm_set_epi64x(0x1c6e41596, 0x154442bd4)
    #define BY_16 _mm_set_epi64x(0x0ccaa009e, 0x1751997d0)

    __attribute__((target("pclmul,sse2")))
    static inline __m128i folded(__m128i sum, __m128i by, __m128i next) {
        __m128i low = _mm_clmulepi64_si128(sum, by, 0x00);
        __m128i high = _mm_clmulepi64_si128(sum, by, 0x11);
        return _mm_xor_si128(_mm_xor_si128(low, high), next);
    }

    /* Turn 64 bytes or more into 16 with the same remainder, which are to be followed by the
       *count bytes at *data that are left: fewer than 16. */
    __attribute__((target("pclmul,sse2")))
    static void fold(uint32_t remainder, const uint8_t **data, size_t *count, uint8_t *made) {
        const __m128i *at = (const __m128i *)*data;
        size_t left = *count;
        __m128i a = _mm_loadu_si128(at), b = _mm_loadu_si128(at + 1);
        __m128i c = _mm_loadu_si128(at + 2), d = _mm_loadu_si128(at + 3);
        a = _mm_xor_si128(a, _mm_cvtsi32_si128((int)remainder));
        for (at += 4, left -= 64; left >= 64; at += 4, left -= 64) {
            a = folded(a, BY_64, _mm_loadu_si128(at));
            b = folded(b, BY_64, _mm_loadu_si128(at + 1));
            c = folded(c, BY_64, _mm_loadu_si128(at + 2));
            d = folded(d, BY_64, _mm_loadu_si128(at + 3));
        }
        a = folded(folded(folded(a, BY_16, b), BY_16, c), BY_16, d);
        for (; left >= 16; at++, left -= 16)
            a = folded(a, BY_16, _mm_loadu_si128(at));
        _mm_storeu_si128((__m128i *)made, a);
        *data = (const uint8_t *)at;
        *count = left;
    }

    static int can_fold(void) { return __builtin_cpu_supports("pclmul"); }
    #else
    static int can_fold(void) { return 0; }
    static void fold(uint32_t remainder, const uint8_t **data, size_t *count, uint8_t *made) {
        (void)remainder, (void)data, (void)count, (void)made;
    }
    #endif
    """
    bint can_fold() nogil
    void fold(
        uint32_t remainder, const uint8_t **data, size_t *count, uint8_t *made
    ) nogil

cdef enum:
    LEAST_BYTES = 64
    FOLDED_BYTES = 16

cdef bint folds = can_fold()


def crc32(const uint8_t[::1] data not None, uint32_t crc=0):
    """Go on with `crc` over some bytes, as zlib.crc32 does."""
    cdef size_t count = data.shape[0]
    cdef const uint8_t *start
    cdef uint32_t found
    if count == 0:
        return crc
    start = &data[0]
    with nogil:
        found = crc32_of(crc, start, count)
    return found


cdef uint32_t crc32_of(uint32_t crc, const uint8_t *data, size_t count) noexcept nogil:
    cdef uint8_t made[FOLDED_BYTES]
    if folds and count >= LEAST_BYTES:
        # What is behind the complements: zlib's numbers are those of the remainders.
        fold(~crc, &data, &count, made)
        crc = <uint32_t>crc32_z(0xFFFFFFFF, made, FOLDED_BYTES)
    return <uint32_t>crc32_z(crc, data, count)
