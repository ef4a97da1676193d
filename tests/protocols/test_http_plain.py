"""Plain heads: what is read natively is what llhttp makes of it, and all else is left to llhttp."""

import mmap

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from daemonlogger_py.protocols import http_head
from daemonlogger_py.protocols.http_head import HEAD_BYTES, Head, HeadError, read_head
from daemonlogger_py.protocols.http_plain import field, framing, plain_head


def plain(data, kind="response", start=0, end=None):
    found = plain_head(data, start, len(data) if end is None else end, kind == "request")
    return None if found is None else Head._make(found)


def by_llhttp(data, kind):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(http_head, "plain_head", lambda *_: None)
        return read_head(data, 0, len(data), kind)


def test_response():
    data = b"..HTTP/1.1 404 Not Found\r\nA: b\r\nX-Y:\tc d\r\nContent-Length: 9\r\n\r\nbody"
    assert plain(data, start=2) == Head(
        len(data) - 4,
        404,
        b"",
        b"",
        ((b"A", b"b"), (b"X-Y", b"c d"), (b"Content-Length", b"9")),
        "",
    )


def test_request():
    data = b"POST /a?b=c HTTP/1.0\r\nHost: h\r\nTRANSFER-encoding: Chunked\r\n\r\n"
    fields = ((b"Host", b"h"), (b"TRANSFER-encoding", b"Chunked"))
    assert plain(data, "request") == Head(len(data), 0, b"POST", b"/a?b=c", fields, "")


def test_it_is_what_read_head_asks_first(monkeypatch):
    monkeypatch.setattr(http_head, "HttpResponseParser", None)
    assert read_head(b"HTTP/1.1 200 OK\r\n\r\n", 0, 19, "response").status == 200


@pytest.mark.parametrize("make", [bytes, bytearray])
def test_memory_that_can_be_searched(make):
    assert plain(make(b"HTTP/1.0 200 OK\r\n\r\n")) is not None


