"""The savefile: its name, its layout, what of it is whole, and what is known of it besides.

``names``     PREFIX.EPOCH[.SERIAL] to and from (epoch, serial); ``listing`` reads it natively
``records``   native: the layout of the classic pcap format, and a walk over a file's records
``salvage``   native: the whole records of a damaged file
``pcapng``    the time resolution a pcapng capture declares
``survey``    all that a catalog says of a savefile by itself
``catalog``   a ring's catalog, on ``catalog_database`` and its neighbours
``crc32``     native: the checksum of rows, pages and columns
``pinned``    which savefiles a pin holds
``holes``     which savefiles are gone that nobody said were pruned
``asides``    what repairs keep beside a savefile
``leases``    whether a savefile is being read or written

Nothing here opens, writes or deletes a savefile by name: callers hand in descriptors and bytes.
"""
