"""How writers fail: the file is named, and what was written before is whole."""

import os
import resource

import pytest

from daemonlogger_py.errors import StorageError
from daemonlogger_py.flow.engine import Engine
from daemonlogger_py.readers.streams.files import Files
from daemonlogger_py.readers.streams.names import Template
from daemonlogger_py.readers.streams.store import Store
from daemonlogger_py.readers.streams.writer import Writer
from tests.flow.segments import ETHERNET, Side, records, timed
from tests.readers.streams.stored import TEMPLATE, Stored

CLIENT = Side()
NAME = "010.000.000.001.40000-010.000.000.002.00080"


def batch_of(frames):
    """(batch, the buffer it points into)."""
    store = Store()
    engine = Engine(store)
    data = records(timed(frames))
    engine.feed(data, ETHERNET)
    return store.take(), data


def writer_in(directory):
    return Writer(Files(os.open(directory, os.O_RDONLY), Template(TEMPLATE), 10))


@pytest.fixture
def no_large_files():
    """Files larger than 4096 bytes cannot be written (setrlimit(2), RLIMIT_FSIZE)."""
    import signal

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.usefixtures("left_to_the_process")
def test_a_file_that_cannot_be_written_on_is_named(tmp_path, no_large_files):
    batch, _data = batch_of([CLIENT.sends(0, b"a" * 3000), CLIENT.sends(3000, b"b" * 3000)])

    with pytest.raises(StorageError, match=rf"{NAME}: File too large"):
        writer_in(tmp_path).execute(batch)
    assert (tmp_path / NAME).read_bytes() == b"a" * 3000 + b"b" * 1096


@pytest.mark.usefixtures("left_to_the_process")
def test_a_directory_that_is_gone_is_told(tmp_path):
    batch, _data = batch_of([CLIENT.sends(0, b"a")])
    directory = tmp_path / "gone"
    directory.mkdir()
    writer = writer_in(directory)
    directory.rmdir()

    with pytest.raises(StorageError, match=f"{NAME}: No such file or directory"):
        writer.execute(batch)


def test_only_the_streams_of_its_own_are_written(tmp_path):
    for number in range(3):
        (tmp_path / str(number)).mkdir()
    frames = [Side(port=port).sends(0, b"x") for port in range(1, 100)]
    store = Store(writers=3)
    engine = Engine(store)
    data = records(timed(frames))
    engine.feed(data, ETHERNET)
    engine.finish()
    batch = store.take()
    written = []
    for number in range(3):
        directory_fd = os.open(tmp_path / str(number), os.O_RDONLY)
        Writer(Files(directory_fd, Template(TEMPLATE), 10), number).execute(batch)
        written.append(set(os.listdir(directory_fd)))
        os.close(directory_fd)

    assert all(written)
    assert len(set.union(*written)) == sum(map(len, written)) == 99


def test_more_pieces_than_one_write_takes(tmp_path):
    frames = [CLIENT.sends(at, bytes([at % 256])) for at in range(3000)]

    assert Stored(tmp_path, frames).files == {NAME: bytes(at % 256 for at in range(3000))}


def test_new_files_are_told_where_that_is_asked_for(tmp_path):
    frames = [CLIENT.syn(), CLIENT.sends(0, b"a"), CLIENT.sends(1, b"b"), CLIENT.fin(2)]
    for tells in (False, True):
        directory = tmp_path / str(tells)
        directory.mkdir()
        stored = Stored(directory, frames, feeds=4, tell_created=tells)
        names = [batch.created() for batch in stored.batches]
        assert names == [[], [*stored.files] if tells else [], [], [], []]


def test_an_index_takes_the_place_of_what_is_there_and_follows_no_link(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"kept")
    out = tmp_path / "out"
    out.mkdir()
    (out / f"{NAME}.findx").symlink_to(elsewhere)
    Stored(out, [CLIENT.sends(0, b"a")], findx=True)
    assert elsewhere.read_bytes() == b"kept"
    assert not (out / f"{NAME}.findx").is_symlink()
    assert (out / f"{NAME}.findx").read_bytes().endswith(b"|1\n")


def test_an_index_in_a_directory_of_the_stream(tmp_path):
    stored = Stored(tmp_path, [CLIENT.sends(0, b"a")], findx=True, template="%A/%a")
    assert [*stored.files] == ["010.000.000.001/40000", "010.000.000.001/40000.findx"]


def test_an_index_cannot_replace_a_directory(tmp_path):
    (tmp_path / f"{NAME}.findx").mkdir()
    with pytest.raises(StorageError, match=r"findx: .*directory"):
        Stored(tmp_path, [CLIENT.sends(0, b"a")], findx=True)


@pytest.mark.parametrize(("most", "there"), [(2, 2), (10, 3)])
def test_files_that_are_open_at_the_end_are_counted(tmp_path, most, there):
    store = Store()
    engine = Engine(store)
    frames = [Side(port=port).sends(0, b"x") for port in (1, 2, 3)]
    data = records(timed(frames))
    fd = os.open(tmp_path, os.O_RDONLY)
    writer = Writer(Files(fd, Template(TEMPLATE), most))
    os.close(fd)
    engine.feed(data, ETHERNET)
    batch = store.take()
    batch.at_end = True
    writer.execute(batch)
    engine.finish()
    writer.execute(store.take())
    assert writer.open_files == there
