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
from daemonlogger_py.readers.streams.post_work import Work, finished, given

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


def test_large_file(do, tmp_path, monkeypatch):
    monkeypatch.setattr(post_work, "_RELIEF_BYTES", 1 << 20)
    data = b"HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\n" + os.urandom(5_000_000)
    (found,) = do(("b", data, {}))
    assert found.md5 == hashlib.md5(data).hexdigest()
    assert (tmp_path / "b-HTTPBODY-001").read_bytes() == data[-5_000_000:]


def test_stream_without_a_file(do):
    nothing, replied = do((None, None, {}), ("b", RESPONSE, {}))
    assert nothing[1:] == ("", (), (), None, False)
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
