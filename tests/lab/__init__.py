"""The lab: the recorder against real packets, real peers and real file systems; needs root.

Every test makes its own network namespaces, veth pair and volumes, and removes them. What it
makes: ``network.py`` (namespaces), ``volume.py`` (file systems), ``load.py`` (packets whose
payload carries their number), ``senders.py``, ``recorder.py`` (drives ``daemonlogger``). What
judges the result: ``records.py`` (walks savefiles, knows nothing of the project's own code) and
``peers.py`` (tcpdump, tshark, capinfos).

``DAEMONLOGGER_LAB=0`` leaves the lab out; ``DAEMONLOGGER_LAB_FULL=1`` runs the long forms.
"""
