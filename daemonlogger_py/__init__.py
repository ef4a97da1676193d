"""A packet recorder with a ring of savefiles, and readers of what it recorded.

    RECORD  interface | savefile -> engine (batches of packets) -> buffers -> writer -> savefiles
    READ    savefiles -> readers -> answers

The two sides meet only in files. Who may import whom, from the top: ``cli``; ``record`` and
``readers``, never each other; ``engine``; ``config`` and ``savefile``; ``errors``. The contract
in ``pyproject.toml`` and ``tests/test_imports.py`` (for Cython) hold it.

Three files to open first: ``record/recorder.py`` (the loop), ``engine/protocol.py`` (what the
loop asks of native code), ``record/retention.py`` (what is pruned, and why).
"""

__version__ = "0.1.0"
