"""Native mechanism: packets from a source into a buffer, until a budget, a deadline or a wake-up.

``protocol``    what the recorder asks of a source: Source, Stop, Counters
``live``        packets of an interface, which ``live_handle`` opens through libpcap
``offline``     packets of a savefile or a pipe, which ``offline_handle`` opens, in any format that
                libpcap reads; classic pcap on a fast path
``tap``         sends packets on, through ``tap_sockets``; ``prepared`` shows what becomes of them
``buffer``      memory for records laid out as they stand in a savefile
``bpf``         a compiled filter
``interfaces``  what there is to capture from

There is no policy here: no names, no clock but for deadlines handed in, no messages. One call
fills one buffer; nothing of Python runs for a packet.
"""
