"""The sockets that a tap sends through, and the interface they are bound to.

One has a transmit ring (transmit.pxd), one sends single messages; both take a virtio-net header
before each frame. What is sent, and when, is tap.pyx's; this opens and binds, and says how the
interface is.
"""
from libc.errno cimport EACCES, ENODEV, EPERM, errno
from libc.stdint cimport uint8_t
from libc.string cimport memcpy, memset, strerror
from posix.unistd cimport close as close_fd

from daemonlogger_py.engine.packet cimport (
    AF_PACKET,
    ARPHRD_ETHER,
    ARPHRD_LOOPBACK,
    ARPHRD_NONE,
    ARPHRD_RAWIP,
    ARPHRD_SIT,
    ARPHRD_TUNNEL,
    ARPHRD_TUNNEL6,
    IFF_RUNNING,
    IFF_UP,
    IFNAMSIZ,
    MAP_FAILED,
    MAP_SHARED,
    PACKET_TX_RING,
    PACKET_VERSION,
    PACKET_VNET_HDR,
    PROT_READ,
    PROT_WRITE,
    SIOCGIFFLAGS,
    SIOCGIFINDEX,
    SIOCGIFMTU,
    SOCK_CLOEXEC,
    SOCK_RAW,
    SOL_PACKET,
    bind,
    getsockname,
    if_nametoindex,
    ifreq,
    ioctl,
    mmap,
    munmap,
    new_socket,
    setsockopt,
    sockaddr,
    sockaddr_ll,
)
from daemonlogger_py.engine.transmit cimport (
    BLOCK_BYTES,
    SLOT_BYTES,
    SLOTS,
    TPACKET_V2,
    tpacket_req,
)

from daemonlogger_py.errors import SourceError, UsageError

cdef tuple RAW_IP = (ARPHRD_NONE, ARPHRD_RAWIP, ARPHRD_SIT, ARPHRD_TUNNEL, ARPHRD_TUNNEL6)

# Which interfaces carry the packets of a linktype, as they are in a savefile.
cdef dict KINDS = {
    DLT_EN10MB: ("Ethernet", (ARPHRD_ETHER, ARPHRD_LOOPBACK)),
    12: ("raw IP", RAW_IP),
    228: ("raw IPv4", RAW_IP),
    229: ("raw IPv6", RAW_IP),
}

cdef dict STATES = {
    DOWN: "is down",
    NO_CARRIER: "has no carrier",
    GONE: "is gone",
    OTHER_KIND: "came back with another link-layer type",
    NOT_BOUND: "cannot be bound to",
}


cdef int packet_socket() noexcept:
    """A socket that sends with virtio-net headers; -1: see errno."""
    cdef int on = 1
    # Protocol 0: it never receives anything.
    cdef int fd = new_socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0)
    if fd >= 0 and setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)) != 0:
        close_fd(fd)
        return -1
    return fd


