"""Files in the output directory: created there and nowhere else, and held open within a limit.

A file is created O_EXCL where directories.pyx leads: nothing that is there already is written to.
A name that is taken gets a counter. When more files are in use than may be open, the one not used
for longest is closed, and opened again when it is needed; that it is still the same file is
checked. What is written to them, and their names, are up to the sinks and names.pyx.

A `Files` belongs to one thread at a time; another thread makes itself another.
"""
import os

from daemonlogger_py.errors import StorageError

from libc.errno cimport EEXIST, EMFILE, ENFILE, ENOMEM, errno
from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset, strlen
from posix.unistd cimport close as close_fd

from daemonlogger_py.flow.flow cimport Flow
from daemonlogger_py.readers.streams.counters cimport (
    COUNTER_PLACES,
    COUNTERS_EACH,
    Counter,
    find_counter,
    hash_of,
    remember,
)
from daemonlogger_py.readers.streams.directories cimport Directories
from daemonlogger_py.readers.streams.names cimport Template, set_flow
from daemonlogger_py.readers.streams.text cimport free_text, put, put_char

cdef extern from "<errno.h>" nogil:
    enum:
        ESTALE

cdef extern from "<fcntl.h>" nogil:
    enum:
        AT_SYMLINK_NOFOLLOW
        O_CLOEXEC
        O_CREAT
        O_EXCL
        O_NOFOLLOW
        O_RDWR

cdef extern from "<sys/stat.h>" nogil:
    struct timespec:
        int64_t tv_sec
        long tv_nsec
    struct file_status "stat":
        uint64_t st_dev
        uint64_t st_ino
    int fstat(int fd, file_status *status)
    int futimens(int fd, const timespec *times)
    int utimensat(int directory, const char *name, const timespec *times, int flags)

cdef extern from "<unistd.h>" nogil:
    int unlinkat(int directory, const char *name, int flags)

cdef enum:
    OPEN_AGAIN = O_RDWR | O_NOFOLLOW | O_CLOEXEC
    OPEN_NEW = O_CREAT | O_EXCL | OPEN_AGAIN


