"""What every reader reads from: savefiles in any format, a ring, standard input, an interface.

``opening``     a Selection of what was asked for, opened as Inputs; start here
``files``       one savefile or pipe as one capture, or an archive as several
``ring``        the savefiles of a ring: which ones, in which order
``follow``      the newest savefile of a ring, as it grows
``live``        an interface
``capture``     what all of these have in common: records of one capture, and how they ended
``feed``        the thread and the pipe between what has to be made and what reads captures
``decompress``  gzip, bzip2, xz, lzma, zip and zstd, known by their first bytes
``directory``   which files of a directory are savefiles
``stopping``    INT, TERM and HUP, and the descriptors that end every wait
``pump``        the thread that reads ahead while the caller decodes

Nobody here looks into a packet, and none of it needs more rights than opening the inputs does.
"""
