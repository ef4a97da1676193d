"""The savefile: its name, its layout, and what of it is whole.

``names``     PREFIX.EPOCH[.SERIAL] to and from (epoch, serial)
``records``   native: the layout of the classic pcap format, and a walk over a file's records
``pcapng``    the time resolution a pcapng capture declares

Nothing here opens, writes or deletes a file by name: callers hand in descriptors and bytes.
"""
