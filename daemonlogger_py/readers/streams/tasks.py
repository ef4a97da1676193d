"""What crosses between the reading process and its workers: plain tuples, texts and numbers.

Imports nothing of what the work needs, which the reading process can thus do without.
"""

from collections.abc import Sequence
from typing import Any

from daemonlogger_py.readers.streams.facts import Body, ClosedStream, Finished, PluginResult

# Name, bytes, gaps, beginning seen, orderly end seen; one or the two streams of a connection.
Given = tuple[str | None, int, Sequence[tuple[int, int]], bool, bool]
# MD5, bodies, notes, what the Python function gave, whether a file failed, what was not read.
Found = tuple[str, Sequence[Body], Sequence[str], PluginResult | None, bool, Sequence[str]]


def given(closed: ClosedStream) -> Given:
    """Make a stream's part of a task."""
    return closed.name, closed.stream_bytes, closed.gaps, closed.syn, closed.why == "fin"


def finished(closed: ClosedStream, found: Sequence[Any]) -> Finished:
    """Join a stream and a Found that crossed processes, its tuples being lists now."""
    md5, bodies, notes, plugin, failed, unread = found
    return Finished(
        closed,
        md5,
        tuple([Body(at, name, size, tuple(problems)) for at, name, size, problems in bodies]),
        tuple(notes),
        None if plugin is None else PluginResult(*plugin),
        failed,
        tuple(unread),
    )
