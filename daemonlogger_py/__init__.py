"""A packet recorder with a ring of savefiles, and readers of what it recorded.

    RECORD  interface | savefile -> engine (batches of packets) -> buffers -> writer -> savefiles
    READ    savefiles | ring | interface -> flow engine -> readers -> files, console, report

The two sides meet only in files. Who may import whom, from the top: ``cli``; ``record`` and
``readers``, never each other; ``protocols``; ``engine``, ``flow`` and ``service``, never each
other; ``config`` and ``savefile``; ``errors``. The contract
in ``pyproject.toml`` and ``tests/test_imports.py`` (for Cython) hold it.

Three files to open first: ``record/recorder.py`` (the loop), ``engine/protocol.py`` (what the
loop asks of native code), ``flow/engine.pyx`` (what readers make of packets).
"""

__version__ = "0.1.0"
