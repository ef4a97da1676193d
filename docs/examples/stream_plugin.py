r"""Example of a Python function for `dlctl streams -e python`: who asked whom for what by HTTP.

    dlctl streams -r some.pcap -o out -e python -S py_path=docs/examples \
        -S py_module=stream_plugin -S py_function=requests

gives each stream that holds HTTP requests a <tcpflow:result> in the report: a line a request, with
a mark where it carries a password in the clear. `passwords` gives only what those say.

A function is called once for each stream that has data, in a process of its own. It is given the
bytes of the stream (what was lost is NULs) and returns a str for the report, or None for nothing.
What it prints goes to standard error. An exception costs the result of that stream only.
"""

import base64
import binascii
import re

_REQUEST = re.compile(
    rb"^([A-Z][A-Z-]{1,19}) ([^ \r\n]{1,2000}) HTTP/1\.[01]\r?$((?:\n[^\r\n]+\r?$)*)", re.MULTILINE
)
_HOST = re.compile(rb"^host:[ \t]*([^\r\n]*)", re.MULTILINE | re.IGNORECASE)
_BASIC = re.compile(
    rb"^(?:proxy-)?authorization:[ \t]*basic[ \t]+([A-Za-z0-9+/=]+)", re.MULTILINE | re.IGNORECASE
)


def requests(stream: bytes) -> str | None:
    """A line for each HTTP request: method, host, target, and whether it carries a password."""
    lines = []
    for method, target, fields in _REQUEST.findall(stream):
        host = _HOST.search(fields)
        line = b" ".join((method, host[1].strip() if host else b"-", target))
        mark = " (password)" if _BASIC.search(fields) else ""
        lines.append(line.decode("latin-1") + mark)
    return "\n".join(lines) or None


def passwords(stream: bytes) -> str | None:
    """User names and passwords of basic authentication (RFC 7617), a line each, once each."""
    found: dict[str, None] = {}  # keeps their order
    for _, _, fields in _REQUEST.findall(stream):
        for encoded in _BASIC.findall(fields):
            try:
                decoded = base64.b64decode(encoded, validate=True)
            except binascii.Error:
                continue
            found[decoded.decode("utf-8", "replace")] = None
    return "\n".join(found) or None
