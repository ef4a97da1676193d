"""A descriptor that text is written to without the GIL: standard output, mostly.

Writes all of it however little a write takes, waits for whoever takes it, but not for long once
the run is to stop, and takes turns with other processes through a named semaphore, as tcpflow's -L
means it. What is written is the caller's, who hands over whole packets, so that no packet is torn
by another process.
"""
import os

from daemonlogger_py.errors import StorageError, UsageError
from daemonlogger_py.readers.stalls import Taker

from cpython.exc cimport PyErr_CheckSignals
from libc.errno cimport EAGAIN, EINTR, ENOMEM, ETIMEDOUT, errno
from libc.stdint cimport SIZE_MAX, int64_t
from posix.unistd cimport write as write_fd

from daemonlogger_py.readers.streams.text cimport Text

cdef extern from "<fcntl.h>" nogil:
    enum:
        O_CREAT

cdef extern from "<poll.h>" nogil:
    enum:
        POLLIN
        POLLOUT
    struct pollfd:
        int fd
        short events
        short revents
    int poll(pollfd *fds, unsigned long count, int timeout_ms)

cdef extern from "<semaphore.h>" nogil:
    ctypedef struct sem_t:
        pass
    sem_t *SEM_FAILED
    sem_t *sem_open(const char *name, int flags, ...)
    int sem_close(sem_t *semaphore)
    int sem_post(sem_t *semaphore)
    int sem_timedwait(sem_t *semaphore, const timespec *until)

cdef extern from "<time.h>" nogil:
    struct timespec:
        int64_t tv_sec
        long tv_nsec
    enum:
        CLOCK_REALTIME
    int clock_gettime(int clock, timespec *now)

cdef enum:
    # sem_overview(7): NAME_MAX less 4, and the slash that every name begins with.
    MAX_NAME_BYTES = 250
    # Who holds the semaphore writes a few MiB; who died holding it never gives it back.
    PATIENCE_S = 60
    # A signal that comes just before a wait does not end it: how long that may stay unnoticed.
    NOTICE_MS = 200


