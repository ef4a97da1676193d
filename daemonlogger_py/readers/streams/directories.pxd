"""Names below the output directory, opened one component at a time; see directories.pyx."""
from libc.stdint cimport uint64_t

cdef struct Directory:
    char *path  # relative to the output directory, no NUL at its end
    size_t length
    int fd
    uint64_t last_use

cdef class Directories:
    cdef int outdir_fd
    cdef Directory *known
    cdef int count
    cdef uint64_t uses

    # Open a name relative to the output directory; an fd, or -1 (errno). With O_CREAT in `flags`
    # the directories of the name are made.
    cdef int open_file(self, const char *name, int flags) noexcept nogil
    # A new file that has no name, below the output directory; an fd, or -1 (errno).
    cdef int unnamed(self) noexcept nogil
    # The directory that a name is in, and where its last component begins; or -1 (errno).
    cdef int directory_of(self, const char *name, const char **leaf, bint make) noexcept nogil

    cdef int open_once(self, const char *name, int flags) noexcept nogil
    cdef void forget(self) noexcept nogil
    cdef int enter(
        self, int parent, const char *path, size_t begin, size_t end, bint make
    ) noexcept nogil
    cdef void keep(self, char *path, size_t length, int fd) noexcept nogil
    cdef Directory *find(self, const char *path, size_t length) noexcept nogil
