"""One module a kind of work; each has run(session) and yields rows and curves as they are done."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bench.results import Curve, Row
from bench.rows import (
    archive,
    archive_index,
    archive_live,
    archive_many,
    file_size,
    frozen_disk,
    live,
    one_core,
    packet_size,
    replay,
    ring_size,
    rolls,
    start,
    streams,
    streams_memory,
    tap,
    tap_tcp,
)
from bench.session import Session

Run = Callable[[Session], Iterator[Row | Curve]]

ROWS: dict[str, tuple[Run, str]] = {
    "replay": (replay.run_all, "-R of everything, wall"),
    "replay-udp": (replay.run_udp, "-R with the filter udp, wall"),
    "live-paced": (live.run_paced, "live to ext4 at a paced rate: CPU and drops"),
    "live-top": (live.run_topspeed, "live to ext4 at topspeed: CPU and drops"),
    "one-core": (one_core.run, "sender and recorder on one core: drops"),
    "rolls": (rolls.run, "live with a roll every 10 MB: packets kept"),
    "frozen-disk": (frozen_disk.run, "disk frozen for 2 s: packets lost"),
    "tap": (tap.run, "soft tap: CPU and loss"),
    "tap-tcp": (tap_tcp.run, "soft tap of a TCP transfer: what of the stream arrives"),
    "streams-store": (streams.run_store, "streams: every stream into a file, wall"),
    "streams-report": (streams.run_report, "streams: report only, wall; and against file size"),
    "streams-all": (streams.run_all, "streams: with MD5 and HTTP bodies, wall"),
    "streams-findx": (streams.run_findx, "streams: with an index of times, wall"),
    "streams-memory": (streams_memory.run, "streams: memory of open flows, and against file size"),
    "archive-flow": (archive.run_flow, "extract: one flow of a ring, wall; and against its size"),
    "archive-minute": (archive.run_minute, "extract: one minute of a ring, wall"),
    "archive-scan": (archive.run_scans, "extract: filters that no index answers, wall"),
    "archive-index": (archive_index.run_index, "size of the index; making index and catalog"),
    "archive-many": (archive_many.run_many, "ls, extract, start and roll-over of 100,000 files"),
    "archive-live": (archive_live.run_live, "live while the ring is read: packets lost"),
    "start": (start.run, "daemonlogger -v, wall"),
    "sweep-packet-size": (packet_size.run, "cost against packet size"),
    "sweep-file-size": (file_size.run, "-R against file size"),
    "sweep-ring": (ring_size.run_ring, "one roll-over against files in the ring"),
}
"""Every row by the name under which it can be asked for."""