cdef class Files:
    """Files below the directory open as `outdir_fd`, named by `template`, up to `max_open` open.

    `outdir_fd` stays the caller's. Every file that was created has to be finished by who created
    it. Directories that a name needs are made. Raises OSError if the descriptor is not one.
    """

    def __cinit__(self, int outdir_fd, Template template, int max_open):
        if max_open < 1:
            raise ValueError(f"{max_open} files cannot be written: at least one has to be open")
        self.template = template
        self.max_open = max_open
        self.directories = Directories(outdir_fd)
        self.counters = <Counter *>calloc(COUNTER_PLACES * COUNTERS_EACH, sizeof(Counter))
        if self.counters == NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self.counters)
        free_text(&self.name)

    def failure(self):
        """What failed last, as a StorageError to raise."""
        what = "another file has its name now" if self.failed_errno == ESTALE else ""
        return StorageError(f"{self.named}: {what or os.strerror(self.failed_errno)}")

    @property
    def named(self):
        """The name that was asked for last."""
        return os.fsdecode(self.name.data[:self.name.used]).rstrip("\0") if self.name.used else ""

    def new(
        self,
        str source,
        int source_port,
        str destination,
        int destination_port,
        *,
        str suffix="",
        uint64_t number=0,
        uint64_t session=0,
        uint64_t first_ns=0,
        vlans=(),
    ):
        """Create the file of the stream that these are of; a `NewFile`. Raises StorageError.

        For tests and tools: sinks have flows, and call `create`.
        """
        cdef Flow flow
        cdef NewFile made = NewFile(self)
        cdef bytes ending = os.fsencode(suffix)
        memset(&flow, 0, sizeof(Flow))
        set_flow(
            &flow, source, source_port, destination, destination_port, session, vlans, None
        )
        flow.streams[0].number = number
        flow.streams[0].first_ns = first_ns
        if self.create(&made.file, &flow, 0, ending) < 0:
            raise self.failure()
        return made

    cdef int create(
        self, OutFile *file, const Flow *flow, int side, const char *suffix
    ) noexcept nogil:
        cdef uint64_t count
        cdef uint64_t key
        cdef Counter *known
        cdef int fd
        if not self.spell(flow, side, 0, suffix):
            return self.fail_with(ENOMEM)
        key = hash_of(self.name.data, self.name.used)
        known = find_counter(self.counters, key)
        count = known.next_count if known != NULL else 0
        if count and not self.spell(flow, side, count, suffix):
            return self.fail_with(ENOMEM)
        fd = self.open_file(self.name.data, OPEN_NEW)
        while fd < 0 and errno == EEXIST:
            count += 1
            if not self.spell(flow, side, count, suffix):
                return self.fail_with(ENOMEM)
            fd = self.open_file(self.name.data, OPEN_NEW)
        if fd < 0:
            return self.fail()
        if count:
            # A name used once is found taken by its first look-up: only others need to be known.
            remember(self.counters, key, count + 1)
        file.name = <char *>malloc(self.name.used)
        if file.name == NULL:
            close_fd(fd)
            return self.fail_with(ENOMEM)
        memcpy(file.name, self.name.data, self.name.used)
        return self.adopt(file, fd)

    cdef int reach(self, OutFile *file) noexcept nogil:
        cdef file_status status
        cdef int fd
        if file.fd >= 0:
            if file != self.newest:
                self.unlink(file)
                self.link(file)
            return file.fd
        self.name.used = 0
        put(&self.name, file.name, strlen(file.name) + 1)
        fd = self.open_file(file.name, OPEN_AGAIN)
        if fd < 0:
            return self.fail()
        if (
            fstat(fd, &status) != 0
            or status.st_dev != file.device
            or status.st_ino != file.inode
        ):
            close_fd(fd)
            return self.fail_with(ESTALE)
        return self.adopt(file, fd)

    cdef int finish(self, OutFile *file, uint64_t first_ns) noexcept nogil:
        cdef timespec times[2]
        cdef const char *leaf = NULL
        cdef int directory
        cdef int result = 0
        if file.name == NULL:
            return 0
        self.name.used = 0
        put(&self.name, file.name, strlen(file.name) + 1)
        times[0].tv_sec = times[1].tv_sec = <int64_t>(first_ns // 1000000000)
        times[0].tv_nsec = times[1].tv_nsec = <long>(first_ns % 1000000000)
        if file.fd < 0:
            if first_ns:
                directory = self.directories.directory_of(file.name, &leaf, False)
                if directory < 0 or utimensat(directory, leaf, times, AT_SYMLINK_NOFOLLOW) != 0:
                    result = self.fail()
        else:
            if first_ns and futimens(file.fd, times) != 0:
                result = self.fail()
            self.unlink(file)
            if close_fd(file.fd) != 0:
                result = self.fail()
        free(file.name)
        file.name = NULL
        file.fd = -1
        return result

    cdef int beside(self, const char *name, const char *suffix) noexcept nogil:
        cdef const char *leaf = NULL
        cdef int directory
        cdef int fd
        self.name.used = 0
        put(&self.name, name, strlen(name))
        put(&self.name, suffix, strlen(suffix) + 1)
        if self.name.failed:
            return self.fail_with(ENOMEM)
        fd = self.open_file(self.name.data, OPEN_NEW)
        if fd < 0 and errno == EEXIST:
            directory = self.directories.directory_of(self.name.data, &leaf, False)
            if directory >= 0 and unlinkat(directory, leaf, 0) == 0:
                fd = self.open_file(self.name.data, OPEN_NEW)
        return fd if fd >= 0 else self.fail()

    cdef int fail(self) noexcept nogil:
        return self.fail_with(errno)

    cdef int fail_with(self, int error) noexcept nogil:
        self.failed_errno = error
        return -1

    cdef void link(self, OutFile *file) noexcept nogil:
        file.newer = NULL
        file.older = self.newest
        if self.newest != NULL:
            self.newest.newer = file
        else:
            self.oldest = file
        self.newest = file
        self.open_files += 1

    cdef void unlink(self, OutFile *file) noexcept nogil:
        if file.newer != NULL:
            file.newer.older = file.older
        else:
            self.newest = file.older
        if file.older != NULL:
            file.older.newer = file.newer
        else:
            self.oldest = file.newer
        file.newer = file.older = NULL
        self.open_files -= 1

    cdef int shrink(self, int limit) noexcept nogil:
        """Close the files not used for longest until `limit` are open."""
        cdef file_status status
        cdef OutFile *file
        cdef int result = 0
        memset(&status, 0, sizeof(file_status))
        while self.open_files > limit:
            file = self.oldest
            if fstat(file.fd, &status) != 0:
                result = self.fail()
            file.device = status.st_dev
            file.inode = status.st_ino
            self.unlink(file)
            if close_fd(file.fd) != 0:
                result = self.fail()
            file.fd = -1
        return result

    cdef int adopt(self, OutFile *file, int fd) noexcept nogil:
        cdef int result = self.shrink(self.max_open - 1)
        file.fd = fd
        self.link(file)
        return result if result < 0 else fd

    cdef int open_file(self, const char *name, int flags) noexcept nogil:
        """As of Directories; files are closed for it if there are no more descriptors."""
        cdef int fd = self.directories.open_file(name, flags)
        while fd < 0 and errno in (EMFILE, ENFILE) and self.open_files:
            self.shrink(self.open_files // 2)
            fd = self.directories.open_file(name, flags)
        return fd

    cdef bint spell(
        self, const Flow *flow, int side, uint64_t count, const char *suffix
    ) noexcept nogil:
        self.name.used = 0
        self.template.write(&self.name, flow, side, count)
        if suffix != NULL:
            put(&self.name, suffix, strlen(suffix))
        put_char(&self.name, 0)
        return not self.name.failed


cdef class NewFile:
    """A file that `Files.new` created, for callers in Python."""

    cdef OutFile file
    cdef Files files

    def __cinit__(self, Files files):
        self.files = files
        self.file.fd = -1

    def __dealloc__(self):
        # Its struct is in the list of open files.
        if self.files is not None:
            self.files.finish(&self.file, 0)

    @property
    def name(self):
        """Relative to the output directory; None once finished."""
        return None if self.file.name == NULL else os.fsdecode(self.file.name)

    @property
    def is_open(self):
        """Whether it is among those open at the moment."""
        return self.file.fd >= 0

    def fileno(self):
        """An fd to read and write, good until another file is used. Raises StorageError."""
        if self.file.name == NULL:
            raise ValueError("the file is finished")
        if self.files.reach(&self.file) < 0:
            raise self.files.failure()
        return self.file.fd

    def finish(self, uint64_t first_ns=0):
        """Set the times to `first_ns` since 1970, unless 0, and close. Raises StorageError."""
        if self.files.finish(&self.file, first_ns) < 0:
            raise self.files.failure()
