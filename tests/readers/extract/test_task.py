"""What all savefiles of an extraction have in common: formats, keys, and how much is kept."""

import pytest

from daemonlogger_py.errors import FilterError, SourceError
from daemonlogger_py.readers.extract import task as tasks
from daemonlogger_py.readers.extract.order import LAST_KEY
from daemonlogger_py.readers.extract.ranges import Ranges
from daemonlogger_py.readers.extract.task import Facts, Task
from daemonlogger_py.readers.inputs.stopping import Stopping
from daemonlogger_py.savefile.catalog_rows import SEALED, Entry

from ...pcaps.make import NANOSECONDS, RAW, file_header


def test_formats_are_made_once(stopping: Stopping) -> None:
    task = Task("tcp", stopping)
    made = task.format_of(file_header())

    assert task.format_of(file_header()) is made
    assert task.facts_of(made) is task.facts_of(made)
    assert task.facts_of(made) == Facts(1, 262144, False)


@pytest.mark.parametrize(
    ("header", "error"),
    [(bytes(24), SourceError), (file_header(linktype=RAW), FilterError)],
)
def test_what_is_refused_once_is_refused_again(
    stopping: Stopping, header: bytes, error: type[Exception]
) -> None:
    task = Task("vlan", stopping)
    for _ in range(2):
        with pytest.raises(error):
            task.format_of(header)


def test_smaller_keys_come_out_earlier(stopping: Stopping) -> None:
    assert Task("", stopping).key(5, 9) == 5
    assert Task("", stopping).last_key(5, 9) == 9
    assert Task("", stopping, reverse=True).key(5, 9) == LAST_KEY - 9
    assert Task("", stopping, reverse=True).last_key(5, 9) == LAST_KEY - 5


def test_a_span_before_1970_begins_with_it(stopping: Stopping) -> None:
    task = Task("", stopping, from_ns=-5, to_ns=-1)

    assert (task.from_ns, task.to_ns) == (0, 0)
    assert (task.span_from_ns, task.span_to_ns) == (-5, -1)


def test_ranges_are_kept_up_to_a_limit(stopping: Stopping, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "KEPT_RANGES", 2)
    task = Task("", stopping)
    one = Ranges.whole(100)

    assert [task.keeps(each) for each in (one, None, one, one)] == [True, True, True, False]


@pytest.mark.parametrize(
    ("linktype", "snaplen", "believed"),
    [(1, 96, True), (RAW, 96, False), (276, 96, True), (1, 0, False), (1 << 26 | 1, 96, False)],
)
def test_a_catalog_is_believed_where_libpcap_says_the_same(
    linktype: int, snaplen: int, believed: bool
) -> None:
    entry = Entry("p.1", 1, 0, SEALED, 1, 1, linktype=linktype, snaplen=snaplen, nanosecond=True)

    expected = Facts(linktype, snaplen, True) if believed else None
    assert Facts.of_entry(entry) == expected


@pytest.mark.parametrize(
    ("linktype", "snaplen", "taken"),
    [(1, 96, (1, 96)), (12, 96, (RAW, 96)), (RAW, 0, (RAW, 262144)), (1, 1 << 31, (1, 262144))],
)
def test_of_the_rest_libpcap_is_asked_without_the_savefile(
    stopping: Stopping, linktype: int, snaplen: int, taken: tuple[int, int]
) -> None:
    entry = Entry("p.1", 1, 0, SEALED, 1, 1, linktype=linktype, snaplen=snaplen, nanosecond=True)
    task = Task("", stopping)
    facts = task.facts_of_entry(entry)

    assert facts == Facts(*taken, True)
    assert task.facts_of_entry(entry) is facts
    header = file_header(magic=NANOSECONDS, snaplen=snaplen, linktype=linktype)
    assert facts == Facts.of_format(task.format_of(header))


@pytest.mark.parametrize(("linktype", "text"), [(RAW, "vlan"), (-1, ""), (1 << 40, "")])
def test_what_libpcap_would_refuse_has_no_facts(
    stopping: Stopping, linktype: int, text: str
) -> None:
    entry = Entry("p.1", 1, 0, SEALED, 1, 1, linktype=linktype, snaplen=96)
    assert Task(text, stopping).facts_of_entry(entry) is None


def test_facts_are_those_that_are_written(stopping: Stopping) -> None:
    header = file_header(magic=NANOSECONDS, snaplen=0, order=">")
    made = Task("", stopping).format_of(header)

    assert Facts.of_format(made) == Facts(1, 262144, True)
