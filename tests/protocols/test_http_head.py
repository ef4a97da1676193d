"""Heads of HTTP/1.x messages: what llhttp reads, and what is read without what it objects to."""

import pytest

from daemonlogger_py.protocols.http_head import HEAD_BYTES, HeadError, begins, kind_at, read_head


def head(data, kind="response", start=0, end=None):
    return read_head(data, start, len(data) if end is None else end, kind)


def test_response():
    data = b"..HTTP/1.1 404 Not Found\r\nA: b\r\nEmpty:\r\n\r\nbody"
    found = head(data, start=2)
    assert found.end == len(data) - 4
    assert (found.status, found.method, found.target, found.repaired) == (404, b"", b"", "")
    assert found.fields == ((b"A", b"b"), (b"Empty", b""))


def test_request():
    found = head(b"DELETE /a?b=c HTTP/1.0\r\nHost: h\r\n\r\n", "request")
    assert (found.status, found.method, found.target) == (0, b"DELETE", b"/a?b=c")


def test_folded_field_is_one():
    assert head(b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n").fields == ((b"A", b"b c"),)


def test_status_line_without_a_reason():
    assert head(b"HTTP/1.1 200\r\nA: b\r\n\r\n").status == 200


@pytest.mark.parametrize("fields", [b"", b"A:\r\n", b"Upgrade: h2c\r\nA:\r\n"])
def test_switching_protocols_with_and_without_a_field_that_says_so(fields):
    found = head(b"HTTP/1.1 101 Switching Protocols\r\nB:\r\n" + fields + b"\r\nwhatever")
    assert (found.status, found.repaired) == (101, "")


def test_line_ends_without_cr():
    assert head(b"HTTP/1.0 200 OK\nA: b\n\nxx").end == 22


def test_line_ends_without_cr_and_no_fields():
    found = head(b"GET / HTTP/1.0\n\n", "request")
    assert (found.end, found.fields, found.repaired) == (16, (), "")


def test_searchable_memory_is_enough():
    assert head(bytearray(b"HTTP/1.0 200 OK\r\nA: b\r\n\r\n")).fields == ((b"A", b"b"),)


@pytest.mark.parametrize(
    ("data", "kind", "fields"),
    [
        (b"OWN /a HTTP/1.1\r\nHost: h\r\n\r\n", "request", ((b"Host", b"h"),)),
        (b"GET /a b HTTP/1.1\r\nHost: h\r\n\r\n", "request", ((b"Host", b"h"),)),
        (b"GET /\xc3\xa4 HTTP/1.1\r\nHost: h\r\n\r\n", "request", ((b"Host", b"h"),)),
        (b"HTTP/1.1 200 OK\r\nno field\r\nA: b\r\n\r\n", "response", ((b"A", b"b"),)),
        (b"HTTP/1.1 200 OK\r\nA B: c\r\nA: b\r\n\r\n", "response", ((b"A", b"b"),)),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\ncontent-length: 5\r\n\r\n",
            "response",
            ((b"Content-Length", b"5"),),
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n",
            "response",
            ((b"Content-Length", b"5"),),
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\nA: b\r\n\r\n", "response", ((b"A", b"b"),)),
    ],
)
def test_what_llhttp_objects_to_is_left_out(data, kind, fields):
    found = head(data, kind)
    assert found.fields == fields
    assert found.repaired
    assert found.end == len(data)


@pytest.mark.parametrize("blanks", [b" ", b"\t", b" \t "])
@pytest.mark.parametrize(
    "name", [b"Content-Length", b"Transfer-Encoding", b"Content-Encoding", b"A"]
)
def test_blanks_before_a_colon_are_no_part_of_a_name(name, blanks):
    value = b"3" if name == b"Content-Length" else b"chunked"
    found = head(b"HTTP/1.1 200 OK\r\n" + name + blanks + b": " + value + b"\r\n\r\n")
    assert found.fields == ((name, value),)
    assert not found.repaired


def test_blanks_before_a_colon_hide_no_contradiction():
    with pytest.raises(HeadError, match="Content-Length"):
        head(b"HTTP/1.1 200 OK\r\nContent-Length : 5\r\nContent-Length: 6\r\n\r\n")
    # Nor do they make a number of what is none, or a field of a start line.
    assert head(b"HTTP/1.1 200 OK\r\nContent-Length : x\r\nA: b\r\n\r\n").fields == ((b"A", b"b"),)
    assert head(b"GET :/ HTTP/1.1\r\nA: b\r\n\r\n", "request").target == b":/"


def test_a_repaired_head_keeps_fields_with_blanks_before_the_colon():
    found = head(b"HTTP/1.1 200 OK\r\nno field\r\nContent-Length : 3\r\nA\t: b\r\n\r\n")
    assert found.repaired
    assert sorted(found.fields) == [(b"A", b"b"), (b"Content-Length", b"3")]


@pytest.mark.parametrize("line", [b"HTTP/1.1  200 OK", b"HTTP/1.2 200 OK", b"HTTP/1.0   200"])
def test_a_status_line_that_is_not_as_it_should_be(line):
    found = head(line + b"\r\nContent-Length: 3\r\n\r\n")
    assert (found.status, found.fields) == (200, ((b"Content-Length", b"3"),))
    assert found.repaired


def test_target_with_blanks_is_whole():
    assert head(b"GET /a b HTTP/1.1\r\nHost: h\r\n\r\n", "request").target == b"/a b"


def test_different_lengths_are_an_error():
    with pytest.raises(HeadError, match="Content-Length") as raised:
        head(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n")
    assert not raised.value.cut


@pytest.mark.parametrize("data", [b"HTTP/1.1 20", b"HTTP/1.1 200 OK\r\nA: b\r\n"])
def test_more_bytes_might_make_it_a_head(data):
    with pytest.raises(HeadError) as raised:
        head(data)
    assert raised.value.cut


def test_other_lines_are_no_head():
    with pytest.raises(HeadError, match="no start line") as raised:
        head(b"hello\r\n\r\n")
    assert not raised.value.cut


def test_bytes_behind_the_end_are_not_looked_at():
    data = b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n"
    with pytest.raises(HeadError):
        head(data, end=len(data) - 1)


def test_head_is_limited():
    with pytest.raises(HeadError, match="more than") as raised:
        head(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * (HEAD_BYTES // 6 + 1))
    assert not raised.value.cut


def test_where_messages_begin():
    assert kind_at(b"HTTP/1.1 200 OK\r\n", 0) == "response"
    assert kind_at(b"xxGET / HTTP/1.1\r\n", 2) == "request"
    assert kind_at(b"HTTP/1.1 2000", 0) is None
    assert kind_at(b"GET / HTTP/2\r\n", 0) is None
    assert begins(b"HTTP/1.0 200\n", 0, "response")
    assert not begins(b"HTTP/1.0 200\n", 0, "request")
