"""The clock of deadlines, and waiting for one of two descriptors."""
from libc.stdint cimport uint64_t
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

cdef extern from "<poll.h>" nogil:
    struct pollfd:
        int fd
        short events
        short revents
    enum:
        POLLIN
    int ppoll(pollfd *fds, unsigned long count, const timespec *timeout, const void *mask)


cdef inline uint64_t monotonic_ns() noexcept nogil:
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return <uint64_t>now.tv_sec * 1000000000 + <uint64_t>now.tv_nsec


cdef inline int wait_readable(int fd, int wake_fd, uint64_t timeout_ns) noexcept nogil:
    """Wait for input: 1 there is some (or its end), -1 woken up, 0 neither: try again."""
    cdef pollfd fds[2]
    cdef timespec timeout
    fds[0].fd = fd
    fds[0].events = POLLIN
    fds[0].revents = 0
    fds[1].fd = wake_fd
    fds[1].events = POLLIN
    fds[1].revents = 0
    timeout.tv_sec = timeout_ns // 1000000000
    timeout.tv_nsec = timeout_ns % 1000000000
    ppoll(fds, 2, &timeout, NULL)
    if fds[1].revents:
        return -1
    return 1 if fds[0].revents else 0
