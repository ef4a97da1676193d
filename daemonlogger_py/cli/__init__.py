"""The two commands, ``daemonlogger`` and ``dlctl``: parse, call one function, map the outcome.

``daemonlogger``  records; its options are the table in `config.options`
``dlctl``         reads what was recorded, one verb each
``streams``       dlctl's verb of that name; its options are the table in `config.stream_options`
``archive``       all other verbs; their options are the tables in `config.archive_options`
``arguments``     command lines told apart as getopt does
``usage``         what --help shows of a table
``outcome``       exceptions to one line and an exit status, for all
``man``           the man pages, from the same tables as the parsers; what they say besides is in
                  ``man_streams``, ``man_archive`` and ``man_extract``; ``man_pages``, ``roff``
``completion``    what shells complete, from the same tables

Modules import what a command line needs once that is known: ``daemonlogger -v`` starts in less
than 80 ms.
"""
