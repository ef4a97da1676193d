"""What the recorder is asked to do: flags and a TOML file in, one validated object out.

``options``      the one table of options; the parser, ``--help``, the man page and the TOML keys
``units``        numbers as people write them: 2g, 90m, 15%
``resolve``      flags + words + TOML file -> RecorderConfig
``checks``       what no single option can know: options that need or exclude each other, disks
``chroot``       where a path inside a chroot is, seen from outside
``filter_file``  the text of a BPF filter file
``recorder``     RecorderConfig, which is all the rest of the project sees

Nothing here opens a source or writes anything; every failure is a UsageError of one line.
"""
