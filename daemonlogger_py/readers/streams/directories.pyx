"""Names below the output directory, opened one component at a time and never through a link.

Every name begins at the descriptor of the output directory, and each directory on the way is
opened O_NOFOLLOW from the one before it: whoever else may write there cannot lead a name outside.
The directories used last stay open, for the next name. Whether a name is taken, and how many files
are open, are the business of files.pyx.
"""
import os

from libc.errno cimport EEXIST, EINVAL, ENAMETOOLONG, ENOENT, errno
from libc.stdio cimport snprintf
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memchr, memcmp, memcpy, strcmp, strrchr
from posix.unistd cimport close as close_fd

cdef extern from *:
    """
    #include <errno.h>
    static inline int failed_with(int error) { errno = error; return -1; }
    """
    int failed_with(int error) noexcept nogil

cdef extern from "Python.h":
    bytes PyUnicode_EncodeFSDefault(object)

cdef extern from "<fcntl.h>" nogil:
    enum:
        O_CLOEXEC
        O_CREAT
        O_DIRECTORY
        O_EXCL
        O_NOFOLLOW
        O_PATH
        O_RDWR
        O_TMPFILE
    int openat(int directory, const char *name, int flags, ...)

cdef extern from "<sys/stat.h>" nogil:
    int mkdirat(int directory, const char *name, unsigned int mode)

cdef extern from "<unistd.h>" nogil:
    int unlinkat(int directory, const char *name, int flags)

cdef enum:
    MAX_KNOWN = 64
    MAX_COMPONENT_BYTES = 255
    MOST_TRIED = 1000


cdef class Directories:
    """The directory open as `outdir_fd`, which stays the caller's, and those below it.

    Raises OSError if the descriptor is not one.
    """

    def __cinit__(self, int outdir_fd):
        self.outdir_fd = -1
        self.known = <Directory *>calloc(MAX_KNOWN, sizeof(Directory))
        if self.known == NULL:
            raise MemoryError
        self.outdir_fd = os.dup(outdir_fd)

    def __dealloc__(self):
        self.forget()
        free(self.known)
        if self.outdir_fd >= 0:
            close_fd(self.outdir_fd)

    def open(self, str name, int flags):
        """Open a name relative to the output directory; an fd. Raises OSError.

        With O_CREAT in `flags` the directories of the name are made.
        """
        cdef bytes encoded = PyUnicode_EncodeFSDefault(name)
        cdef int fd
        if b"\0" in encoded:
            raise OSError(EINVAL, os.strerror(EINVAL), name)
        fd = self.open_file(encoded, flags | O_CLOEXEC)
        if fd < 0:
            raise OSError(errno, os.strerror(errno), name)
        return fd

    cdef int open_file(self, const char *name, int flags) noexcept nogil:
        cdef int fd = self.open_once(name, flags)
        if fd < 0 and errno == ENOENT and flags & O_CREAT and self.count:
            # Somebody removed a directory that is known here.
            self.forget()
            fd = self.open_once(name, flags)
        return fd

    cdef int unnamed(self) noexcept nogil:
        cdef char name[32]
        cdef unsigned int number
        cdef int fd = openat(self.outdir_fd, b".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0o600)
        if fd >= 0:
            return fd
        # Not every file system has these; elsewhere it has a name for a moment.
        for number in range(MOST_TRIED):
            snprintf(name, sizeof(name), b".dlctl-%u", number)
            fd = openat(
                self.outdir_fd, name, O_CREAT | O_EXCL | O_NOFOLLOW | O_RDWR | O_CLOEXEC, 0o600
            )
            if fd >= 0:
                unlinkat(self.outdir_fd, name, 0)
                return fd
            if errno != EEXIST:
                return -1
        return -1

    cdef int open_once(self, const char *name, int flags) noexcept nogil:
        cdef const char *leaf = NULL
        cdef int directory = self.directory_of(name, &leaf, flags & O_CREAT)
        if directory < 0:
            return -1
        if not is_name(leaf):
            return failed_with(EINVAL)
        return openat(directory, leaf, flags, 0o666)

    cdef int directory_of(self, const char *name, const char **leaf, bint make) noexcept nogil:
        cdef const char *slash = strrchr(name, b"/")
        cdef Directory *found = NULL
        cdef size_t length
        cdef size_t known
        cdef size_t begin
        cdef const char *end
        cdef int fd = self.outdir_fd
        leaf[0] = name if slash == NULL else slash + 1
        if slash == NULL:
            return fd
        length = known = slash - name
        while known:
            found = self.find(name, known)
            if found != NULL:
                fd = found.fd
                break
            known = parent_length(name, known)
        while known < length:
            begin = known + 1 if known else 0
            end = <const char *>memchr(name + begin, b"/", length - begin)
            known = length if end == NULL else end - name
            fd = self.enter(fd, name, begin, known, make)
            if fd < 0:
                return -1
        return fd

    cdef int enter(
        self, int parent, const char *path, size_t begin, size_t end, bint make
    ) noexcept nogil:
        """Open the directory path[begin:end], the last one of its path, from its `parent`."""
        cdef char component[MAX_COMPONENT_BYTES + 1]
        cdef size_t count = end - begin
        cdef char *name
        cdef int fd
        if count > MAX_COMPONENT_BYTES:
            return failed_with(ENAMETOOLONG)
        memcpy(component, path + begin, count)
        component[count] = 0
        if not is_name(component):
            return failed_with(EINVAL)
        if make and mkdirat(parent, component, 0o777) != 0 and errno != EEXIST:
            return -1
        fd = openat(parent, component, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        if fd < 0:
            return -1
        name = <char *>malloc(end)
        if name == NULL:
            close_fd(fd)
            return -1
        memcpy(name, path, end)
        self.keep(name, end, fd)
        return fd

    cdef void keep(self, char *path, size_t length, int fd) noexcept nogil:
        """Take a directory, in place of the one not used for longest."""
        cdef Directory *place = &self.known[self.count]
        cdef int i
        if self.count < MAX_KNOWN:
            self.count += 1
        else:
            place = self.known
            for i in range(1, MAX_KNOWN):
                if self.known[i].last_use < place.last_use:
                    place = &self.known[i]
            close_fd(place.fd)
            free(place.path)
        self.uses += 1
        place[0] = Directory(path, length, fd, self.uses)

    cdef void forget(self) noexcept nogil:
        cdef int i
        for i in range(self.count):
            close_fd(self.known[i].fd)
            free(self.known[i].path)
        self.count = 0

    cdef Directory *find(self, const char *path, size_t length) noexcept nogil:
        cdef Directory *directory
        cdef int i
        for i in range(self.count):
            directory = &self.known[i]
            if directory.length == length and memcmp(directory.path, path, length) == 0:
                self.uses += 1
                directory.last_use = self.uses
                return directory
        return NULL


cdef bint is_name(const char *component) noexcept nogil:
    return component[0] != 0 and strcmp(component, ".") != 0 and strcmp(component, "..") != 0


cdef size_t parent_length(const char *path, size_t length) noexcept nogil:
    while length and path[length - 1] != b"/":
        length -= 1
    return length - 1 if length else 0
