"""An interface opened for capture through libpcap: its options, its filter, its statistics.

All is set before the handle is activated. Afterwards the filter can be replaced and the socket
taken to another interface of the same name. Packets are live.pyx's.
"""
from libc.errno cimport errno
from libc.stdint cimport int32_t, uint32_t, uint64_t
from libc.string cimport memset, strerror
from posix.unistd cimport usleep

from pylibpcap.pcap cimport (
    bpf_program,
    bpf_u_int32,
    pcap_activate,
    pcap_close,
    pcap_create,
    pcap_datalink,
    pcap_geterr,
    pcap_lookupnet,
    pcap_pkthdr,
    pcap_set_immediate_mode,
    pcap_set_promisc,
    pcap_set_snaplen,
    pcap_set_timeout,
    pcap_setfilter,
    pcap_setnonblock,
    pcap_snapshot,
    pcap_stats,
    u_char,
)

from daemonlogger_py.engine.bpf cimport Filter, compile_filter, header_of
from daemonlogger_py.engine.libpcap cimport (
    DLT_LINUX_SLL,
    DLT_LINUX_SLL2,
    PCAP_ERRBUF_SIZE,
    PCAP_ERROR,
    PCAP_ERROR_PERM_DENIED,
    PCAP_ERROR_PROMISC_PERM_DENIED,
    PCAP_TSTAMP_PRECISION_NANO,
    PCAP_WARNING_TSTAMP_TYPE_NOTSUP,
    dispatch,
    pcap_free_tstamp_types,
    pcap_get_selectable_fd,
    pcap_list_tstamp_types,
    pcap_set_buffer_size,
    pcap_set_tstamp_precision,
    pcap_set_tstamp_type,
    pcap_setdirection,
    pcap_statustostr,
    pcap_tstamp_type_name_to_val,
    pcap_tstamp_type_val_to_name,
)
from daemonlogger_py.engine.packet cimport (
    AF_PACKET,
    PACKET_ADD_MEMBERSHIP,
    PACKET_MR_PROMISC,
    SIOCGIFHWADDR,
    SO_ATTACH_FILTER,
    SO_ERROR,
    SOL_PACKET,
    SOL_SOCKET,
    bind,
    getsockopt,
    if_indextoname,
    if_nametoindex,
    ifreq,
    ioctl,
    packet_mreq,
    setsockopt,
    sockaddr,
    sockaddr_ll,
)
from daemonlogger_py.engine.wait cimport monotonic_ns

from daemonlogger_py.errors import FilterError, SourceError, UsageError

cdef extern from "<arpa/inet.h>" nogil:
    unsigned short htons(unsigned short number)

cdef extern from "<linux/if_ether.h>" nogil:
    enum:
        ETH_P_ALL

cdef extern from "<linux/filter.h>" nogil:
    struct sock_fprog:
        unsigned short len
        sock_filter *filter
    enum:
        BPF_RET
        BPF_K
        BPF_MAXINSNS

cdef enum:
    # The kernel hands over a block that is not full after this long. It bounds how late a lone
    # packet arrives and how long an ending waits; on a busy link blocks fill much sooner.
    BLOCK_TIMEOUT_MS = 20
    # With packet-buffered output: as early as a kernel timer reasonably allows, still in blocks.
    FLUSH_TIMEOUT_MS = 2

DIRECTIONS = {"inout": 0, "in": 1, "out": 2}


cdef void on_unwanted(
    u_char *user, const pcap_pkthdr *header, const u_char *packet
) noexcept nogil:
    (<uint64_t *>user)[0] += 1


