"""What answers questions about savefiles, one module a verb of ``dlctl``.

``verify``    whether savefiles are whole, and where the damage begins

What the verbs share:

``inputs``    savefiles in any format, a ring, an interface; read ahead by a thread
``progress``  a bar on a terminal

Readers open savefiles read-only, know nothing of the recorder that wrote them, and never need
privilege.
"""
