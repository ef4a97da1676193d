"""The sockets that a tap sends through; see tap_sockets.pyx."""
from daemonlogger_py.engine.packet cimport ifreq
from daemonlogger_py.engine.transmit cimport Ring

cdef enum:
    DLT_EN10MB = 1

cdef enum State:
    UP
    DOWN
    NO_CARRIER
    GONE
    OTHER_KIND
    NOT_BOUND

cdef class TapSockets:
    cdef Ring ring
    cdef int fd  # of the socket with the ring
    cdef int message_fd
    cdef State state
    cdef bint ethernet  # a frame begins with an Ethernet header, and not with that of IP
    cdef ifreq request  # the name, to ask about the interface that has it now
    cdef int bind_error
    cdef tuple hardware  # ARPHRD_ types that carry the packets
    cdef readonly str interface
    cdef readonly unsigned int mtu

    cdef unknown(self)
    cdef int open_sockets(self) except -1
    cdef int open_ring(self) noexcept
    cdef int open_interface(self, str kind) except -1
    cdef State attach(self) noexcept
    cdef void look(self) noexcept nogil