cdef class TapSockets:
    """Sockets bound to `interface`, for packets of `linktype`. Opening needs CAP_NET_RAW.

    Raises UsageError where the interface does not exist or carries other packets, SourceError
    where it is down or may not be opened. `mtu` in bytes, as it was last seen.
    """

    def __cinit__(self):
        self.fd = self.message_fd = -1
        self.ring.memory = NULL

    def __init__(self, str interface, int linktype):
        if linktype not in KINDS:
            raise UsageError(
                f"-o/--tap {interface}: packets of linktype {linktype} cannot be sent; "
                f"accepted: {', '.join(f'{name} ({k})' for k, (name, _) in KINDS.items())}"
            )
        self.close()
        self.interface = interface
        self.ethernet = linktype == DLT_EN10MB
        self.hardware = KINDS[linktype][1]
        raw_name = interface.encode(errors="surrogateescape")
        if len(raw_name) >= IFNAMSIZ or b"\0" in raw_name or not if_nametoindex(raw_name):
            raise self.unknown()
        memset(&self.request, 0, sizeof(self.request))
        memcpy(self.request.ifr_name, <const char *>raw_name, len(raw_name))
        self.open_sockets()
        try:
            self.open_interface(KINDS[linktype][0])
        except (SourceError, UsageError):
            self.close()
            raise

    def __dealloc__(self):
        self.close()

    cdef unknown(self):
        return UsageError(f"-o/--tap {self.interface!r}: no such interface")

    cdef int open_sockets(self) except -1:
        if self.open_ring() == 0:
            return 0
        reason, refused = strerror(errno).decode(), errno in (EPERM, EACCES)
        self.close()
        if refused:
            reason = "no permission to send: root or CAP_NET_RAW is needed"
        raise SourceError(f"tap {self.interface}: {reason}")

    cdef int open_ring(self) noexcept:
        cdef int version = TPACKET_V2
        cdef tpacket_req asked
        cdef void *memory
        self.fd = packet_socket()
        self.message_fd = packet_socket()
        if self.fd < 0 or self.message_fd < 0:
            return -1
        asked.tp_block_size = BLOCK_BYTES
        asked.tp_frame_size = SLOT_BYTES
        asked.tp_frame_nr = SLOTS
        asked.tp_block_nr = SLOTS * SLOT_BYTES // BLOCK_BYTES
        if setsockopt(self.fd, SOL_PACKET, PACKET_VERSION, &version, sizeof(version)) != 0:
            return -1
        if setsockopt(self.fd, SOL_PACKET, PACKET_TX_RING, &asked, sizeof(asked)) != 0:
            return -1
        memory = mmap(
            NULL, SLOTS * SLOT_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, self.fd, 0
        )
        if memory == MAP_FAILED:
            return -1
        self.ring.memory = <uint8_t *>memory
        self.ring.head = 0
        return 0

    cdef int open_interface(self, str kind) except -1:
        self.state = self.attach()
        if self.state == GONE:
            raise self.unknown()
        if self.state == OTHER_KIND:
            raise UsageError(
                f"-o/--tap {self.interface}: not an interface for {kind}, as the packets are"
            )
        if self.state in (DOWN, NOT_BOUND):
            raise SourceError(f"tap {self.failure}")
        return 0

    cdef State attach(self) noexcept:
        """Bind to the interface that now has the name, and say how it is."""
        cdef ifreq request = self.request
        cdef sockaddr_ll address
        cdef unsigned int size = sizeof(address)
        if ioctl(self.fd, SIOCGIFINDEX, &request) != 0:
            return GONE
        memset(&address, 0, sizeof(address))
        address.sll_family = AF_PACKET
        address.sll_ifindex = request.ifr_ifindex
        if (
            bind(self.fd, <sockaddr *>&address, sizeof(address)) != 0
            or bind(self.message_fd, <sockaddr *>&address, sizeof(address)) != 0
            or getsockname(self.fd, <sockaddr *>&address, &size) != 0
        ):
            self.bind_error = errno
            return GONE if errno == ENODEV else NOT_BOUND
        if address.sll_hatype not in self.hardware:
            return OTHER_KIND
        self.state = UP
        self.look()
        return self.state

    cdef void look(self) noexcept nogil:
        """See what may have changed under a bound interface: its MTU, whether it is up."""
        cdef ifreq request = self.request
        if self.state != UP or ioctl(self.fd, SIOCGIFMTU, &request) != 0:
            return  # sending will tell
        self.mtu = request.ifr_mtu
        if ioctl(self.fd, SIOCGIFFLAGS, &request) != 0:
            return
        if not request.ifr_flags & IFF_UP:
            self.state = DOWN
        elif not request.ifr_flags & IFF_RUNNING:
            # The kernel swallows what is sent now and calls it sent.
            self.state = NO_CARRIER

    def revive(self):
        """Look whether a tap that is down has its interface again; True when it can send.

        Needs no capability. The interface may be another one that has the name now.
        """
        if self.fd < 0:
            raise ValueError("the tap is closed")
        if self.state != UP:
            self.state = self.attach()
        return self.state == UP

    @property
    def down(self):
        """Whether the interface is down, without carrier or gone: frames are missed."""
        return self.state != UP

    @property
    def failure(self):
        """Why the tap is down, or None."""
        if self.state == UP:
            return None
        what = STATES[self.state]
        if self.state == NOT_BOUND:
            what = f"{what}: {strerror(self.bind_error).decode()}"
        return f"interface {self.interface} {what}"

    def close(self):
        """Close the sockets; may be called twice. The counters stay."""
        if self.ring.memory != NULL:
            munmap(self.ring.memory, SLOTS * SLOT_BYTES)
            self.ring.memory = NULL
        if self.fd >= 0:
            close_fd(self.fd)
        if self.message_fd >= 0:
            close_fd(self.message_fd)
        self.fd = self.message_fd = -1
