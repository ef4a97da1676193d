"""Which sinks and writers a configuration makes."""

import os

import pytest

from daemonlogger_py.config.streams import Console, StreamsConfig
from daemonlogger_py.errors import UsageError
from daemonlogger_py.readers.streams import sinks
from daemonlogger_py.readers.streams.console import Console as ConsoleSink
from daemonlogger_py.readers.streams.console import OrderedConsole
from daemonlogger_py.readers.streams.several import Several
from daemonlogger_py.readers.streams.store import Store
from tests.pcaps.make import file_header


@pytest.fixture
def directory_fd(tmp_path):
    fd = os.open(tmp_path, os.O_RDONLY)
    yield fd
    os.close(fd)


@pytest.mark.parametrize(
    ("config", "sink", "has_writers"),
    [
        (StreamsConfig(), Store, True),
        (StreamsConfig(store=False), Store, False),
        (StreamsConfig(store=False, console=Console(), report=None), ConsoleSink, False),
        (
            StreamsConfig(store=False, console=Console(ordered=True), report=None),
            OrderedConsole,
            False,
        ),
        (StreamsConfig(store=False, console=Console()), Several, False),
        (StreamsConfig(store=False, flow_pcaps=True), Several, False),
    ],
)
def test_only_what_is_needed_is_there(directory_fd, config, sink, has_writers):
    made = sinks.Sinks(config, directory_fd)

    assert type(made.sink) is sink
    assert bool(made.writers) is has_writers
    made.close()


def test_nothing_is_taken_of_a_console_alone(directory_fd):
    made = sinks.Sinks(StreamsConfig(store=False, console=Console(), report=None), directory_fd)

    assert made.take().operations_left == 0
    assert (made.gap_streams, made.gap_bytes) == (0, 0)


def test_unprocessed_packets_go_where_they_are_asked_for(directory_fd, tmp_path):
    config = StreamsConfig(unprocessed=str(tmp_path / "rest.pcap"))
    made = sinks.Sinks(config, directory_fd)

    assert type(made.sink) is Several
    made.close()


def test_unprocessed_packets_do_not_go_where_the_report_goes(directory_fd, tmp_path):
    path = str(tmp_path / "same")
    (tmp_path / "link").symlink_to(path)
    for other in (path, f"{tmp_path}/./same", str(tmp_path / "link")):
        with pytest.raises(UsageError, match=r"^-w .*same': the report is written there as well"):
            sinks.Sinks(StreamsConfig(unprocessed=path, report=other), directory_fd)

    assert not (tmp_path / "same").exists()
    sinks.Sinks(StreamsConfig(unprocessed="/dev/null", report="/dev/null"), directory_fd).close()


def test_unprocessed_packets_do_not_go_into_a_directory_s_savefiles(directory_fd, tmp_path):
    config = StreamsConfig(unprocessed=str(tmp_path / "a.pcap"), report=None)
    (tmp_path / "a.pcap").write_bytes(file_header())
    for read in ({"files": (str(tmp_path),)}, {"ring": str(tmp_path)}):
        with pytest.raises(UsageError, match="is read as well"):
            sinks.Sinks(config._replace(**read), directory_fd)
    assert (tmp_path / "a.pcap").read_bytes() == file_header()

    (tmp_path / "a.pcap").write_bytes(b"something else")
    sinks.Sinks(config._replace(files=(str(tmp_path),)), directory_fd).close()


def test_what_order_cost_is_known_where_it_was_asked_for(directory_fd):
    config = StreamsConfig(store=False, console=Console(ordered=True), report=None)

    assert sinks.Sinks(config, directory_fd).ordering.late_bytes == 0
    assert sinks.Sinks(StreamsConfig(), directory_fd).ordering is None


@pytest.mark.parametrize(
    ("template", "apart"),
    [
        ("%A.%a-%B.%b%V%v%C%c", True),
        ("%T/%A-%B-%a-%b", True),
        ("%N%K%B:%b %A_%a", False),  # a colon is a part of an address, too
        ("%A%a-%B.%b", False),
        ("%A.%a-%B", False),
        ("%%A.%a-%B.%b", False),
        ("%T", False),
        ("same", False),
    ],
)
def test_there_is_one_writer_where_connections_may_have_one_name(
    directory_fd, monkeypatch, template, apart
):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2})
    made = sinks.Sinks(StreamsConfig(template=template), directory_fd)

    assert len(made.writers) == (2 if apart else 1)


def test_no_more_files_are_open_than_were_asked_for(directory_fd, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})

    assert len(sinks.Sinks(StreamsConfig(max_open_files=1), directory_fd).writers) == 1
    assert len(sinks.Sinks(StreamsConfig(max_open_files=2), directory_fd).writers) == 2


def test_a_template_that_names_nothing_is_refused(directory_fd):
    with pytest.raises(UsageError):
        sinks.Sinks(StreamsConfig(template="%q"), directory_fd)
