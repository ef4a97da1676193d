"""A replay rolls far more often than once a second: no name may be used twice."""

import re
from pathlib import Path

from .conftest import Record
from .load import FIRST_NS, STEP_US, write_load
from .peers import tcpdump_counts
from .recorder import PHRASES
from .records import assert_closed_at, assert_run, numbers_of, savefiles, walk_all

COUNT = 3_000_000


def test_three_million_packets_in_ten_mebibyte_files(
    record: Record, logs: Path, memory: Path
) -> None:
    load = write_load(memory / "three_million.pcap", COUNT)
    try:
        recorder = record("-R", load.path, "-s", "10m", interface=None, listen=False)
        assert recorder.ended() == 0, recorder.text
    finally:
        load.path.unlink()
    written = re.search(PHRASES["written"], recorder.text)
    assert written, recorder.text
    assert int(written[1]) == COUNT

    walks = walk_all(savefiles(logs))
    assert_run(numbers_of(walks), 0, COUNT - 1)
    assert_closed_at(walks, 10 << 20)
    paths = [found.path for found in walks]
    assert tcpdump_counts(paths) == COUNT
    logged = re.findall(r"Logging packets to \S*/([^/\s]+)$", recorder.text, re.MULTILINE)
    assert len(logged) == len(set(logged))
    assert logged == [path.name for path in paths]
    # The packets keep their own times, and the names are the seconds of each first packet.
    assert walks[-1].last_ns == FIRST_NS + (COUNT - 1) * STEP_US * 1000
    assert [int(path.name.split(".")[2]) for path in paths] == [
        found.first_ns // 10**9 for found in walks
    ]
