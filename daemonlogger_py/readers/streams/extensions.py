"""File name extensions by media type.

The machine's own table is left aside: the same capture gives the same names everywhere. A type that
tcpflow has a name for is called as it calls it, also where most do otherwise (audio/mpeg,
video/mp4).
"""

from functools import cache


@cache
def extensions() -> dict[bytes, str]:
    """All of them, without a dot, by type in lower case; made when the first is asked for."""
    from daemonlogger_py.readers.streams.media_types import MEDIA_TYPES

    return {
        f"{kind}/{subtype}".encode(): found
        for kind, lines in MEDIA_TYPES.items()
        for subtype, _, found in (pair.partition("=") for pair in lines.split())
    }


def extension(content_type: bytes) -> str:
    """Extension with its dot for a Content-Type, of which what follows ``;`` is left aside.

    "" for a type without one.
    """
    found = extensions().get(content_type.partition(b";")[0].strip().lower())
    return f".{found}" if found else ""
