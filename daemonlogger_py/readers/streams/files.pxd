"""Files in the output directory, created safely and held open within a limit; see files.pyx."""
from libc.stdint cimport uint64_t

from daemonlogger_py.flow.flow cimport Flow
from daemonlogger_py.readers.streams.counters cimport Counter
from daemonlogger_py.readers.streams.directories cimport Directories
from daemonlogger_py.readers.streams.names cimport Template
from daemonlogger_py.readers.streams.text cimport Text

cdef struct OutFile:  # zeroed at first, but for fd, which is -1
    int fd  # -1: not open at the moment
    char *name  # relative to the output directory, NUL at its end; NULL: not created yet
    uint64_t device  # which file it is, to know it again; set when it is closed for others
    uint64_t inode
    OutFile *newer  # by last use; kept by Files
    OutFile *older

cdef class Files:
    cdef readonly int failed_errno  # of the last -1
    cdef readonly int max_open
    cdef readonly int open_files
    cdef Template template
    cdef Directories directories
    cdef Counter *counters
    cdef Text name  # the name asked for last, NUL at its end
    cdef OutFile *newest
    cdef OutFile *oldest

    # Create a new file named by the template and `suffix` (may be NULL), counting on while the
    # name is taken. Its fd, or -1 (failed_errno).
    cdef int create(
        self, OutFile *file, const Flow *flow, int side, const char *suffix
    ) noexcept nogil
    # The fd of a created file, opened again for reading and writing if need be; or -1. It is good
    # until the next `create` or `reach`.
    cdef int reach(self, OutFile *file) noexcept nogil
    # Set its times to that of the first packet (unless 0), close and forget it; frees the name.
    # 0, or -1: then it is forgotten all the same.
    cdef int finish(self, OutFile *file, uint64_t first_ns) noexcept nogil
    # Create `name` + `suffix` beside a created file (a .findx); an fd that is the caller's, or -1.
    # What had that name is removed.
    cdef int beside(self, const char *name, const char *suffix) noexcept nogil

    cdef void link(self, OutFile *file) noexcept nogil
    cdef void unlink(self, OutFile *file) noexcept nogil
    cdef int shrink(self, int limit) noexcept nogil
    cdef int adopt(self, OutFile *file, int fd) noexcept nogil
    cdef int fail(self) noexcept nogil
    cdef int fail_with(self, int error) noexcept nogil
    cdef int open_file(self, const char *name, int flags) noexcept nogil
    cdef bint spell(
        self, const Flow *flow, int side, uint64_t count, const char *suffix
    ) noexcept nogil
