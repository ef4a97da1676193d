"""What a command is asked to do: its command line in, one validated object out.

For ``daemonlogger``:

``options``      the one table of options; the parser, ``--help``, the man page and the TOML keys;
                 its later half is ``service_options``
``resolve``      flags + words + TOML file -> RecorderConfig
``checks``       what no single option can know: options that need or exclude each other, disks
``chroot``       where a path inside a chroot is, seen from outside
``filter_file``  the text of a BPF filter file
``recorder``     RecorderConfig, which is all the rest of the project sees

For ``dlctl streams``:

``stream_options``   its table of options; the later half is ``stream_output_options``
``stream_template``  -T and -F: how files are named
``stream_scanners``  -e and -S: what can be enabled and set
``stream_rules``     options in their order + words -> StreamsConfig
``streams``          StreamsConfig, which is all that its reader sees

For the verbs of the archive, ``dlctl ls``, ``status``, ``extract``, ``verify``, ``index``, ``pin``:

``archive_options``  their tables of options; what several verbs have is in ``verb_options``
``archive_rules``    options + words -> the verb's configuration
``archive``          these configurations, which are all that the readers see

For all:

``option``       what an option is
``units``        numbers as people write them: 2g, 90m, 15%
``times``        points in time as people write them

Nothing here opens a source or writes anything; every failure is a UsageError of one line.
"""
