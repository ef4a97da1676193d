"""What is done with closed streams in a worker."""

import hashlib
import json
import os
import subprocess
import sys

import pytest

from daemonlogger_py.config.streams import Plugin, StreamsConfig
from daemonlogger_py.readers.streams import post_work
from daemonlogger_py.readers.streams.facts import Body, ClosedStream, PluginResult
from daemonlogger_py.readers.streams.post_work import Work
from daemonlogger_py.readers.streams.tasks import finished, given

WITHOUT_HTTPTOOLS = """
import sys
sys.modules["httptools"] = None
from daemonlogger_py.config.streams import StreamsConfig
from daemonlogger_py.readers.streams import post, post_work
work = post_work.Work(StreamsConfig(md5=True), int(sys.argv[1]))
print(work([("stream", 3, (), True, True)])[0][0])
"""
REQUEST = b"GET / HTTP/1.1\r\n\r\n"
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody"


@pytest.fixture
def do(tmp_path):
    """Do a task of these files, and return what a Finished is made of, as it crosses processes."""
    fd = os.open(tmp_path, os.O_RDONLY)

    def run(*streams, config=None):
        task = []
        closed = []
        for number, (name, data, facts) in enumerate(streams):
            if data is not None:
                (tmp_path / name).write_bytes(data)
            stream = ClosedStream(
                number=number,
                session=0,
                name=name,
                to_server=not number,
                **{"stream_bytes": len(data or b""), **facts},
            )
            closed.append(stream)
            task.append(given(stream))
        work = Work(config or StreamsConfig(md5=True, http=True), fd)
        results = json.loads(json.dumps(work(json.loads(json.dumps(task)))))
        if work._plugin is not None:
            work._plugin.close()  # else it ends with the worker process
        return [finished(*pair) for pair in zip(closed, results, strict=True)]

    yield run
    os.close(fd)


def test_md5_and_bodies(do):
    asked, replied = do(("a", REQUEST, {}), ("b", RESPONSE, {}))
    assert asked.md5 == hashlib.md5(REQUEST).hexdigest()
    assert replied.md5 == hashlib.md5(RESPONSE).hexdigest()
    assert asked.bodies == ()
    assert replied.bodies == (Body(len(RESPONSE) - 4, "b-HTTPBODY-001", 4, ()),)
    assert not replied.failed
    assert replied.notes == ()


def test_streams_are_digested_ahead(tmp_path, monkeypatch):
    fd = os.open(tmp_path, os.O_RDONLY)
    datas = {"a": bytes(70_000), "b": RESPONSE * 1000, "c": bytes(70_001), "d": b"other"}
    for name, data in datas.items():
        (tmp_path / name).write_bytes(data)
    work = Work(StreamsConfig(md5=True, http=True), fd)
    tasks = [[(name, 1, (), True, True)] for name in ("a", "b", "c", "gone")]
    work.ahead([*tasks, [(None, 0, (), True, True)]])
    with monkeypatch.context() as patch:
        patch.setattr(post_work, "_md5", None)
        found = [work(task)[0] for task in tasks]
    assert [one[0] for one in found] == [
        *(hashlib.md5(datas[name]).hexdigest() for name in "abc"),
        "",
    ]
    assert [one[4] for one in found] == [False, False, False, True]
    assert work([("d", 5, (), True, True)])[0][0] == hashlib.md5(b"other").hexdigest()
    os.close(fd)


def test_nothing_of_what_was_read_ahead_is_kept(tmp_path):
    fd = os.open(tmp_path, os.O_RDONLY)
    for name in "ab":
        (tmp_path / name).write_bytes(bytes(70_000))
    work = Work(StreamsConfig(md5=True), fd)
    before = len(os.listdir("/proc/self/fd"))
    work.ahead([[("a", 70_000, (), True, True), ("b", 70_000, (), True, True)]])
    work.ahead([])
    assert len(os.listdir("/proc/self/fd")) == before
    os.close(fd)


def test_large_file(do, tmp_path, monkeypatch):
    monkeypatch.setattr(post_work, "_RELIEF_BYTES", 1 << 20)
    data = b"HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\n" + os.urandom(5_000_000)
    (found,) = do(("b", data, {}))
    assert found.md5 == hashlib.md5(data).hexdigest()
    assert (tmp_path / "b-HTTPBODY-001").read_bytes() == data[-5_000_000:]


def test_stream_without_a_file(do):
    nothing, replied = do((None, None, {}), ("b", RESPONSE, {}))
    assert nothing[1:] == ("", (), (), None, False, ())
    assert len(replied.bodies) == 1


