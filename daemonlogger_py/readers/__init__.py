"""What answers questions about savefiles, one module a verb of ``dlctl``.

``verify``  whether savefiles are whole, and where the damage begins

Readers open savefiles read-only, know nothing of the recorder that wrote them, and never need
privilege.
"""