cdef class LiveHandle:
    """A libpcap handle of `interface`, activated. Opens it: needs CAP_NET_RAW.

    `snaplen` in bytes; `buffer_bytes` is the kernel's capture buffer; `flush` asks the kernel for
    packets in the shortest blocks, `immediate` for each one alone. Raises SourceError, FilterError,
    and UsageError where the interface cannot do what was asked: nothing is left out silently.
    `warning` is what libpcap remarked, or None.
    """

    def __cinit__(self):
        self.handle = NULL

    def __init__(
        self,
        str interface,
        *,
        str filter_text="",
        int snaplen=65535,
        bint promiscuous=True,
        int buffer_bytes=64 << 20,
        str tstamp_type=None,
        bint nanosecond=False,
        str direction="inout",
        bint immediate=False,
        bint flush=False,
    ):
        cdef char errbuf[PCAP_ERRBUF_SIZE]
        self.interface = interface
        self.nanosecond = nanosecond
        self.promiscuous = promiscuous
        self.block_timeout_ms = FLUSH_TIMEOUT_MS if flush else BLOCK_TIMEOUT_MS
        raw_name = self.raw_name()
        self.handle = pcap_create(raw_name, errbuf)
        if self.handle == NULL:
            raise SourceError(f"interface {interface}: {errbuf.decode(errors='replace')}")
        pcap_set_snaplen(self.handle, snaplen)
        pcap_set_promisc(self.handle, promiscuous)
        pcap_set_timeout(self.handle, self.block_timeout_ms)
        pcap_set_buffer_size(self.handle, buffer_bytes)
        pcap_set_immediate_mode(self.handle, immediate)
        if nanosecond:
            if pcap_set_tstamp_precision(self.handle, PCAP_TSTAMP_PRECISION_NANO) != 0:
                raise UsageError(f"interface {interface} has no nanosecond time stamps")
        if tstamp_type is not None:
            self.choose_tstamp_type(tstamp_type)
        self.activate(tstamp_type)
        if direction != "inout":
            if pcap_setdirection(self.handle, DIRECTIONS[direction]) != 0:
                raise UsageError(f"interface {interface}: direction {direction}: {self.error()}")
        if pcap_setnonblock(self.handle, 1, errbuf) != 0:
            raise SourceError(f"interface {interface}: {errbuf.decode(errors='replace')}")
        self.capture_fd = pcap_get_selectable_fd(self.handle)
        if self.capture_fd < 0:
            raise SourceError(f"interface {interface} cannot be waited for")
        self.index = if_nametoindex(raw_name)
        self.hardware = self.hardware_of(self.index)
        self.linktype = pcap_datalink(self.handle)
        self.snaplen = pcap_snapshot(self.handle)
        self.file_header = header_of(self.handle, f"interface {interface}")
        if filter_text:
            self.begin_filtered(filter_text)

    def __dealloc__(self):
        self.close_handle()

    cdef void close_handle(self) noexcept:
        if self.handle != NULL:
            pcap_close(self.handle)
            self.handle = NULL

    cdef str error(self):
        return pcap_geterr(self.handle).decode(errors="replace")

    cdef unsigned int netmask(self):
        cdef char errbuf[PCAP_ERRBUF_SIZE]
        cdef bpf_u_int32 net = 0, mask = 0
        raw_name = self.raw_name()
        if pcap_lookupnet(raw_name, &net, &mask, errbuf) != 0:
            return 0  # no address, or `any`: only "ip broadcast" would need it
        return mask

    cdef int choose_tstamp_type(self, str name) except -1:
        cdef int *kinds = NULL
        cdef int count = pcap_list_tstamp_types(self.handle, &kinds)
        known = [pcap_tstamp_type_val_to_name(kinds[i]).decode() for i in range(count)]
        if count > 0:
            pcap_free_tstamp_types(kinds)
        known = known or ["host"]  # libpcap lists nothing where there is no choice
        if name not in known:
            raise UsageError(
                f"--tstamp-type {name}: interface {self.interface} has {', '.join(known)}"
            )
        pcap_set_tstamp_type(self.handle, pcap_tstamp_type_name_to_val(name.encode()))
        return 0

    cdef int activate(self, tstamp_type) except -1:
        cdef int status = pcap_activate(self.handle)
        detail = self.error()
        if status < 0:
            what = detail if status == PCAP_ERROR else pcap_statustostr(status).decode()
            if status in (PCAP_ERROR_PERM_DENIED, PCAP_ERROR_PROMISC_PERM_DENIED):
                what = "no permission to capture: CAP_NET_RAW is missing, which root has"
            elif status != PCAP_ERROR and detail and detail != what:
                what = f"{what} ({detail})"
            raise SourceError(f"interface {self.interface}: {what}")
        if status == PCAP_WARNING_TSTAMP_TYPE_NOTSUP and tstamp_type is not None:
            raise UsageError(f"--tstamp-type {tstamp_type}: not available on {self.interface}")
        if status > 0:
            self.warning = detail or pcap_statustostr(status).decode()
        return 0

    @property
    def gone(self):
        """Whether the interface that was opened is not there any more."""
        return self.index != 0 and if_nametoindex(self.raw_name()) != self.index

    cdef bint rebind(self):
        """Take the socket that is open to the interface that now has the name; False: none has."""
        cdef sockaddr_ll address
        cdef packet_mreq membership
        cdef int pending = 0
        cdef unsigned int size = sizeof(pending)
        cdef unsigned int index = if_nametoindex(self.raw_name())
        if self.handle == NULL or index == 0 or self.hardware_of(index) != self.hardware:
            return False
        memset(&address, 0, sizeof(address))
        address.sll_family = AF_PACKET
        address.sll_protocol = htons(ETH_P_ALL)
        address.sll_ifindex = index
        if bind(self.capture_fd, <sockaddr *>&address, sizeof(address)) != 0:
            return False
        if self.promiscuous:
            memset(&membership, 0, sizeof(membership))
            membership.mr_ifindex = index
            membership.mr_type = PACKET_MR_PROMISC
            setsockopt(
                self.capture_fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &membership, sizeof(membership)
            )
        # What the socket still has to say about the interface that went away.
        getsockopt(self.capture_fd, SOL_SOCKET, SO_ERROR, &pending, &size)
        self.index = index
        return True

    cdef bytes raw_name(self):
        return self.interface.encode(errors="surrogateescape")

    cdef unsigned short hardware_of(self, unsigned int index):
        cdef ifreq request
        memset(&request, 0, sizeof(request))
        if if_indextoname(index, request.ifr_name) == NULL:
            return 0
        if ioctl(self.capture_fd, SIOCGIFHWADDR, &request) != 0:
            return 0
        return request.ifr_hwaddr.sa_family

    cdef void read_statistics(self) noexcept nogil:
        cdef pcap_stat now
        cdef int status
        cdef int32_t more
        with gil:
            status = pcap_stats(self.handle, &now)
        if status != 0:
            return
        # libpcap counts in 32 bits; differences survive the wrap.
        self.kernel_received += <uint32_t>(now.ps_recv - self.seen.ps_recv)
        self.kernel_dropped += <uint32_t>(now.ps_drop - self.seen.ps_drop)
        # An interface that was made again counts from 0, and one that cannot be asked has 0.
        more = <int32_t>(now.ps_ifdrop - self.seen.ps_ifdrop)
        if more > 0:
            self.interface_dropped += more
        self.seen = now

    def refilter(self, str text):
        """Replace the filter by `text` ("" for none). Raises FilterError, keeping the old one.

        The kernel swaps programs in one step. Only where libpcap must rewrite the program for a
        cooked linktype (`any`) does it block packets for the microseconds in between.
        """
        if self.handle == NULL:
            raise ValueError("the source is closed")
        self.install(compile_filter(self.handle, text, self.netmask()))

    cdef int begin_filtered(self, str text) except -1:
        """Install the first filter, so that not one packet of before it is recorded.

        Not by pcap_setfilter: libpcap would go on testing packets itself for a while, by this
        filter and not by the one that replaces it.
        """
        compiled = compile_filter(self.handle, text, self.netmask())
        if not self.cooked():
            self.refuse_all()
            with nogil:
                self.discard()
        self.install(compiled)
        return 0

    cdef bint cooked(self):
        return self.linktype in (DLT_LINUX_SLL, DLT_LINUX_SLL2)

    cdef int install(self, Filter compiled) except -1:
        cdef unsigned int count = compiled.compiled.bf_len
        if count > BPF_MAXINSNS:
            raise FilterError(
                f"filter {compiled.text!r}: {count} instructions, the kernel takes {BPF_MAXINSNS}"
            )
        if self.cooked():
            if pcap_setfilter(self.handle, <bpf_program *>&compiled.compiled) != 0:
                raise FilterError(f"filter {compiled.text!r}: {self.error()}")
        elif self.attach(<sock_filter *>compiled.compiled.bf_insns, count) != 0:
            raise FilterError(f"filter {compiled.text!r}: {strerror(errno).decode()}")
        self.filter = compiled
        return 0

    cdef int refuse_all(self) noexcept:
        cdef sock_filter nothing
        nothing.code = BPF_RET | BPF_K
        nothing.jt = nothing.jf = 0
        nothing.k = 0
        return self.attach(&nothing, 1)

    cdef void discard(self) noexcept nogil:
        """Let go of what the kernel accepted so far, and count from here."""
        cdef uint64_t until_ns = monotonic_ns() + 3 * <uint64_t>self.block_timeout_ms * 1000000
        cdef uint64_t seen = 0
        while monotonic_ns() < until_ns:
            dispatch(self.handle, -1, on_unwanted, <u_char *>&seen)
            self.read_statistics()
            if seen >= self.kernel_received - self.kernel_dropped:
                break
            usleep(1000)
        self.kernel_received = self.kernel_dropped = self.interface_dropped = 0

    cdef int attach(self, sock_filter *instructions, unsigned int count) noexcept nogil:
        cdef sock_fprog attached
        attached.len = <unsigned short>count
        attached.filter = instructions
        return setsockopt(
            self.capture_fd, SOL_SOCKET, SO_ATTACH_FILTER, &attached, sizeof(attached)
        )
