"""The recorder one would write on python-libpcap's own calls: one Python object a packet.

    pylibpcap_loop.py replay IN OUT [FILTER]     rpcap -> wpcap
    pylibpcap_loop.py live INTERFACE OUT         Sniff, until SIGINT

pcap_next does not return on an idle link, so after SIGINT somebody must send one more packet; how
many of such packets came into the file is printed as `pokes N` (see lab.POKE_ETHERTYPE).
"""

from __future__ import annotations

import sys

POKE_ETHERTYPE = b"\x88\xb5"
TIMEOUT_MS = 100
"""With the default of 0 the kernel keeps the last, part-filled block for ever."""


def replay(source: str, target: str, filter_text: str) -> None:
    """Copy the packets of a savefile that pass the filter."""
    from pylibpcap.pcap import rpcap, wpcap

    wpcap((packet for _, _, packet in rpcap(source, filter_text)), target)


def live(interface: str, target: str) -> None:
    """Record an interface until SIGINT and the next packet."""
    from pylibpcap.pcap import Sniff

    sniffer = Sniff(interface, promisc=1, timeout=TIMEOUT_MS, out_file=target)
    packet = b""
    try:
        for _, _, packet in sniffer.capture():  # noqa: B007 - the last one is looked at below
            pass
    except KeyboardInterrupt:
        pass
    sniffer.close()
    print("pokes", int(packet[12:14] == POKE_ETHERTYPE))


if __name__ == "__main__":
    if sys.argv[1] == "replay":
        replay(sys.argv[2], sys.argv[3], sys.argv[4] if len(sys.argv) > 4 else "")
    else:
        live(sys.argv[2], sys.argv[3])
