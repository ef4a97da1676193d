"""``dlctl extract``: exactly the packets that scanning all savefiles with the filter would give.

    run       all of it, from the configuration to the file; start here
    plan      which savefiles a span of time needs
    sidecars  what an index leaves to be read of them
    glance    whether a savefile can be left out, from the distinct values its sidecar has
    judge     whether packets with these known bytes match a filter: yes, no, or cannot tell
    task      what is looked for, and the words in which it is found
    work      one savefile, read step by step
    format    its file header as libpcap understands it; `foreign`: what libpcap has to read
    ranges    which bytes of it, and between which times their packets are
    scan      the records of these, each decided by the real filter
    chunk     what matched, sorted by time
    reading   the threads, and which savefile is read next; `holding`: leases on those to come
    order     chunks of all savefiles in one order, through temporary files if they are many
    output    the file or the pipe; `follow`: what comes later; `stats`: what was read and skipped

The index only spares reading: the filter itself decides about every packet that is given out.
"""
