"""MD5 (RFC 1321) of several streams at a time, side by side in the lanes of vector registers.

One MD5 is a chain of operations that each wait for the one before, which leaves most of a processor
idle; streams do not depend on each other. For a single stream, or a long one, Python's hashlib is
as fast, and that is what the callers use.
"""
import math

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>

    #define DIGEST_LANES 8

    /* Of the compilers' own vectors: registers where the processor has them, else plain code. */
    typedef uint32_t digest_vector __attribute__((vector_size(4 * DIGEST_LANES)));

    static uint32_t digest_sines[64];

    static inline uint32_t digest_word(const uint8_t *at) {
        uint32_t word;
        memcpy(&word, at, 4);
    #if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        word = __builtin_bswap32(word);
    #endif
        return word;
    }

    #define DIGEST_1(x, y, z) ((z) ^ ((x) & ((y) ^ (z))))
    #define DIGEST_2(x, y, z) ((y) ^ ((z) & ((x) ^ (y))))
    #define DIGEST_3(x, y, z) ((x) ^ (y) ^ (z))
    #define DIGEST_4(x, y, z) ((y) ^ ((x) | ~(z)))
    #define DIGEST_STEP(f, a, b, c, d, word, step, by) \\
        a += f(b, c, d) + words[(word) & 15] + digest_sines[step]; \\
        a = ((a << (by)) | (a >> (32 - (by)))) + b;
    #define DIGEST_ROUND(f, round, factor, first, s1, s2, s3, s4) \\
        for (step = 0; step < 16; step += 4) { \\
            DIGEST_STEP(f, a, b, c, d, factor * step + first, 16 * round + step, s1) \\
            DIGEST_STEP(f, d, a, b, c, factor * (step + 1) + first, 16 * round + step + 1, s2) \\
            DIGEST_STEP(f, c, d, a, b, factor * (step + 2) + first, 16 * round + step + 2, s3) \\
            DIGEST_STEP(f, b, c, d, a, factor * (step + 3) + first, 16 * round + step + 3, s4) \\
        }

    static inline __attribute__((always_inline)) void digest_body(
        uint32_t (*states)[DIGEST_LANES], const uint8_t *const *data, size_t blocks
    ) {
        digest_vector a, b, c, d, before_a, before_b, before_c, before_d, words[16];
        size_t block;
        int lane, step;
        memcpy(&a, states[0], sizeof(a));
        memcpy(&b, states[1], sizeof(b));
        memcpy(&c, states[2], sizeof(c));
        memcpy(&d, states[3], sizeof(d));
        for (block = 0; block < blocks; block++) {
            for (lane = 0; lane < DIGEST_LANES; lane++)
                __builtin_prefetch(data[lane] + 64 * block + 512);
            for (step = 0; step < 16; step++)
                for (lane = 0; lane < DIGEST_LANES; lane++)
                    words[step][lane] = digest_word(data[lane] + 64 * block + 4 * step);
            before_a = a;
            before_b = b;
            before_c = c;
            before_d = d;
            DIGEST_ROUND(DIGEST_1, 0, 1, 0, 7, 12, 17, 22)
            DIGEST_ROUND(DIGEST_2, 1, 5, 1, 5, 9, 14, 20)
            DIGEST_ROUND(DIGEST_3, 2, 3, 5, 4, 11, 16, 23)
            DIGEST_ROUND(DIGEST_4, 3, 7, 0, 6, 10, 15, 21)
            a += before_a;
            b += before_b;
            c += before_c;
            d += before_d;
        }
        memcpy(states[0], &a, sizeof(a));
        memcpy(states[1], &b, sizeof(b));
        memcpy(states[2], &c, sizeof(c));
        memcpy(states[3], &d, sizeof(d));
    }

    static void digest_anywhere(
        uint32_t (*states)[DIGEST_LANES], const uint8_t *const *data, size_t blocks
    ) {
        digest_body(states, data, blocks);
    }

    #if defined(__x86_64__) && defined(__GNUC__)
    static __attribute__((target("avx2"))) void digest_avx2(
        uint32_t (*states)[DIGEST_LANES], const uint8_t *const *data, size_t blocks
    ) {
        digest_body(states, data, blocks);
    }

    static __attribute__((target("avx2,avx512f,avx512vl"))) void digest_avx512(
        uint32_t (*states)[DIGEST_LANES], const uint8_t *const *data, size_t blocks
    ) {
        digest_body(states, data, blocks);
    }
    #endif

    /* How wide the registers may be: 0 whatever is always there, 2 all there is. */
    static void digest_blocks(
        uint32_t (*states)[DIGEST_LANES], const uint8_t *const *data, size_t blocks, int widest
    ) {
    #if defined(__x86_64__) && defined(__GNUC__)
        if (widest > 1 && __builtin_cpu_supports("avx512vl")) {
            digest_avx512(states, data, blocks);
            return;
        }
        if (widest > 0 && __builtin_cpu_supports("avx2")) {
            digest_avx2(states, data, blocks);
            return;
        }
    #endif
        digest_anywhere(states, data, blocks);
    }
    """
    enum:
        LANES "DIGEST_LANES"
    uint32_t digest_sines[64]
    void digest_blocks(
        uint32_t states[][8], const uint8_t **data, size_t blocks, int widest
    ) noexcept nogil

cdef enum:
    BLOCK_BYTES = 64
    LENGTH_BYTES = 8  # at the end of the last block
    DIGEST_BYTES = 16

cdef void fill_sines() except *:
    for step in range(64):  # RFC 1321, 3.4
        digest_sines[step] = int(abs(math.sin(step + 1)) * (1 << 32))


fill_sines()


cdef struct Lane:
    const uint8_t *at
    size_t blocks  # from there on
    Py_ssize_t stream  # index of the one in this lane, -1: none
    bint in_tail
    size_t tail_blocks
    uint8_t tail[128]  # what is left behind the whole blocks, a bit, NULs, and the length in bits


cdef struct Job:
    const uint8_t *data
    size_t size
    uint8_t digest[16]


cdef void begin(
    Lane *lane, uint32_t (*states)[8], int number, Job *job, Py_ssize_t index
) noexcept nogil:
    cdef size_t rest = job.size % BLOCK_BYTES
    cdef uint64_t bits = <uint64_t>job.size * 8
    cdef int at
    lane.stream = index
    lane.at = job.data
    lane.blocks = job.size // BLOCK_BYTES
    lane.in_tail = False
    memset(lane.tail, 0, sizeof(lane.tail))
    if rest:
        memcpy(lane.tail, job.data + job.size - rest, rest)
    lane.tail[rest] = 0x80
    lane.tail_blocks = 1 if rest + 1 + LENGTH_BYTES <= BLOCK_BYTES else 2
    for at in range(LENGTH_BYTES):
        lane.tail[lane.tail_blocks * BLOCK_BYTES - LENGTH_BYTES + at] = <uint8_t>(bits >> 8 * at)
    states[0][number] = 0x67452301
    states[1][number] = 0xEFCDAB89U
    states[2][number] = 0x98BADCFEU
    states[3][number] = 0x10325476


cdef void digest_all(Job *jobs, Py_ssize_t count, int widest) noexcept nogil:
    """Digest jobs, which are best in descending order of their sizes."""
    cdef Lane lanes[LANES]
    cdef uint32_t states[4][8]
    cdef const uint8_t *data[LANES]
    cdef Py_ssize_t begun = 0
    cdef size_t blocks
    cdef const uint8_t *somewhere
    cdef int number, word, byte
    cdef Lane *lane
    memset(states, 0, sizeof(states))
    for number in range(LANES):
        lanes[number].stream = -1
    while True:
        blocks = <size_t>-1
        somewhere = NULL
        for number in range(LANES):
            lane = lanes + number
            if lane.stream >= 0 and lane.blocks == 0:
                if not lane.in_tail:
                    lane.in_tail = True
                    lane.at = lane.tail
                    lane.blocks = lane.tail_blocks
                else:
                    for word in range(4):
                        for byte in range(4):
                            jobs[lane.stream].digest[4 * word + byte] = <uint8_t>(
                                states[word][number] >> 8 * byte
                            )
                    lane.stream = -1
            if lane.stream < 0 and begun < count:
                begin(lane, states, number, jobs + begun, begun)
                begun += 1
                if lane.blocks == 0:
                    lane.in_tail = True
                    lane.at = lane.tail
                    lane.blocks = lane.tail_blocks
            if lane.stream >= 0:
                blocks = min(blocks, lane.blocks)
                somewhere = lane.at
        if somewhere == NULL:
            return
        for number in range(LANES):
            # A lane without a stream is given what another has, and what comes of it to nobody.
            data[number] = lanes[number].at if lanes[number].stream >= 0 else somewhere
        digest_blocks(states, data, blocks, widest)
        for number in range(LANES):
            if lanes[number].stream >= 0:
                lanes[number].at += blocks * BLOCK_BYTES
                lanes[number].blocks -= blocks


def md5_each(list streams not None, int widest=2):
    """Hexadecimal MD5 digests of `streams`, which have bytes (a list of what has a buffer).

    `widest`: 0 does without registers that not every processor of this kind has.
    """
    cdef Py_ssize_t count = len(streams)
    cdef Py_ssize_t held = 0
    cdef Py_ssize_t at
    cdef Py_buffer *views = <Py_buffer *>calloc(count + 1, sizeof(Py_buffer))
    cdef Job *jobs = <Job *>calloc(count + 1, sizeof(Job))
    cdef list order = sorted(range(count), key=lambda index: len(streams[index]), reverse=True)
    cdef list digests = [""] * count
    try:
        if views == NULL or jobs == NULL:
            raise MemoryError
        for at in range(count):
            PyObject_GetBuffer(streams[order[at]], views + at, PyBUF_SIMPLE)
            held += 1
            jobs[at].data = <const uint8_t *>views[at].buf
            jobs[at].size = views[at].len
        with nogil:
            digest_all(jobs, count, widest)
        for at in range(count):
            digests[order[at]] = (<char *>jobs[at].digest)[:DIGEST_BYTES].hex()
        return digests
    finally:
        for at in range(held):
            PyBuffer_Release(views + at)
        free(views)
        free(jobs)
