"""A filter as libpcap compiles it, and the file header libpcap writes for a handle.

What is done with either is the sources' affair, and the readers': `compile_for` makes a filter for
packets that are read without a handle.
"""
import struct
import sys

from libc.stdint cimport uint32_t
from libc.stdio cimport FILE, fclose
from libc.stdlib cimport free
from libc.string cimport memset

from pylibpcap.pcap cimport (
    bpf_insn,
    bpf_program,
    pcap_close,
    pcap_compile,
    pcap_dump_close,
    pcap_dumper_t,
    pcap_freecode,
    pcap_geterr,
    pcap_lib_version,
    pcap_t,
)

from daemonlogger_py.engine.libpcap cimport (
    PCAP_ERRBUF_SIZE,
    PCAP_TSTAMP_PRECISION_MICRO,
    pcap_dump_fopen,
    pcap_fopen_offline_with_tstamp_precision,
)

from daemonlogger_py.errors import FilterError, SourceError

cdef extern from "<stdio.h>":
    FILE *open_memstream(char **memory, size_t *size)
    FILE *fmemopen(void *memory, size_t size, const char *mode)

# pcap-savefile(5); which resolution of time it stands for is nothing to a filter.
MAGIC = 0xA1B2C3D4
OTHER_ORDER = ">" if sys.byteorder == "little" else "<"


cdef class Filter:
    """A compiled filter, freed with the object."""

    def __cinit__(self):
        memset(&self.compiled, 0, sizeof(self.compiled))

    def __dealloc__(self):
        pcap_freecode(<bpf_program *>&self.compiled)

    @property
    def code(self):
        """The program: 8 bytes an instruction, as `struct bpf_insn` of bpf(4) lies in memory."""
        return (<char *>self.compiled.bf_insns)[:self.compiled.bf_len * sizeof(bpf_insn)]


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


def compile_for(uint32_t linktype, uint32_t snaplen, str text, *, bint swapped=False):
    """Compile `text` ("" accepts all) for packets of a classic savefile with that in its header.

    `linktype` is the header's whole field; `swapped` says that the file is of the other byte
    order, which changes where some linktypes have their protocol. Returns a Filter whose program
    is the one `tcpdump -r` runs. Raises FilterError, also for a linktype libpcap does not read.
    """
    order = OTHER_ORDER if swapped else "="
    head = struct.pack(f"{order}IHHiIII", MAGIC, 2, 4, 0, 0, snaplen, linktype)
    return compile_for_header(head, text)


cdef Filter compile_for_header(bytes head, str text):
    cdef char message[PCAP_ERRBUF_SIZE]
    cdef pcap_t *handle
    # Not pcap_open_dead: without a file, libpcap compiles what only live packets have, such as
    # their direction, and knows no other byte order.
    cdef FILE *stream = fmemopen(<char *>head, len(head), b"r")
    if stream == NULL:
        raise MemoryError
    handle = pcap_fopen_offline_with_tstamp_precision(
        stream, PCAP_TSTAMP_PRECISION_MICRO, message
    )
    if handle == NULL:
        fclose(stream)
        raise FilterError(f"filter {text!r}: {(<bytes>message).decode(errors='replace')}")
    try:
        # Netmask 0, as tcpdump -r has it: a savefile does not say.
        return compile_filter(handle, text, 0)
    finally:
        pcap_close(handle)  # and the stream


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
