"""Policy around the engine: what is recorded into which savefile, and what is pruned for it.

``session``     puts a recording together from a configuration, and takes it apart; start here
``opening``     opens what it needs; ``preamble`` says what it will do
``surroundings`` the process around it: detached, as whom, confined, watched by ``vitals``
``recorder``    the loop: fills buffers, rolls over, hands over, ends; ``totals`` is what it counted
``buffers``     the memory between the loop and the disk; ``starvation`` says that it is used up
``writer``      the thread that writes savefiles and prunes, in the order the loop decided
``room``        what it does about a full volume; ``serials`` of names, where there is no ring
``rollover``    when the next savefile begins (pure), ``boundary`` which of these is waited for
``retention``   what has to go (pure)
``ring``        the savefiles there are (``ringfile``); ``prune`` and ``archive`` take them away
``recovery``    what a killed recorder left
``signals``     INT, TERM, QUIT, HUP, USR1, and the wake-up descriptor
``messages``    what a person or a machine reads; ``clocks`` whether the clock was set
``watch``       the interface: down, gone, back; ``taps`` those that packets are sent on to
``chronicle``   notes what happens for the catalog, and asks what is pinned

The catalog has a process of its own, so that no packet ever waits for it:

``cataloger``   what it does: notes come in by ``catalog_link``, rows go out by ``catalog_store``
``catalog_run`` the recording's own row; ``catalog_savefiles`` those of savefiles
``ledger``      what was not recorded; ``census`` what there is; ``surveyor`` reads and hashes it
``answers``     tells ``dlctl status`` what ``catalog_status`` and ``figures`` know
``catalog_process`` how it comes to be, under a ``catalog_guard`` that starts it anew when it was
                killed; ``journal`` is what it had not written by then

Packets are never looked into here.
"""
