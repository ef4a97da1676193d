"""Writing pieces of memory as one, at an offset: pwritev(2), whole or with the error."""
from libc.errno cimport EINTR, errno
from libc.stdint cimport int64_t, uint8_t

cdef extern from "<sys/uio.h>" nogil:
    struct iovec:
        void *iov_base
        size_t iov_len
    ssize_t pwritev(int fd, const iovec *pieces, int count, int64_t offset)


cdef inline int write_pieces(int fd, iovec *pieces, int count, int64_t *at) noexcept nogil:
    """Write all pieces at offset `at`, and move that on; 0, or -1 (errno). Uses the pieces up."""
    cdef ssize_t done
    while count:
        done = pwritev(fd, pieces, count, at[0])
        if done < 0:
            if errno == EINTR:
                continue
            return -1
        at[0] += done
        while count and <size_t>done >= pieces[0].iov_len:
            done -= pieces[0].iov_len
            pieces += 1
            count -= 1
        if count:
            pieces[0].iov_base = <uint8_t *>pieces[0].iov_base + done
            pieces[0].iov_len -= done
    return 0
