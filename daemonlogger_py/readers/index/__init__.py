"""``dlctl index``: one sidecar a savefile, which says in which blocks of it a flow has packets.

    builder   one pass over a savefile -> columns: blocks, and classes of packets with their blocks
    sidecar   the columns on disk and back, checked before they are believed
    build     one savefile -> its sidecar, in one step that is seen whole or not at all
    directory where sidecars are kept, and what need not be looked at again
    account   what was done, and how that is told
    indexing  all savefiles that need one, once or as the ring grows

What a sidecar cannot say is read from the savefile: no answer ever depends on there being one.
"""
