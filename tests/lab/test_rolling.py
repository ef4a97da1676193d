"""Roll-overs at 200,000 packets a second: by size, by time, by packets, by all three at once."""

import statistics
from itertools import accumulate, pairwise
from pathlib import Path

from .conftest import Record
from .load import Load
from .network import Link
from .peers import capinfos_counts, tcpdump_counts, tshark_frames
from .records import Walk, assert_closed_at, assert_run, numbers_of, savefiles, walk_all
from .senders import replay

RATE = 200_000
TRIES = 5
TEN_MEBIBYTES = 10 << 20


def recorded(
    link: Link, record: Record, directory: Path, load: Load, count: int, *flags: str
) -> None:
    """Record count packets at RATE; the totals must account for every one as written."""
    recorder = record(*flags, directory=directory)
    sent = replay(link, load, count=count, pps=RATE)
    totals = recorder.stop()
    totals.account_for(sent)
    assert totals.written == sent


def whole_and_in_order(logs: Path, count: int) -> list[Walk]:
    """Assert that nothing is missing and that the peers read every file; return the walks."""
    paths = savefiles(logs)
    assert {path.name for path in logs.iterdir()} == {path.name for path in paths}
    walks = walk_all(paths)
    assert_run(numbers_of(walks), 0, count - 1)
    read_by_peers(walks)
    return walks


def read_by_peers(walks: list[Walk]) -> None:
    """tcpdump and capinfos read all files, tshark dissects the first, the middle, the last."""
    packets = sum(found.packets for found in walks)
    paths = [found.path for found in walks]
    assert tcpdump_counts(paths) == packets
    assert capinfos_counts(paths) == packets
    filled = [found for found in walks if found.packets]
    for found in (filled[0], filled[len(filled) // 2], filled[-1]):
        assert tshark_frames(found.path) == found.packets


def seconds_of(walks: list[Walk]) -> list[float]:
    """Return the time from each file's first packet to the next file's first packet."""
    firsts = [found.first_ns for found in walks if found.packets]
    return [(after - before) / 1e9 for before, after in pairwise(firsts)]


def lasted_s(walks: list[Walk]) -> float:
    """Return how long the load took by its packets' stamps: a busy machine sends it slower."""
    filled = [found for found in walks if found.packets]
    return (filled[-1].last_ns - filled[0].first_ns) / 1e9


def test_by_size(link: Link, record: Record, logs: Path, million: Load) -> None:
    recorded(link, record, logs, million, million.count, "-s", "10m")
    walks = whole_and_in_order(logs, million.count)
    assert_closed_at(walks, TEN_MEBIBYTES)
    assert len(walks) == 36  # 372,815,336 bytes of records


def test_by_time(link: Link, record: Record, logs: Path, million: Load, full: bool) -> None:
    count = million.count if full else 400_000
    begun: list[float] = []
    whole: list[float] = []
    for tried in range(TRIES):
        directory = logs / str(tried)
        directory.mkdir()
        recorded(link, record, directory, million, count, "-t", "1")
        walks = whole_and_in_order(directory, count)
        assert count / RATE <= len(walks) <= lasted_s(walks) + 3
        # The first and the last file hold a part of a second. A busy machine blurs the boundary,
        # and may do it once more: a slow median is the recorder's.
        first, *others = seconds_of(walks)
        begun.append(first)
        whole += others
        if statistics.median(begun) < 1.25 and whole and 0.75 < statistics.median(whole) < 1.25:
            return
    raise AssertionError((begun, whole))


def test_by_packets(link: Link, record: Record, logs: Path, million: Load, full: bool) -> None:
    count = million.count if full else 400_000
    recorded(link, record, logs, million, count, "--roll-packets", "1000")
    walks = whole_and_in_order(logs, count)
    filled = [found.packets for found in walks if found.packets]
    assert filled == [1000] * (count // 1000)
    assert len(walks) - len(filled) <= 1  # the next file may be open already, still empty


def test_by_all_three(link: Link, record: Record, logs: Path, million: Load) -> None:
    limits = ("-s", "10m", "-t", "1", "--roll-packets", "1000")
    recorded(link, record, logs, million, million.count, *limits)
    walks = whole_and_in_order(logs, million.count)
    assert all(found.packets <= 1000 for found in walks)
    # At this rate 1000 packets take 5 ms and fill the second to its end: the clock may find the
    # savefile empty at every boundary, or close one too early for its packets at each.
    assert sum(found.packets < 1000 for found in walks[:-1]) <= lasted_s(walks) + 2


def test_each_of_three_limits_bites(
    link: Link, record: Record, logs: Path, million: Load, wide: Load
) -> None:
    recorder = record("-s", "10m", "-t", "1", "--roll-packets", "20000")
    # 20,000 packets of the mix are 7.8 MB: closed by packets; 6,854 wide ones are 10 MiB.
    small, large = 400_000, wide.count
    sent = replay(link, million, count=small, pps=RATE) + replay(link, wide, pps=40_000)
    totals = recorder.stop()
    totals.account_for(sent)
    assert totals.written == sent

    walks = walk_all(savefiles(logs))
    numbers = numbers_of(walks)
    assert_run(numbers[:small], 0, small - 1)
    assert_run(numbers[small:], 0, large - 1)
    read_by_peers(walks)
    over = [found.size_bytes - TEN_MEBIBYTES for found in walks]
    assert all(more < found.last_record_bytes for more, found in zip(over, walks, strict=True))
    assert all(found.packets <= 20_000 for found in walks)
    by_size = sum(more >= 0 for more in over)
    by_packets = sum(found.packets == 20_000 for found in walks)
    by_time = len(walks) - 1 - by_size - by_packets
    assert 2 <= by_time <= lasted_s(walks) + 3
    # Where the clock closes one, the other limits begin to count anew; a slow load has more of it.
    reached = list(accumulate(found.packets for found in walks))
    closed = zip(walks[:-1], over, reached, strict=False)
    ends = [end for found, more, end in closed if more < 0 and found.packets < 20_000]
    assert len(ends) == by_time
    assert by_packets >= max(1, 19 - sum(end <= small for end in ends))
    assert by_size >= max(1, 5 - sum(end > small for end in ends))
