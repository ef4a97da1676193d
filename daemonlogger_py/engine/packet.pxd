"""Linux's packet sockets and the few questions that are asked of an interface, packet(7)."""
from libc.stddef cimport size_t

cdef extern from "<poll.h>" nogil:
    enum:
        POLLOUT

cdef extern from "<sys/ioctl.h>" nogil:
    enum:
        SIOCGIFFLAGS
        SIOCGIFHWADDR
        SIOCGIFINDEX
        SIOCGIFMTU
    int ioctl(int fd, unsigned long request, void *argument)

cdef extern from "<sys/socket.h>" nogil:
    struct iovec:
        void *iov_base
        size_t iov_len
    struct msghdr:
        iovec *msg_iov
        size_t msg_iovlen
    struct sockaddr:
        unsigned short sa_family
    enum:
        AF_PACKET
        MSG_DONTWAIT
        SOCK_CLOEXEC
        SOCK_RAW
        SOL_PACKET
        SOL_SOCKET
        SO_ATTACH_FILTER
        SO_ERROR
    int new_socket "socket"(int domain, int kind, int protocol)
    int bind(int fd, const sockaddr *address, unsigned int size)
    int getsockname(int fd, sockaddr *address, unsigned int *size)
    int getsockopt(int fd, int level, int name, void *value, unsigned int *size)
    int setsockopt(int fd, int level, int name, const void *value, unsigned int size)
    ssize_t send_to "send"(int fd, const void *data, size_t size, int flags)
    ssize_t sendmsg(int fd, const msghdr *message, int flags)

cdef extern from "<sys/mman.h>" nogil:
    enum:
        MAP_SHARED
        PROT_READ
        PROT_WRITE
    void *MAP_FAILED
    void *mmap(void *at, size_t size, int access, int flags, int fd, long offset)
    int munmap(void *at, size_t size)

cdef extern from "<net/if.h>" nogil:
    struct ifreq:
        char ifr_name[16]
        short ifr_flags
        sockaddr ifr_hwaddr
        int ifr_ifindex
        int ifr_mtu
    enum:
        IFF_RUNNING
        IFF_UP
        IFNAMSIZ
    unsigned int if_nametoindex(const char *name)
    char *if_indextoname(unsigned int index, char *name)

cdef extern from "<linux/if_arp.h>" nogil:
    enum:
        ARPHRD_ETHER
        ARPHRD_LOOPBACK
        ARPHRD_NONE
        ARPHRD_RAWIP
        ARPHRD_SIT
        ARPHRD_TUNNEL
        ARPHRD_TUNNEL6

cdef extern from "<linux/if_packet.h>" nogil:
    struct sockaddr_ll:
        unsigned short sll_family
        unsigned short sll_protocol
        int sll_ifindex
        unsigned short sll_hatype
    struct packet_mreq:
        int mr_ifindex
        unsigned short mr_type
    enum:
        PACKET_ADD_MEMBERSHIP
        PACKET_MR_PROMISC
        PACKET_TX_RING
        PACKET_VERSION
        PACKET_VNET_HDR
