"""``dlctl extract``: exactly the packets that scanning all savefiles with the filter would give.

    plan   which savefiles, and of those with an index which blocks, have to be read
    glance whether a savefile can be left out, from the distinct values its sidecar has
    judge  whether packets with these known bytes match a filter: yes, no, or cannot tell
    scan   the records of byte ranges, each decided by the real filter
    order  matches of several savefiles in the order of time
    run    all of it, from the configuration to the file

The index only spares reading: the filter itself decides about every packet that is given out.
"""
