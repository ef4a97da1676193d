"""Rows of the DFXML report; see dfxml.pyx."""
from daemonlogger_py.readers.streams.closed cimport Closed
from daemonlogger_py.readers.streams.text cimport Text

# Append the <fileobject> of a stream up to and with its <tcpflow/>, prefix being put before names.
cdef void put_head(
    Text *text, const Closed *closed, const char *prefix, bint with_gaps
) noexcept nogil
# Append what ends it.
cdef void put_tail(Text *text) noexcept nogil
