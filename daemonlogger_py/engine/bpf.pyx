"""A filter as libpcap compiles it, and the file header libpcap writes for a handle.

What is done with either is the sources' affair.
"""
from libc.stdio cimport FILE, fclose
from libc.stdlib cimport free
from libc.string cimport memset

from pylibpcap.pcap cimport (
    bpf_program,
    pcap_compile,
    pcap_dump_close,
    pcap_dumper_t,
    pcap_freecode,
    pcap_geterr,
    pcap_lib_version,
    pcap_t,
)

from daemonlogger_py.engine.libpcap cimport pcap_dump_fopen

from daemonlogger_py.errors import FilterError, SourceError

cdef extern from "<stdio.h>":
    FILE *open_memstream(char **memory, size_t *size)


cdef class Filter:
    """A compiled filter, freed with the object."""

    def __cinit__(self):
        memset(&self.compiled, 0, sizeof(self.compiled))

    def __dealloc__(self):
        pcap_freecode(<bpf_program *>&self.compiled)


cdef Filter compile_filter(pcap_t *handle, str text, unsigned int netmask):
    """Compile `text` for the linktype of `handle`. Raises FilterError with libpcap's words."""
    compiled = Filter()
    compiled.text = text
    try:
        raw = text.encode()
    except UnicodeEncodeError as error:
        raise FilterError(f"filter {text!r}: not text: {error.reason}") from None
    if b"\0" in raw:
        raise FilterError(f"filter {text!r}: holds a NUL byte")
    if pcap_compile(handle, <bpf_program *>&compiled.compiled, raw, 1, netmask) != 0:
        reason = " ".join(pcap_geterr(handle).decode(errors="replace").split())
        raise FilterError(f"filter {text!r}: {reason}")
    return compiled


cdef bytes header_of(pcap_t *handle, str source):
    """The 24 bytes with which libpcap begins a savefile of `handle`'s packets.

    Raises SourceError, naming the `source`, for a linktype that savefiles do not have.
    """
    cdef char *memory = NULL
    cdef size_t size = 0
    cdef pcap_dumper_t *dumper
    cdef FILE *stream = open_memstream(&memory, &size)
    if stream == NULL:
        raise MemoryError
    dumper = pcap_dump_fopen(handle, stream)
    if dumper == NULL:
        fclose(stream)
        free(memory)
        reason = pcap_geterr(handle).decode(errors="replace").removeprefix("stream: ")
        raise SourceError(f"{source}: no savefile can hold its packets: {reason}")
    pcap_dump_close(dumper)  # closes the stream
    try:
        return memory[:size]
    finally:
        free(memory)


def libpcap_version():
    """libpcap's own version line, such as "libpcap version 1.10.3 (with TPACKET_V3)"."""
    return pcap_lib_version().decode()
