"""The table of flows: by addresses, ports and protocol, and in the order of their last packets.

VLAN and interface are not part of what makes a flow, as with tcpflow. Buckets are chosen by a hash
with a random seed, since whoever sends packets chooses what is hashed. When flows go is the
engine's decision.
"""
import os

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy

from daemonlogger_py.flow.flow cimport Flow
from daemonlogger_py.flow.packet cimport IPV4, Packet

cdef extern from *:
    """
    static inline unsigned long long mixed(unsigned long long a, unsigned long long b) {
        unsigned __int128 product = (unsigned __int128)a * b;
        return (unsigned long long)product ^ (unsigned long long)(product >> 64);
    }
    """
    uint64_t mixed(uint64_t a, uint64_t b) noexcept nogil

cdef enum:  # IP protocol numbers (IANA) that have ports
    TCP = 6
    UDP = 17
    SCTP = 132

cdef enum:
    FIRST_BUCKETS = 4096
    MOST_BUCKETS = 1 << 26


cdef inline uint16_t key_port(uint8_t protocol, uint16_t port) noexcept nogil:
    """What of `port` makes the flow: nothing with ICMP, where it is a type or code."""
    return port if protocol == TCP or protocol == UDP or protocol == SCTP else 0


cdef class Table:
    """An empty table. Raises MemoryError."""

    def __cinit__(self):
        self.buckets = <Flow **>calloc(FIRST_BUCKETS, sizeof(Flow *))
        if self.buckets == NULL:
            raise MemoryError
        self.mask = FIRST_BUCKETS - 1
        seed = os.urandom(16)
        memcpy(self.seed, <const char *>seed, 16)

    def __dealloc__(self):
        while self.oldest != NULL:
            self.remove(self.oldest)
        while self.oldest_ended != NULL:
            self.remove(self.oldest_ended)
        free(self.buckets)

    cdef uint32_t hash_of(self, const Packet *packet, uint8_t protocol) noexcept nogil:
        # The same for both directions: each end is hashed alone, and the two are added.
        cdef uint64_t words[4]
        cdef uint64_t one, other
        cdef uint16_t source_port = key_port(protocol, packet.source_port)
        cdef uint16_t destination_port = key_port(protocol, packet.destination_port)
        memcpy(words, packet.source, 16)
        memcpy(words + 2, packet.destination, 16)
        if packet.family == IPV4:
            one = mixed(words[0] ^ self.seed[0], self.seed[1] ^ source_port)
            other = mixed(words[2] ^ self.seed[0], self.seed[1] ^ destination_port)
        else:
            one = mixed(
                mixed(words[0] ^ self.seed[0], words[1] ^ self.seed[1]),
                self.seed[1] ^ source_port,
            )
            other = mixed(
                mixed(words[2] ^ self.seed[0], words[3] ^ self.seed[1]),
                self.seed[1] ^ destination_port,
            )
        return <uint32_t>mixed(one + other + protocol, self.seed[0] | 1)

    cdef Flow *find(self, const Packet *packet, uint8_t protocol, int *side) noexcept nogil:
        cdef uint32_t hashed = self.hash_of(packet, protocol)
        cdef uint16_t source_port = key_port(protocol, packet.source_port)
        cdef uint16_t destination_port = key_port(protocol, packet.destination_port)
        cdef Flow *flow = self.buckets[hashed & self.mask]
        while flow != NULL:
            if (
                flow.hash == hashed
                and flow.protocol == protocol
                and flow.family == packet.family
            ):
                if (
                    flow.ports[0] == source_port
                    and flow.ports[1] == destination_port
                    and memcmp(flow.addresses[0], packet.source, 16) == 0
                    and memcmp(flow.addresses[1], packet.destination, 16) == 0
                ):
                    side[0] = 0
                    return flow
                if (
                    flow.ports[1] == source_port
                    and flow.ports[0] == destination_port
                    and memcmp(flow.addresses[1], packet.source, 16) == 0
                    and memcmp(flow.addresses[0], packet.destination, 16) == 0
                ):
                    side[0] = 1
                    return flow
            flow = flow.chained
        return NULL

    cdef void grow(self) noexcept nogil:
        # Without memory for it the chains get longer, which is slower but right.
        cdef uint32_t size = (self.mask + 1) * 2
        cdef Flow **buckets = <Flow **>calloc(size, sizeof(Flow *))
        cdef Flow *flow
        cdef Flow *following
        cdef uint32_t at
        if buckets == NULL:
            return
        for at in range(self.mask + 1):
            flow = self.buckets[at]
            while flow != NULL:
                following = flow.chained
                flow.chained = buckets[flow.hash & (size - 1)]
                buckets[flow.hash & (size - 1)] = flow
                flow = following
        free(self.buckets)
        self.buckets = buckets
        self.mask = size - 1

    cdef Flow *add(self, const Packet *packet, uint8_t protocol) noexcept nogil:
        cdef Flow *flow = <Flow *>calloc(1, sizeof(Flow))
        if flow == NULL:
            return NULL
        if self.count > self.mask and self.mask + 1 < MOST_BUCKETS:
            self.grow()
        flow.hash = self.hash_of(packet, protocol)
        flow.protocol = protocol
        flow.family = packet.family
        memcpy(flow.addresses[0], packet.source, 16)
        memcpy(flow.addresses[1], packet.destination, 16)
        flow.ports[0] = key_port(protocol, packet.source_port)
        flow.ports[1] = key_port(protocol, packet.destination_port)
        flow.chained = self.buckets[flow.hash & self.mask]
        self.buckets[flow.hash & self.mask] = flow
        self.count += 1
        self.link(flow)
        return flow

    cdef void link(self, Flow *flow) noexcept nogil:
        cdef Flow **newest = &self.newest_ended if flow.ended else &self.newest
        flow.newer = NULL
        flow.older = newest[0]
        if newest[0] != NULL:
            newest[0].newer = flow
        elif flow.ended:
            self.oldest_ended = flow
        else:
            self.oldest = flow
        newest[0] = flow
        self.ended_count += flow.ended

    cdef void unlink(self, Flow *flow, bint ended) noexcept nogil:
        if flow.newer != NULL:
            flow.newer.older = flow.older
        elif ended:
            self.newest_ended = flow.older
        else:
            self.newest = flow.older
        if flow.older != NULL:
            flow.older.newer = flow.newer
        elif ended:
            self.oldest_ended = flow.newer
        else:
            self.oldest = flow.newer
        self.ended_count -= ended

    cdef void touch(self, Flow *flow, bint was_ended) noexcept nogil:
        if flow.newer == NULL and flow.ended == was_ended:
            return
        self.unlink(flow, was_ended)
        self.link(flow)

    cdef void remove(self, Flow *flow) noexcept nogil:
        cdef Flow **at = &self.buckets[flow.hash & self.mask]
        while at[0] != flow:
            at = &at[0].chained
        at[0] = flow.chained
        self.unlink(flow, flow.ended)
        self.count -= 1
        free(flow.streams[0].ranges)
        free(flow.streams[1].ranges)
        free(flow)
