"""The two commands, ``daemonlogger`` and ``dlctl``: parse, call one function, map the outcome.

``daemonlogger``  records; its options are the table in `config.options`
``dlctl``         reads what was recorded, one verb each
``outcome``       exceptions to one line and an exit status, for both
``man``           both man pages, from the same tables as the parsers

Modules import what a command line needs once that is known: ``daemonlogger -v`` starts in less
than 80 ms.
"""
