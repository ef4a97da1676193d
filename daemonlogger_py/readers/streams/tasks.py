"""What crosses between the reading process and its workers: plain tuples, texts and numbers.

Imports nothing of what the work needs, which the reading process can thus do without.
"""

import os
from collections.abc import Sequence
from typing import Any

from daemonlogger_py.readers.streams.facts import Body, ClosedStream, Finished, PluginResult

# Name, bytes, gaps, beginning seen, orderly end seen; one or the two streams of a connection.
Given = tuple[str | None, int, Sequence[tuple[int, int]], bool, bool]
# MD5, bodies, notes, what the Python function gave, whether a file failed, what was not read.
Found = tuple[str, Sequence[Body], Sequence[str], PluginResult | None, bool, Sequence[str]]
_FOUND_FIELDS = 6


def given(closed: ClosedStream) -> Given:
    """Make a stream's part of a task."""
    return closed.name, closed.stream_bytes, closed.gaps, closed.syn, closed.why == "fin"


def is_found(task: Sequence[Given], result: object) -> bool:
    """Whether `result`, as it crossed processes, is one Found for each of the streams of `task`."""
    return (
        isinstance(result, list)
        and len(result) == len(task)
        and all(_is_one_found(found) for found in result)
    )


def _is_one_found(found: object) -> bool:
    if not isinstance(found, list) or len(found) != _FOUND_FIELDS:
        return False
    md5, bodies, notes, plugin, failed, unread = found
    return (
        isinstance(md5, str)
        and isinstance(bodies, list)
        and all(_is_body(body) for body in bodies)
        and _are_texts(notes)
        and (plugin is None or _is_plugin_result(plugin))
        and isinstance(failed, bool)
        and _are_texts(unread)
    )


def _is_body(body: object) -> bool:
    if not isinstance(body, list) or len(body) != len(Body._fields):
        return False
    offset, name, size, problems = body
    return type(offset) is type(size) is int and _is_name(name) and _are_texts(problems)


def _is_plugin_result(result: object) -> bool:
    if not isinstance(result, list) or len(result) != len(PluginResult._fields):
        return False
    text, problem = result
    return (text is None or isinstance(text, str)) and isinstance(problem, str)


def _are_texts(texts: object) -> bool:
    return isinstance(texts, list) and all(isinstance(text, str) for text in texts)


def _is_name(name: object) -> bool:
    """Whether it is the name of a file as far as it can be one: programs are told of it."""
    try:
        return isinstance(name, str) and b"\0" not in os.fsencode(name)
    except UnicodeEncodeError:
        return False


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
