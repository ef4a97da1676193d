"""``dlctl streams``: the streams of TCP connections as files, on the console or in a report.

Read ``run`` first: it wires the inputs to the flow engine and the engine to the sinks. ``store``
notes what is to be written, ``writer`` writes it, ``console`` and ``packets`` are the other sinks,
``post`` has what is done with each stream once it is closed, ``report`` the DFXML.
"""
