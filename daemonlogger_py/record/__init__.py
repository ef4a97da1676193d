"""Policy around the engine: what is recorded into which savefile, and what is pruned for it.

``session``     puts a recording together from a configuration, and takes it apart; start here
``opening``     opens what it needs; ``preamble`` says what it will do
``surroundings`` the process around it: detached, as whom, confined, watched by ``vitals``
``recorder``    the loop: fills buffers, rolls over, hands over, ends
``buffers``     the memory between the loop and the disk
``writer``      the thread that writes savefiles and prunes, in the order the loop decided
``rollover``    when the next savefile begins (pure); ``retention`` what has to go (pure)
``ring``        the savefiles there are; ``prune`` and ``archive`` take them away
``recovery``    what a killed recorder left
``signals``     INT, TERM, QUIT, HUP, USR1, and the wake-up descriptor
``messages``    what a person or a machine reads; ``clocks`` whether the clock was set
``watch``       the interface: down, gone, back; ``taps`` those that packets are sent on to
``chronicle``   notes what happens for the catalog, and asks what is pinned (``pins``)

The catalog has a process of its own, so that no packet ever waits for it:

``cataloger``   what it does; ``catalog_process`` how it comes to be, ``catalog_link`` who it hears
``catalog_store`` the database and what refuses it; ``ledger`` runs and gaps; ``census`` what is new
``surveyor``    reads and hashes savefiles; ``answers`` and ``figures`` tell ``dlctl status``

Packets are never looked into here.
"""
