"""``--json``: a closed stream as one line of JSON, for other programs to read."""

import json
from typing import Any

from daemonlogger_py.readers.streams.facts import Finished


def line(finished: Finished, prefix: str) -> bytes:
    """One JSON object and a line end; `prefix` is put before names of files.

    Times are nanoseconds since 1970, gaps (offset in the file, bytes). Bytes of a name that are no
    UTF-8 come as lone surrogates, escaped.
    """
    closed = finished.closed
    fields: dict[str, Any] = {
        "name": None if closed.name is None else prefix + closed.name,
        "number": closed.number,
        "session": closed.session,
        "source": closed.source,
        "source_port": closed.source_port,
        "destination": closed.destination,
        "destination_port": closed.destination_port,
        "vlans": closed.vlans,
        "to_server": closed.to_server,
        "guessed": closed.guessed,
        "first_ns": closed.first_ns,
        "last_ns": closed.last_ns,
        "packets": closed.packets,
        "length_bytes": closed.length_bytes,
        "captured_bytes": closed.captured_bytes,
        "stream_bytes": closed.stream_bytes,
        "syn": closed.syn,
        "why": closed.why,
        "gaps": closed.gaps,
        "out_of_order": closed.out_of_order,
        "retransmissions": closed.retransmissions,
        "differing_bytes": closed.differing_bytes,
        "violations": closed.violations,
    }
    if finished.md5:
        fields["md5"] = finished.md5
    if finished.bodies:
        fields["bodies"] = [
            {
                "offset": body.file_offset,
                "name": prefix + body.filename,
                "size_bytes": body.filesize,
                "problems": body.problems,
            }
            for body in finished.bodies
        ]
    if finished.unread:
        fields["unread"] = finished.unread
    if finished.plugin is not None:
        fields["python"] = finished.plugin.text
    if finished.notes:
        fields["notes"] = finished.notes
    return json.dumps(fields).encode() + b"\n"