def test_mapped_file(tmp_path):
    path = tmp_path / "stream"
    path.write_bytes(b"HTTP/1.0 200 OK\r\n\r\n")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as data:
        assert plain(data) is not None


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("response", b"HTTP/1.1 200\r\n\r\n"),
        ("response", b"HTTP/1.1 2000 OK\r\n\r\n"),
        ("response", b"HTTP/1.1 099 OK\r\n\r\n"),
        ("response", b"HTTP/1.2 200 OK\r\n\r\n"),
        ("response", b"HTTP/1.1 200 O\x80K\r\n\r\n"),
        ("response", b"HTTP/1.1 200 OK\n\n"),
        ("response", b"HTTP/1.1 200 OK\r\nA: b\n\r\n"),
        ("response", b"HTTP/1.1 200 OK\r\nA:\r\n\r\n"),
        ("response", b"HTTP/1.1 200 OK\r\nA: b \r\n\r\n"),
        ("response", b"HTTP/1.1 200 OK\r\nA: b\0\r\n\r\n"),
        ("response", b"HTTP/1.1 200 OK\r\nA b: c\r\n\r\n"),
        ("response", b"HTTP/1.1 200 OK\r\nno field\r\n\r\n"),
        ("response", b"HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n\r\n"),
        ("response", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-length: 5\r\n\r\n"),
        ("response", b"HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n"),
        ("response", b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n"),
        ("response", b"HTTP/1.1 200 OK\r\nContent-Length: 1234567890123456789\r\n\r\n"),
        ("response", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"),
        ("response", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunkeds\r\n\r\n"),
        (
            "response",
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        ),
        (
            "response",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
        ),
        ("request", b"OWN / HTTP/1.1\r\n\r\n"),
        ("request", b"CONNECT h:1 HTTP/1.1\r\n\r\n"),
        ("request", b"OPTIONS * HTTP/1.1\r\n\r\n"),
        ("request", b"GET http://h/ HTTP/1.1\r\n\r\n"),
        ("request", b"GET /a b HTTP/1.1\r\n\r\n"),
        ("request", b"GET /a#b HTTP/1.1\r\n\r\n"),
        ("request", b"GET / HTTP/1.1 \r\n\r\n"),
        ("request", b"HTTP/1.1 200 OK\r\n\r\n"),
        ("response", b"GET / HTTP/1.1\r\n\r\n"),
    ],
)
def test_what_is_not_plain_is_left_to_llhttp(kind, data):
    assert plain(data, kind) is None


WHOLE = b"GET /abc HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n"


@pytest.mark.parametrize("end", range(len(WHOLE)))
def test_head_that_is_cut_is_no_head(end):
    assert plain(WHOLE, "request", end=end) is None


def test_nothing_outside_of_the_data_is_asked_for():
    for start, end in ((-1, 5), (5, 4), (0, len(WHOLE) + 1)):
        with pytest.raises(ValueError, match="not within"):
            plain_head(WHOLE, start, end, True)


def test_longest_head():
    field_line = b"A: b\r\n"
    room = HEAD_BYTES - len(b"HTTP/1.1 200 OK\r\n\r\n")
    data = b"HTTP/1.1 200 OK\r\n" + field_line * (room // 6) + b"\r\n"
    assert plain(data) is not None
    longer = data[:-2] + field_line * 2 + b"\r\n"
    with pytest.raises(HeadError, match="more than"):
        read_head(longer, 0, len(longer), "response")


NAMES = st.sampled_from(
    [
        "Host", "Content-Length", "content-length", "Transfer-Encoding", "Connection", "Upgrade",
        "Proxy-Connection", "Expect", "Content-Type", "X!#$%&'*+-.^_`|~9", "A",
    ]
)  # fmt: skip
VALUES = st.one_of(
    st.sampled_from(
        [
            "5", "0", "5 ", "5 6", "5, 5", "+5", "0x5", "99999999999999999999", "chunked",
            "CHUNKED", "gzip", "gzip, chunked", "identity", "close", "keep-alive", "upgrade",
            "keep-alive, Upgrade", "websocket", "h2c", "100-continue", "", " ", "a\tb", '"q, r"',
        ]
    ),
    st.text(st.characters(min_codepoint=0x09, max_codepoint=0xFF), max_size=12),
)  # fmt: skip
FIELDS = st.lists(st.tuples(NAMES, st.sampled_from([":", ": ", ":\t", " :"]), VALUES), max_size=5)
STATUS_LINES = st.one_of(
    st.sampled_from(["HTTP/1.1 200 OK", "HTTP/1.0 304 Not Modified", "HTTP/1.1 101 Switching"]),
    st.from_regex(r"HTTP/1\.[0-2] [0-9]{3}( [ -~]{0,10})?", fullmatch=True),
)
REQUEST_LINES = st.from_regex(
    r"(GET|POST|HEAD|PUT|DELETE|OPTIONS|PATCH|TRACE) [!-~]{1,12} HTTP/1\.[01] ?", fullmatch=True
)
LINE_ENDS = st.sampled_from(["\r\n", "\r\n", "\r\n", "\r\n", "\n", "\r\n "])


@st.composite
def heads(draw):
    kind = draw(st.sampled_from(["request", "response"]))
    text = draw(REQUEST_LINES if kind == "request" else STATUS_LINES) + draw(LINE_ENDS)
    for name, colon, value in draw(FIELDS):
        text += name + colon + value + draw(LINE_ENDS)
    return kind, (text + "\r\n" + draw(st.sampled_from(["", "body", "\r\n"]))).encode("latin-1")


@given(heads())
@example(("request", b"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"))
@example(("request", b"GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n"))
@example(("response", b"HTTP/1.1 204 OK\r\nTransfer-Encoding: chunked\r\n\r\n"))
def test_plain_heads_are_what_llhttp_reads(given_head):
    kind, data = given_head
    found = plain(data, kind)
    if found is not None:
        assert found == by_llhttp(data, kind)


def slow_field(fields, name):
    return b", ".join([value for key, value in fields if key.lower() == name])


@given(
    st.lists(st.tuples(st.sampled_from([b"A", b"a", b"B-c", b"", b"aa"]), st.binary(max_size=3))),
    st.sampled_from([b"a", b"b-c", b"", b"x"]),
)
def test_fields_are_found_in_whatever_case(fields, name):
    assert field(tuple(fields), name) == slow_field(fields, name)


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ((), ("close", 0)),
        (((b"content-LENGTH", b"12"),), ("length", 12)),
        (((b"Content-Length", b"1"), (b"Content-Length", b"2")), ("length", 2)),
        (((b"Transfer-Encoding", b"gzip, Chunked "),), ("chunked", 0)),
        (((b"Transfer-Encoding", b"chunked"), (b"Content-Length", b"5")), ("chunked", 0)),
        (((b"Transfer-Encoding", b"identity"), (b"Content-Length", b"5")), ("length", 5)),
        (((b"Transfer-Encoding", b"gzip"), (b"Content-Length", b"5")), ("close", 0)),
        (((b"Content-Lengths", b"5"), (b"Xontent-Length", b"5")), ("close", 0)),
    ],
)
def test_framing_that_is_announced(fields, found):
    assert framing(fields) == found
