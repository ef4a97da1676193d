"""Directories of savefiles: which names are those of savefiles, and what the kernel says of them.

A search of some thousand savefiles looks at each of them here, and at few anywhere else. The
grammar of names is here because of that; it belongs to `names`, which says what it means.
"""
from cpython.bytes cimport PyBytes_AS_STRING
from libc.errno cimport ENOENT, errno
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport calloc, free
from posix.unistd cimport close as close_fd

import os

cdef extern from "<errno.h>" nogil:
    int *errno_place "__errno_location"()

cdef extern from "<fcntl.h>" nogil:
    int AT_SYMLINK_NOFOLLOW, F_DUPFD_CLOEXEC
    int fcntl(int fd, int command, ...)

cdef extern from "<dirent.h>" nogil:
    ctypedef struct DIR:
        pass
    enum:
        DT_REG
        DT_UNKNOWN
    struct dirent:
        char d_name[256]
        unsigned char d_type
    DIR *fdopendir(int fd)
    dirent *readdir(DIR *directory)
    void rewinddir(DIR *directory)
    int closedir(DIR *directory)

cdef extern from "<sys/stat.h>" nogil:
    struct timespec:
        int64_t tv_sec
        int64_t tv_nsec
    ctypedef struct struct_stat "struct stat":
        unsigned int st_mode
        int64_t st_size
        timespec st_mtim
    int fstatat(int dir_fd, const char *path, struct_stat *status, int flags)
    bint S_ISREG(unsigned int mode)

cdef extern from "Python.h":
    bytes PyUnicode_EncodeFSDefault(object name)
    str PyUnicode_DecodeFSDefault(const char *name)

cdef struct Look:  # at a file
    const char *path
    int failed  # errno, or 0
    int64_t size_bytes
    int64_t modified_ns

cdef enum:
    # NAME_MAX of every file system in use; also keeps int() clear of its own limit on digits.
    LONGEST_NAME = 255
    # Decimal digits of which every number fits into 64 bits.
    PLAIN_DIGITS = 18

NAME_MAX = LONGEST_NAME


def parse(str start not None, str name not None):
    """(epoch, serial) of a name that is `start` and EPOCH or EPOCH.SERIAL; None of another.

    Both are ASCII digits alone, of any number that a name has room for; serial is 0 without one.
    """
    return parsed(start, name, len(name))


def parse_compressed(str start not None, str name not None, tuple ends not None):
    """The same of a name before one of `ends` was put behind it; None where none of them is."""
    if not name.startswith(start):
        return None
    for end in ends:
        if name.endswith(end):
            return parsed(start, name, len(name) - len(<str>end))
    return None


cdef object parsed(str start, str name, Py_ssize_t end):
    """What `parse` says of the name up to its `end`."""
    cdef Py_ssize_t at = len(start)
    cdef Py_ssize_t dot
    if end > LONGEST_NAME or not name.startswith(start):
        return None
    dot = behind_digits(name, at, end)
    if dot == at:
        return None
    epoch = number_of(name, at, dot)
    if dot == end:
        return epoch, 0
    if name[dot] != "." or dot + 1 == end or behind_digits(name, dot + 1, end) != end:
        return None
    return epoch, number_of(name, dot + 1, end)


def list_savefiles(int dir_fd, str start not None, kind):
    """(epoch, serial, name) of the regular files, links aside, whose names `parse` reads.

    Each a `kind`, which is tuple or a NamedTuple of these three, in no order. `dir_fd` is open for
    reading. Raises OSError.
    """
    cdef list found = []
    cdef DIR *directory
    cdef dirent *entry
    cdef int fd = fcntl(dir_fd, F_DUPFD_CLOEXEC, 0)
    if fd < 0:
        raise OSError(errno, os.strerror(errno))
    directory = fdopendir(fd)
    if directory == NULL:
        reason = errno
        close_fd(fd)
        raise OSError(reason, os.strerror(reason))
    try:
        rewinddir(directory)  # the position is the descriptor's, and so its copy's
        while True:
            errno_place()[0] = 0  # readdir(3): only this tells an error from the end
            entry = readdir(directory)
            if entry == NULL:
                if errno:
                    raise OSError(errno, os.strerror(errno))
                return found
            if entry.d_type != DT_REG and entry.d_type != DT_UNKNOWN:
                continue
            name = PyUnicode_DecodeFSDefault(entry.d_name)
            numbers = parse(start, name)
            if numbers is not None and (
                entry.d_type == DT_REG or is_regular(dir_fd, entry.d_name)
            ):
                found.append(tuple.__new__(kind, (numbers[0], numbers[1], name)))
    finally:
        rewinddir(directory)  # whoever lists it next by os.listdir expects that
        closedir(directory)


def sizes_and_times(int dir_fd, list names not None, *, bint followed):
    """(size_bytes, modified_ns) of each file in the directory, None of those that are gone.

    Of what a symbolic link leads to if it is to be `followed`. Raises OSError.
    """
    cdef list paths = [PyUnicode_EncodeFSDefault(name) for name in names]
    cdef size_t count = len(paths)
    cdef size_t i
    cdef Look *looks = <Look *>calloc(count + 1, sizeof(Look))
    if looks == NULL:
        raise MemoryError
    try:
        for i in range(count):
            looks[i].path = PyBytes_AS_STRING(paths[i])
        with nogil:
            for i in range(count):
                look_at(dir_fd, &looks[i], 0 if followed else AT_SYMLINK_NOFOLLOW)
        for i in range(count):
            if looks[i].failed and looks[i].failed != ENOENT:
                raise OSError(looks[i].failed, os.strerror(looks[i].failed), names[i])
        return [
            None if looks[i].failed else (looks[i].size_bytes, looks[i].modified_ns)
            for i in range(count)
        ]
    finally:
        free(looks)


cdef void look_at(int dir_fd, Look *look, int flags) noexcept nogil:
    cdef struct_stat status
    if fstatat(dir_fd, look.path, &status, flags) == 0:
        look.size_bytes = status.st_size
        look.modified_ns = status.st_mtim.tv_sec * 1000000000 + status.st_mtim.tv_nsec
    else:
        look.failed = errno


cdef bint is_regular(int dir_fd, const char *name) noexcept nogil:
    cdef struct_stat status
    return fstatat(dir_fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0 and S_ISREG(status.st_mode)


cdef Py_ssize_t behind_digits(str name, Py_ssize_t at, Py_ssize_t end) noexcept:
    while at < end and u"0" <= name[at] <= u"9":
        at += 1
    return at


cdef object number_of(str name, Py_ssize_t begin, Py_ssize_t end):
    cdef uint64_t number = 0
    cdef Py_ssize_t at
    if end - begin > PLAIN_DIGITS:
        return int(name[begin:end])
    for at in range(begin, end):
        number = 10 * number + (<uint64_t>(<Py_UCS4>name[at]) - 48)
    return number