cdef class Outlet:
    """Writes to `fd`, which stays the caller's.

    `semaphore` names a POSIX semaphore (sem_overview(7)) that is held during each write; it is
    created with the value 1 for this user's processes if there is none. Waiting for it for more
    than `patience_s` is a failure: its holder died, or is itself held up.

    Once `stopping` is requested, a reader that holds the writing up is a failure, StalledError;
    `name` is what that calls the descriptor.

    Raises UsageError for a name that no semaphore has, StorageError if it cannot be opened.
    """

    def __cinit__(
        self,
        int fd,
        str semaphore=None,
        double patience_s=PATIENCE_S,
        *,
        stopping=None,
        str name="standard output",
    ):
        self.fd = self.written_fd = fd
        self.stop_fd = -1
        self.most_bytes = SIZE_MAX
        self.patience_s = patience_s
        if stopping is not None:
            self.taker = Taker(fd, name, stopping)
            self.written_fd = self.taker.fd
            self.stop_fd = stopping.stop_fd
            self.blocks = self.taker.blocks
            self.most_bytes = self.taker.most_bytes
        if semaphore is not None:
            self.semaphore = "/" + semaphore.removeprefix("/")
            self.join()

    def __dealloc__(self):
        if self.shared != NULL:
            sem_close(self.shared)

    def __del__(self):
        if self.taker is not None:
            self.taker.close()

    cdef join(self):
        cdef bytes name = os.fsencode(self.semaphore)
        cdef sem_t *opened
        if len(name) < 2 or len(name) > MAX_NAME_BYTES + 1 or b"/" in name[1:] or b"\0" in name:
            raise UsageError(
                f"semaphore {self.semaphore[1:]!r}: accepted is a name of 1 to "
                f"{MAX_NAME_BYTES} bytes without a slash"
            )
        opened = sem_open(name, O_CREAT, 0o600, 1)
        if opened == SEM_FAILED:
            raise StorageError(f"semaphore {self.semaphore}: {os.strerror(errno)}")
        self.shared = opened

    def put(self, const unsigned char[::1] data):
        """Write `data`, all of it.

        Raises OSError, StorageError, StalledError, and what a signal handler does.
        """
        cdef Text text
        text.data = <char *>&data[0] if data.shape[0] else NULL
        text.used = text.capacity = data.shape[0]
        text.failed = False
        cdef int outcome
        with nogil:
            outcome = self.write(&text)
        if outcome < 0:
            raise self.failure()

    cdef int write(self, Text *text) noexcept nogil:
        cdef int outcome
        if text.failed:
            self.failed_errno = ENOMEM
            return -1
        if text.used == 0:
            return 0
        if self.shared != NULL and self.take_turn() < 0:
            return -1
        outcome = self.write_all(text.data, text.used)
        if self.shared != NULL:
            sem_post(self.shared)
        text.used = 0
        return outcome

    cdef object failure(self):
        if self.raised is not None:
            return self.raised
        if self.held_by_another:
            return StorageError(
                f"semaphore {self.semaphore} is held for {self.patience_s:g} s; "
                f"if its holder died, remove /dev/shm/sem.{self.semaphore[1:]}"
            )
        if self.failed_errno in (0, ENOMEM):  # 0: it was not the writing that failed
            return MemoryError("no memory for what is written")
        return OSError(self.failed_errno, os.strerror(self.failed_errno))

    cdef int write_all(self, const char *data, size_t count) noexcept nogil:
        cdef ssize_t written
        while count:
            if self.blocks and self.wait_writable() < 0:
                return -1
            written = write_fd(self.written_fd, data, min(count, self.most_bytes))
            if written >= 0:
                data += written
                count -= written
                # A signal, or a descriptor that does not block, ended the write.
                if count and self.taker is None and self.interrupted():
                    return -1
            elif errno == EAGAIN:
                if self.wait_writable() < 0:
                    return -1
            elif errno != EINTR:
                self.failed_errno = errno
                return -1
            elif self.interrupted():
                return -1
        return 0

    cdef int wait_writable(self) noexcept nogil:
        cdef pollfd[2] waited
        cdef int ready
        waited[0].fd = self.written_fd
        waited[0].events = POLLOUT
        waited[1].fd = self.stop_fd  # or none
        waited[1].events = POLLIN
        while True:
            waited[0].revents = waited[1].revents = 0
            ready = poll(waited, 2, NOTICE_MS)
            if ready < 0 and errno != EINTR:
                self.failed_errno = errno
                return -1
            if ready > 0:
                return self.wait_for_taker() if waited[1].revents else 0
            if self.interrupted():
                return -1

    cdef int wait_for_taker(self) noexcept nogil:
        """The same for the short time that there is once stopping is requested."""
        with gil:
            try:
                self.taker.wait()
            except BaseException as error:
                self.raised = error
        return -1 if self.raised is not None else 0

    cdef int take_turn(self) noexcept nogil:
        cdef timespec until
        cdef int64_t patience_ns = <int64_t>(self.patience_s * 1e9)
        clock_gettime(CLOCK_REALTIME, &until)
        patience_ns += until.tv_nsec
        until.tv_sec += patience_ns // 1000000000
        until.tv_nsec = <long>(patience_ns % 1000000000)
        while sem_timedwait(self.shared, &until) != 0:
            if errno == EINTR:
                if self.interrupted():
                    return -1
                continue
            self.failed_errno = errno
            self.held_by_another = errno == ETIMEDOUT
            return -1
        return 0

    cdef bint interrupted(self) noexcept nogil:
        """Let signal handlers run; whether one of them raised."""
        with gil:
            try:
                PyErr_CheckSignals()
            except BaseException as error:  # for `failure` to give, whatever it is
                self.raised = error
        return self.raised is not None
