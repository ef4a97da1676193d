"""What answers questions about savefiles, one module a verb of ``dlctl``.

``ls``        which savefiles there are, and what was not recorded; ``ls_rows``
``status``    how a recorder is doing; ``account`` is what it says of itself
``extract``   the packets that match a filter
``streams``   what TCP connections carried
``verify``    whether savefiles, catalog and index are what they should be
``index``     what ``extract`` is fast by
``pins``      spans of time that are not pruned

What the verbs share:

``archive``   savefiles of rings and directories, with what their catalogs know; ``gaps``
``inputs``    savefiles in any format, a ring, an interface; read ahead by a thread
``progress``  a bar on a terminal
``tables``    tables for people and for programs; ``figures``, ``output``
``stalls``    output that whoever reads it may hold up

Readers open savefiles read-only, know nothing of the recorder that wrote them, and never need
privilege.
"""
