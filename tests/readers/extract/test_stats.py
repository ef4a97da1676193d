"""What --stats shows."""

from daemonlogger_py.readers.extract.judge import Selection
from daemonlogger_py.readers.extract.ranges import Ranges
from daemonlogger_py.readers.extract.stats import Stats


def judged(blocks_wanted: int) -> Stats:
    stats = Stats()
    selection = Selection(Ranges(), 7, 2, 1, 0, 10, 3, blocks_wanted, damaged=False)
    stats.judged(selection)
    stats.begin(1 << 20, blocks_wanted * 1000)
    return stats


def test_those_of_which_nothing_is_read_are_skipped() -> None:
    stats = Stats()
    for wanted in (0, 4):
        stats.add(judged(wanted))
    stats.end(4096, 30)

    assert list(stats.lines(5, 0, 2_500_000_000)) == [
        "5 packets of 30 packets read, in 2.5 s",
        "1 savefile read, 1 skipped; 4.00 KiB read of 2.00 MiB",
        "2 savefiles indexed: 4 blocks read of 20, 6 outside of the times",
        "classes: 14 cannot match, 4 match, 2 may, 0 did not matter",
    ]


def test_why_savefiles_were_scanned() -> None:
    stats = Stats()
    stats.missing_sidecars, stats.old_sidecars, stats.damaged_sidecars = 1, 2, 3
    stats.passed_by = 4
    lines = list(stats.lines(0, 3 << 20, 0))[2:]

    assert lines == [
        "1 savefile without a sidecar, and so scanned",
        "2 savefiles changed since the sidecar was made, and so scanned",
        "3 savefiles with a damaged sidecar, and so scanned",
        "4 savefiles left out by the times of the files, for want of a catalog and an index",
        "3.00 MiB were spilled to temporary files to be sorted",
    ]


def test_all_counts_are_added() -> None:
    one, other = Stats(), Stats()
    for number, name in enumerate(Stats.__slots__):
        setattr(one, name, number)
        setattr(other, name, 1000)
    one.add(other)

    assert [getattr(one, name) for name in Stats.__slots__] == [
        number + 1000 for number in range(len(Stats.__slots__))
    ]
