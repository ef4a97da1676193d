"""The flow engine: packets in, flows and their streams' bytes out. Native and pure.

    records -> decode -> defrag -> table -> engine (tcp, lifetimes) -> a Sink

No files, no clock but the packets' own, no messages. Read ``engine.pyx`` first, then ``flow.pxd``
(what is kept of a flow) and ``sink.pxd`` (what is told). ``ordered`` puts a stream's bytes in
order, ``collector`` makes Python events of them; a native sink gets them as they arrive.
"""
