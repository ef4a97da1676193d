"""What the members of a sidecar are called and of which NumPy types they are; see sidecar.pyx."""
from daemonlogger_py.readers.index.rows cimport Names

cdef extern from *:
    """
    static const char facts_type[] =
        "[('format', '<u4'), ('linktype', '<u4'), ('snaplen', '<u4'), ('ordered', '<u4'),"
        " ('size_bytes', '<u8'), ('modified_ns', '<i8'), ('end_offset', '<u8'),"
        " ('packets', '<u8'), ('head_crc', '<u4'), ('tail_crc', '<u4')]";
    static const char blocks_type[] =
        "[('bytes', '<u4'), ('packets', '<u4'), ('first_ns', '<u8'), ('last_ns', '<u8')]";
    static const char runs_type[] = "[('prefix', '<u4'), ('classes', '<u4')]";
    static const char bytes_type[] = "'|u1'";
    """
    const char *facts_type  # sidecar.pxd's Facts
    const char *blocks_type  # Block
    const char *runs_type  # Run
    const char *bytes_type


cdef inline Names prefix_names() noexcept nogil:
    cdef Names names
    names.form_bytes = b"prefix_form_bytes.npy"
    names.masks = b"prefix_masks.npy"
    names.form_rows = b"prefix_form_rows.npy"
    names.entries = b"prefix_entries.npy"
    names.words = b"prefix_words.npy"
    names.indexes = b"prefix_indexes.npy"
    return names


cdef inline Names tail_names() noexcept nogil:
    cdef Names names
    names.form_bytes = b"tail_form_bytes.npy"
    names.masks = b"tail_masks.npy"
    names.form_rows = b"tail_form_rows.npy"
    names.entries = b"tail_entries.npy"
    names.words = b"tail_words.npy"
    names.indexes = b"tail_indexes.npy"
    return names