def test_only_what_was_asked_for(do, tmp_path):
    (found,) = do(("b", RESPONSE, {}), config=StreamsConfig(md5=True))
    assert found.bodies == ()
    (found,) = do(("b", RESPONSE, {}), config=StreamsConfig(http=True))
    assert found.md5 == ""
    assert len(found.bodies) == 1


def test_gaps_are_told(do):
    (found,) = do(("b", RESPONSE, {"gaps": ((len(RESPONSE) - 2, 1),)}))
    assert "1 bytes are lost" in found.bodies[0].problems[0]


UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\n\r\nall"


@pytest.mark.parametrize(
    ("facts", "problems"),
    [
        ({}, 1),  # its request is not known
        ({"why": "rst"}, 2),
        ({"stream_bytes": 100}, 2),  # its end is not in the file
    ],
)
def test_end_that_was_not_seen_is_told(do, facts, problems):
    (found,) = do(("b", UNTIL_CLOSE, facts))
    assert len(found.bodies[0].problems) == problems


def test_file_that_cannot_be_read(do, tmp_path):
    (tmp_path / "link").symlink_to("/etc/passwd")
    missing, link = do(("a", None, {}), ("link", None, {}))
    for found in (missing, link):
        assert found.failed
        assert "cannot be read" in found.notes[0]
        assert found.md5 == ""


def test_plugin(do, tmp_path):
    (tmp_path / "p_of_tests.py").write_text("def f(stream): return stream[:3].decode()")
    config = StreamsConfig(plugin=Plugin(str(tmp_path), "p_of_tests", "f"))
    nothing, found = do((None, None, {}), ("b", b"abcdef", {}), config=config)
    assert nothing.plugin is None
    assert found.plugin == PluginResult("abc")
    assert found.md5 == ""


def test_md5_needs_no_parser_of_http(tmp_path):
    (tmp_path / "stream").write_bytes(b"abc")
    directory_fd = os.open(tmp_path, os.O_RDONLY)
    ran = subprocess.run(
        [sys.executable, "-c", WITHOUT_HTTPTOOLS, str(directory_fd)],
        pass_fds=[directory_fd],
        capture_output=True,
        text=True,
        check=False,
    )
    os.close(directory_fd)

    assert ran.stderr == ""
    assert ran.stdout.strip() == hashlib.md5(b"abc").hexdigest()


@pytest.fixture
def mostly_lost(tmp_path):
    """Make a file of which so many bytes are there; its name and what is known of it."""

    def make(there, lost):
        (tmp_path / "sparse").write_bytes(b"x" * there)
        os.truncate(tmp_path / "sparse", there + lost)
        return "sparse", None, {"stream_bytes": there + lost, "gaps": ((there, lost),)}

    return make


def test_bytes_that_are_lost_are_nuls_of_the_hash(do, mostly_lost):
    (found,) = do(mostly_lost(10, post_work.MOST_LOST_BYTES + 2560))
    data = b"x" * 10 + bytes(post_work.MOST_LOST_BYTES + 2560)
    assert found.md5 == hashlib.md5(data).hexdigest()
    assert not found.failed


def test_next_to_nothing_but_lost_bytes_costs_no_time(do, mostly_lost, tmp_path):
    (found,) = do(mostly_lost(1000, 1 << 40))
    assert found.md5 == ""
    assert found.failed
    assert found.bodies == ()
    assert f"{1 << 40} of its {1000 + (1 << 40)} bytes are missing" in found.notes[0]


def test_one_lost_byte_more_than_accepted(do, mostly_lost):
    (found,) = do(mostly_lost(1, post_work.MOST_LOST_BYTES + post_work.MOST_LOST_RATIO + 1))
    assert found.failed
    assert found.md5 == ""


def test_bodies_have_holes_where_bytes_are_lost(do, tmp_path):
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (16 << 20)
    (tmp_path / "b").write_bytes(head + os.urandom(1 << 20))
    os.truncate(tmp_path / "b", len(head) + (16 << 20))
    gaps = ((len(head) + (1 << 20), 15 << 20),)
    (found,) = do(("b", None, {"stream_bytes": len(head) + (16 << 20), "gaps": gaps}))
    body = tmp_path / "b-HTTPBODY-001"
    assert found.bodies[0].filesize == body.stat().st_size == 16 << 20
    assert body.stat().st_blocks * 512 < 4 << 20
    assert body.read_bytes() == (tmp_path / "b").read_bytes()[len(head) :]
