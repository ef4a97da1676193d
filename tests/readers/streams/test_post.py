"""Post-processing of closed streams: in order, in pairs, whatever becomes of the workers."""

import gzip
import hashlib
import os
import random
import signal

import pytest

from daemonlogger_py.config.streams import Plugin, StreamsConfig
from daemonlogger_py.errors import UsageError
from daemonlogger_py.readers.streams import post, post_work
from daemonlogger_py.readers.streams.facts import ClosedStream, Finished
from daemonlogger_py.readers.streams.post import Processor, preload

HEAD = b"HEAD / HTTP/1.1\r\n\r\n"
GET = b"GET / HTTP/1.1\r\n\r\n"
ANNOUNCED = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
SENT = ANNOUNCED + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody"


@pytest.fixture
def outdir(tmp_path):
    fd = os.open(tmp_path, os.O_RDONLY)
    yield fd
    os.close(fd)


@pytest.fixture
def processor(outdir):
    made = []

    def make(config=None, **options):
        made.append(Processor(config or StreamsConfig(md5=True, http=True), outdir, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def stream(tmp_path):
    """Make a closed stream and its file."""
    numbers = iter(range(1_000_000))

    def make(session, data, **facts):
        number = next(numbers)
        name = None if data is None else f"stream{number}"
        if name is not None:
            (tmp_path / name).write_bytes(data)
        return ClosedStream(
            number=number,
            session=session,
            name=name,
            **{"to_server": True, "stream_bytes": len(data or b""), **facts},
        )

    return make


def test_results_are_in_the_order_of_submission(processor, stream):
    one = processor(workers=2)
    streams = [stream(n, os.urandom(200_000 if n % 10 == 0 else 10)) for n in range(100)]
    found = []
    for closed in streams:
        one.submit(closed)
        found += one.results()
    found += one.finish()
    assert [result.closed for result in found] == streams
    assert all(len(result.md5) == 32 for result in found)
    assert one.finish() == []


def test_directions_are_processed_together(processor, stream):
    one = processor()
    asked = stream(7, HEAD + GET, other_open=True)
    replied = stream(7, SENT, to_server=False)
    one.submit(asked)
    assert one.results() == []
    one.submit(replied)
    first, second = one.finish()
    assert first.closed is asked
    assert second.closed is replied
    # Only with its request is the first known to have no body.
    (body,) = second.bodies
    assert (body.filename, body.problems) == (f"{replied.name}-HTTPBODY-002", ())


def test_stream_without_its_other_direction_is_done_at_the_end(processor, stream):
    one = processor()
    one.submit(stream(1, SENT, other_open=True))
    one.submit(stream(2, b"other"))
    first, second = one.finish()
    assert len(first.bodies) == 1
    assert second.md5


def test_other_direction_without_data(processor, stream):
    one = processor()
    one.submit(stream(1, None, other_open=True))
    one.submit(stream(1, SENT, to_server=False))
    one.submit(stream(2, None))
    nothing, replied, neither = one.finish()
    assert nothing == Finished(nothing.closed)
    assert len(replied.bodies) == 1
    assert neither == Finished(neither.closed)


def test_two_parts_of_one_direction_are_no_pair(processor, stream):
    one = processor()
    parts = [stream(1, GET, other_open=True), stream(1, GET, other_open=True)]
    for part in (*parts, stream(1, SENT, to_server=False)):
        one.submit(part)
    found = one.finish()
    assert [result.closed for result in found[:2]] == parts
    assert len(found) == 3


def test_a_coding_that_fails_costs_a_mapped_stream_nothing_else(processor, stream):
    encoded = gzip.compress(random.Random(1).randbytes(200_000))
    encoded = encoded[:100_000] + bytes(50) + encoded[100_050:]
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
    one = processor(workers=1)
    one.submit(stream(1, head % len(encoded) + encoded, to_server=False))
    (found,) = one.finish()

    assert not found.failed
    assert found.md5
    assert [body.filename[-3:] for body in found.bodies] == ["001", ".gz"]


def test_a_stop_does_not_wait_for_ever(processor, stream, monkeypatch):
    monkeypatch.setattr(post, "MOST_WAITING", 1)
    monkeypatch.setattr(post_work.Work, "__call__", lambda *_: signal.pause())
    stopped = []
    one = processor(workers=1, stopping=lambda: bool(stopped), end_s=0.0)
    held = stream(100, GET, other_open=True)
    streams = [held, *(stream(session, GET) for session in range(20))]
    stopped.append(True)
    for closed in streams:
        one.submit(closed)

    assert [result.closed for result in one.finish()] == streams
    assert one.given_up == len(streams)
    assert not one.pids


def test_what_is_held_is_limited(processor, stream, monkeypatch):
    monkeypatch.setattr(post, "MOST_HELD", 2)
    one = processor(workers=1)
    for session in range(5):
        one.submit(stream(session, GET, other_open=True))
    assert list(one._held) == [3, 4]
    assert len(one.finish()) == 5


def test_what_waits_behind_it_is_limited(processor, stream, monkeypatch):
    monkeypatch.setattr(post, "MOST_BEHIND", 10)
    one = processor(workers=1)
    one.submit(stream(0, GET, other_open=True))
    for session in range(1, 12):
        one.submit(stream(session, GET))
    one.submit(stream(100, GET, other_open=True))
    assert list(one._held) == [100]
    assert len(one.finish()) == 13


def test_submitting_waits_while_too_many_wait(processor, stream, monkeypatch):
    monkeypatch.setattr(post, "MOST_WAITING", 5)
    monkeypatch.setattr(post, "_LOOK_EVERY", 1000)
    one = processor(workers=1)
    for session in range(300):
        one.submit(stream(session, b"x"))
        assert one._pool.waiting <= 5
    assert len(one.finish()) == 300


def test_dead_worker_costs_one_result(processor, stream):
    one = processor(workers=1)
    one.submit(stream(0, os.urandom(60_000_000)))
    one.results()
    os.kill(one.pids[0], signal.SIGKILL)
    one.submit(stream(1, b"x"))
    first, second = one.finish()
    assert first.failed
    assert first.notes == ("stream0: not processed: its worker process was ended by SIGKILL",)
    assert second.md5 == hashlib.md5(b"x").hexdigest()


@pytest.mark.parametrize("said", [[], [["md5"]], {"a": 1}, [5]])
def test_worker_that_says_what_is_no_result_costs_one(processor, stream, monkeypatch, said):
    monkeypatch.setattr(post_work.Work, "__call__", lambda *_: said)
    one = processor(workers=1)
    one.submit(stream(0, b"x"))
    (only,) = one.finish()
    assert only.failed
    assert only.notes == ("stream0: not processed: its worker process was ended by SIGKILL",)


def test_nothing_to_do_needs_no_process(processor, stream):
    one = processor(StreamsConfig())
    assert one.pids == []
    closed = stream(0, b"x", other_open=True)
    one.submit(closed)
    assert one.results() == [Finished(closed)]
    assert one.finish() == []


def test_plugin(processor, stream, tmp_path):
    (tmp_path / "post_of_tests.py").write_text(
        "import os\ndef f(stream):\n    if stream == b'x': os._exit(1)\n    return 'text'\n"
    )
    one = processor(StreamsConfig(md5=True, plugin=Plugin(str(tmp_path), "post_of_tests", "f")))
    one.submit(stream(0, b"x"))
    one.submit(stream(1, b"y"))
    died, well = one.finish()
    assert died.plugin.text is None
    assert died.plugin.problem == "its process ended with status 1"
    assert died.md5 == hashlib.md5(b"x").hexdigest()
    assert well.plugin.text == "text"


def test_plugin_that_cannot_be_loaded(outdir):
    with pytest.raises(UsageError, match="-e python"):
        Processor(StreamsConfig(plugin=Plugin("", "no_such_module_of_tests", "f")), outdir)


def test_preload():
    preload(StreamsConfig(http=True))
    preload(StreamsConfig())
