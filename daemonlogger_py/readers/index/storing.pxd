"""Columns in memory to the bytes of a sidecar's file, for sidecar.pyx: the layout is said there."""
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcmp, memset

from daemonlogger_py.readers.index.members cimport (
    blocks_type,
    bytes_type,
    facts_type,
    prefix_names,
    runs_type,
    tail_names,
)
from daemonlogger_py.readers.index.npz cimport (
    Npz,
    Output,
    free_output,
    put_array,
    put_bytes,
    put_directory,
    put_leb128,
    put_u32,
)
from daemonlogger_py.readers.index.rows cimport Forms, Names, put_rows
from daemonlogger_py.readers.index.sidecar cimport Block, Columns, Facts, Run


cdef inline void put_prefixes(
    Output *output, Npz *npz, const Columns *columns, uint64_t seed
) noexcept nogil:
    """Neighbours of one mask are of one form."""
    cdef Output offsets, masks, rows, values
    cdef Forms forms
    cdef Names names = prefix_names()
    cdef uint32_t prefix, start, count, i
    cdef uint32_t same = 0
    cdef uint32_t last = 0
    memset(&offsets, 0, sizeof(Output))
    memset(&masks, 0, sizeof(Output))
    memset(&rows, 0, sizeof(Output))
    memset(&values, 0, sizeof(Output))
    forms.count = 0
    for prefix in range(columns.prefixes):
        start = columns.prefix_offset[prefix]
        count = columns.prefix_offset[prefix + 1] - start
        if (
            prefix == 0
            or count != last
            or memcmp(columns.prefix_mask + start, columns.prefix_mask + start - last, count)
        ):
            if prefix:
                put_u32(&rows, same)
            put_u32(&offsets, <uint32_t>masks.used)
            put_bytes(&masks, columns.prefix_mask + start, count)
            forms.count += 1
            same = 0
            last = count
        same += 1
        for i in range(start, start + count):
            if columns.prefix_mask[i]:
                put_bytes(&values, columns.prefix_bytes + i, 1)
    if columns.prefixes:
        put_u32(&rows, same)
    put_u32(&offsets, <uint32_t>masks.used)
    if offsets.failed or masks.failed or rows.failed or values.failed:
        output.failed = True
    else:
        forms.offset = <const uint32_t *>offsets.data
        forms.mask = masks.data
        forms.rows = <const uint32_t *>rows.data
        put_rows(output, npz, &names, &forms, values.data, seed)
    free_output(&offsets)
    free_output(&masks)
    free_output(&rows)
    free_output(&values)


cdef inline void put_blocks(Output *output, Npz *npz, const Columns *columns) noexcept nogil:
    cdef Output blocks
    cdef Block block
    cdef uint32_t i
    memset(&blocks, 0, sizeof(Output))
    for i in range(columns.blocks):
        block.size_bytes = <uint32_t>(columns.block_offset[i + 1] - columns.block_offset[i])
        block.packets = columns.block_packets[i]
        block.first_ns = columns.block_first_ns[i]
        block.last_ns = columns.block_last_ns[i]
        put_bytes(&blocks, &block, sizeof(Block))
    if blocks.failed:
        output.failed = True
    else:
        put_array(
            output, npz, b"blocks.npy", blocks_type, sizeof(Block), blocks.data, columns.blocks
        )
    free_output(&blocks)


cdef inline void put_postings(Output *output, Npz *npz, const Columns *columns) noexcept nogil:
    cdef Output runs, lengths
    cdef Run run
    cdef uint32_t i
    memset(&runs, 0, sizeof(Output))
    memset(&lengths, 0, sizeof(Output))
    run.prefix = run.classes = 0
    for i in range(columns.classes):
        if run.classes and columns.class_prefix[i] != run.prefix:
            put_bytes(&runs, &run, sizeof(Run))
            run.classes = 0
        run.prefix = columns.class_prefix[i]
        run.classes += 1
        put_leb128(&lengths, columns.posting_offset[i + 1] - columns.posting_offset[i])
    if run.classes:
        put_bytes(&runs, &run, sizeof(Run))
    if runs.failed or lengths.failed:
        output.failed = True
    else:
        put_array(
            output, npz, b"runs.npy", runs_type, sizeof(Run), runs.data, runs.used // sizeof(Run)
        )
        put_array(output, npz, b"posting_bytes.npy", bytes_type, 1, lengths.data, lengths.used)
        put_array(
            output, npz, b"postings.npy", bytes_type, 1, columns.postings, columns.postings_bytes
        )
    free_output(&runs)
    free_output(&lengths)


cdef inline void put_sidecar(
    Output *output,
    const Columns *columns,
    const Facts *facts,
    const char *name,
    size_t name_bytes,
    uint64_t seed,
) noexcept nogil:
    """Append the whole file; `output.failed` without memory, or where it would be too large."""
    cdef Npz npz
    cdef Forms shapes
    cdef Names names = tail_names()
    npz.count = 0
    shapes.count = columns.shapes
    shapes.offset = columns.shape_offset
    shapes.mask = columns.shape_mask
    shapes.rows = columns.shape_classes
    put_array(output, &npz, b"savefile.npy", facts_type, sizeof(Facts), facts, 1)
    put_array(output, &npz, b"name.npy", bytes_type, 1, name, name_bytes)
    put_blocks(output, &npz, columns)
    put_prefixes(output, &npz, columns, seed)
    if not output.failed:
        put_rows(output, &npz, &names, &shapes, columns.values, seed)
    if not output.failed:
        put_postings(output, &npz, columns)
    if not output.failed:
        put_directory(output, &npz, <uint32_t>output.used)
