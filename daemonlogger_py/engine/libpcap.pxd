"""What python-libpcap's pcap.pxd lacks: the packet path without the GIL, and newer set-up calls."""
from libc.stdio cimport FILE
from libc.stdint cimport uint32_t

from pylibpcap.pcap cimport bpf_insn, pcap_dumper_t, pcap_pkthdr, pcap_t, u_char, u_int

ctypedef void (*packet_handler)(u_char *, const pcap_pkthdr *, const u_char *) noexcept nogil

cdef extern from "<pcap/pcap.h>" nogil:
    enum:
        PCAP_ERRBUF_SIZE
        PCAP_ERROR
        PCAP_ERROR_BREAK
        PCAP_ERROR_PERM_DENIED
        PCAP_ERROR_PROMISC_PERM_DENIED
        PCAP_WARNING_TSTAMP_TYPE_NOTSUP
        PCAP_TSTAMP_PRECISION_MICRO
        PCAP_TSTAMP_PRECISION_NANO
        DLT_LINUX_SLL
        DLT_LINUX_SLL2

    ctypedef struct program "struct bpf_program":
        u_int bf_len
        bpf_insn *bf_insns

    int dispatch "pcap_dispatch"(pcap_t *p, int count, packet_handler handler, u_char *user)
    void breakloop "pcap_breakloop"(pcap_t *p)
    int next_ex "pcap_next_ex"(pcap_t *p, pcap_pkthdr **header, const u_char **packet)
    u_int run_filter "bpf_filter"(
        const bpf_insn *instructions, const u_char *packet, u_int origlen, u_int caplen)

    int pcap_set_buffer_size(pcap_t *p, int size)
    int pcap_set_tstamp_type(pcap_t *p, int kind)
    int pcap_set_tstamp_precision(pcap_t *p, int precision)
    int pcap_list_tstamp_types(pcap_t *p, int **kinds)
    void pcap_free_tstamp_types(int *kinds)
    const char *pcap_tstamp_type_val_to_name(int kind)
    int pcap_tstamp_type_name_to_val(const char *name)
    int pcap_setdirection(pcap_t *p, int direction)
    int pcap_get_selectable_fd(pcap_t *p)
    const char *pcap_statustostr(int status)
    pcap_t *pcap_fopen_offline_with_tstamp_precision(FILE *file, u_int precision, char *errbuf)
    pcap_dumper_t *pcap_dump_fopen(pcap_t *p, FILE *file)
