"""Messages of HTTP/1.x: framing, matching of requests and responses, gaps."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemonlogger_py.protocols.http import Exchange, Side, body
from daemonlogger_py.protocols.http_plain import field


def messages(*sides):
    """Messages of each side, as a list a side."""
    exchange = Exchange(sides)
    found = [[] for _ in sides]
    for index, message in exchange:
        found[index].append(message)
    return (*found, exchange.endings)


def content(side, message):
    return b"".join(body(side, message))


def one_side(data, **facts):
    side = Side(data, **facts)
    found, (ending,) = messages(side)
    return found, [content(side, message) for message in found], ending


def response(data, *fields, status=b"200 OK"):
    return b"HTTP/1.1 " + status + b"\r\n" + b"".join(f + b"\r\n" for f in fields) + b"\r\n" + data


def sized(data, *fields, status=b"200 OK"):
    return response(data, *fields, b"Content-Length: %d" % len(data), status=status)


def chunked(data, sizes):
    out = []
    for size in sizes:
        if size and data:
            piece, data = data[:size], data[size:]
            out.append(b"%x\r\n%b\r\n" % (len(piece), piece))
    if data:
        out.append(b"%X;name=value\r\n%b\r\n" % (len(data), data))
    return b"".join(out) + b"0\r\n\r\n"


GET = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n"
HEAD = b"HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n"
NO_RESPONSE = "there is no start line of a response"


def test_message_tells_where_it_is_and_what_it_says():
    data = GET + sized(b"xyz", b"Content-Type: text/plain")
    (request,), (reply,), endings = messages(Side(GET), Side(data[len(GET) :]))
    assert (request.kind, request.number, request.method, request.target) == (
        "request",
        1,
        b"GET",
        b"/a",
    )
    assert (request.start, request.body_start, request.end) == (0, len(GET), len(GET))
    assert (reply.kind, reply.status, reply.method, reply.target) == (
        "response",
        200,
        b"GET",
        b"/a",
    )
    assert reply.end - reply.body_start == 3
    assert reply.fields == ((b"Content-Type", b"text/plain"), (b"Content-Length", b"3"))
    assert reply.complete
    assert not reply.problems
    assert endings == [None, None]


def test_requests_come_before_their_responses():
    order = [
        (index, message.number)
        for index, message in Exchange([Side(GET * 2), Side(sized(b"a") + sized(b"b"))])
    ]
    assert order == [(0, 1), (1, 1), (0, 2), (1, 2)]


def test_more_requests_than_responses_are_yielded_too():
    requests, replies, _ = messages(Side(GET * 3), Side(sized(b"a")))
    assert [message.number for message in requests] == [1, 2, 3]
    assert len(replies) == 1


@pytest.mark.parametrize("status", [b"204 No", b"304 Not Modified"])
def test_statuses_without_a_body(status):
    found, bodies, _ = one_side(sized(b"", status=status)[:-4] + b"\r\n\r\n" + sized(b"next"))
    assert [message.status for message in found] == [int(status[:3]), 200]
    assert bodies == [b"", b"next"]


def test_status_304_with_a_length_has_no_body():
    data = response(b"", b"Content-Length: 500", status=b"304 Not Modified") + sized(b"next")
    _, bodies, ending = one_side(data)
    assert bodies == [b"", b"next"]
    assert ending is None


def test_response_to_head_has_no_body_whatever_it_says():
    announced = response(b"", b"Content-Length: 17")
    chunks = response(b"", b"Transfer-Encoding: chunked")
    close = response(b"")
    server = Side(announced + chunks + close + sized(b"body"))
    _, replies, endings = messages(Side(HEAD * 3 + GET), server)
    assert [content(server, message) for message in replies] == [b"", b"", b"", b"body"]
    assert all(message.complete and not message.problems for message in replies)
    assert endings == [None, None]


def test_interim_responses_answer_no_request():
    post = b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nab"
    server = Side(
        response(b"", status=b"100 Continue")
        + response(b"", b"Link: x", status=b"103 Early Hints")
        + sized(b"one")
        + response(b"", b"Content-Length: 9")
    )
    requests, replies, _ = messages(Side(post + HEAD), server)
    assert [message.number for message in replies] == [1, 2, 3, 4]
    assert [message.method for message in replies] == [b"", b"", b"POST", b"HEAD"]
    assert [content(server, message) for message in replies] == [b"", b"", b"one", b""]
    assert content(Side(post + HEAD), requests[0]) == b"ab"


def test_body_that_was_announced_and_not_sent():
    post = b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 200\r\n\r\n"
    found, bodies, ending = one_side(post + GET)
    assert [message.method for message in found] == [b"POST", b"GET"]
    assert bodies == [b"", b""]
    assert "was not sent" in found[0].problems[0]
    assert ending is None


def test_body_that_looks_like_a_request_was_sent():
    post = b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(GET)
    for rest in (b"", GET):
        found, bodies, _ = one_side(post + GET + rest)
        assert bodies[0] == GET
        assert found[0].problems == ()


def test_response_without_a_length_goes_to_the_end():
    found, bodies, _ = one_side(response(b"all of it\r\n\r\nHTTP/1.1 is text here"))
    assert bodies == [b"all of it\r\n\r\nHTTP/1.1 is text here"]
    assert found[0].framing == "close"
    assert found[0].complete


def test_end_of_the_connection_that_was_not_seen_is_told():
    found, bodies, _ = one_side(response(b"all of it?"), to_end=False)
    assert bodies == [b"all of it?"]
    assert not found[0].complete
    assert "not seen" in " ".join(found[0].problems)


def test_request_without_a_length_has_no_body():
    found, _, ending = one_side(b"POST / HTTP/1.1\r\n\r\n" + GET)
    assert [message.method for message in found] == [b"POST", b"GET"]
    assert ending is None


def test_body_that_is_cut():
    found, bodies, _ = one_side(response(b"abc", b"Content-Length: 10"))
    assert bodies == [b"abc"]
    assert not found[0].complete
    assert found[0].problems == ("7 of its 10 bytes are not there",)


def test_chunks_that_are_cut():
    data = response(b"5\r\nabcde\r\n5\r\nfg", b"Transfer-Encoding: chunked")
    found, bodies, _ = one_side(data)
    assert bodies == [b"abcdefg"]
    assert not found[0].complete
    assert "do not end" in found[0].problems[0]


@pytest.mark.parametrize("rest", [b"zz\r\n", b"zz\r\n\r\n", b"zz\r\n\r\nxx\r\n\r\n"])
def test_behind_chunks_that_are_damaged_the_next_message_is_a_guess(rest):
    damaged = response(b"5\r\nabcde\r\n" + rest, b"Transfer-Encoding: chunked")
    found, bodies, ending = one_side(damaged + sized(b"x" * 10) + sized(b"y"))
    assert bodies == [b"abcde", b"x" * 10, b"y"]
    assert [message.complete for message in found] == [False, True, True]
    assert found[1].start == len(damaged)
    assert all("guessed" in message.problems[0] for message in found[1:])
    assert ending is None


def test_chunks_that_are_damaged_and_the_end():
    data = response(b"5\r\nabcde\r\nzz\r\n\r\n", b"Transfer-Encoding: chunked")
    found, bodies, ending = one_side(data + b"rest\r\n")
    assert bodies == [b"abcde"]
    assert "damaged" in found[0].problems[0]
    assert (ending.offset, ending.problem) == (len(data), "is not read as HTTP: " + NO_RESPONSE)


def test_chunked_with_trailer_wins_over_length():
    data = response(
        b"3\r\nabc\r\n0\r\nTrailer: 1\r\nSecond: 2\r\n\r\n",
        b"Content-Length: 1",
        b"Transfer-Encoding: gzip, Chunked",
    )
    found, bodies, ending = one_side(data + sized(b"next"))
    assert bodies == [b"abc", b"next"]
    assert found[1].start == len(data)
    assert ending is None


def test_blank_lines_within_chunks_end_nothing():
    text = b"\r\n\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"
    _, bodies, ending = one_side(
        response(chunked(text, [3, 9]), b"Transfer-Encoding: chunked") + sized(b"next")
    )
    assert bodies == [text, b"next"]
    assert ending is None


def test_every_method_is_read():
    names = [b"GET", b"PUT", b"DELETE", b"PROPFIND", b"REPORT", b"MKCOL", b"LINK", b"BITS_POST",
             b"RPC_IN_DATA", b"QUERY", b"x-own"]  # fmt: skip
    data = b"".join(name + b" /p HTTP/1.1\r\nContent-Length: 1\r\n\r\n1" for name in names)
    found, bodies, ending = one_side(data)
    assert [message.method for message in found] == names
    assert bodies == [b"1"] * len(names)
    assert ending is None


def test_lf_alone_ends_lines():
    found, bodies, ending = one_side(b"HTTP/1.0 200 OK\nContent-Length: 3\n\nabc")
    assert bodies == [b"abc"]
    assert found[0].complete
    assert ending is None


def test_line_ends_between_messages_are_left_out():
    found, bodies, _ = one_side(sized(b"a") + b"\r\n\r\n" + sized(b"b"))
    assert bodies == [b"a", b"b"]
    assert found[1].problems == ()


def test_what_is_not_http_ends_the_stream_and_is_told():
    found, _, ending = one_side(sized(b"a") + b"\x00\x01garbage")
    assert len(found) == 1
    assert ending.offset == found[0].end
    assert "no start line" in ending.problem


@pytest.mark.parametrize(
    ("first", "unread"),
    [
        (sized(b"abc", status=b"204 No Content"), b"abc"),
        (response(b"longer", b"Content-Length: 3"), b"ger"),
        (sized(b""), b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 7\r\n\r\nabc"),
    ],
)
def test_behind_what_is_not_http_the_next_message_is_a_guess(first, unread):
    before = first if first.endswith(unread) else first + unread
    found, bodies, ending = one_side(before + sized(b"one") + sized(b"two"))
    assert bodies[1:] == [b"one", b"two"]
    offset = len(before) - len(unread)
    assert (found[1].unread.offset, found[1].start) == (offset, len(before))
    assert found[1].unread.problem.startswith("is not read as HTTP: ")
    assert [message.unread for message in (found[0], found[2])] == [None, None]
    assert found[0].problems == ()
    assert all("guessed" in message.problems[0] for message in found[1:])
    assert ending is None


def test_body_in_the_response_to_a_head_is_passed_over():
    server = Side(sized(b"unexpected") + sized(b"next"))
    _, replies, _ = messages(Side(HEAD + GET), server)
    assert [content(server, message) for message in replies] == [b"", b"next"]
    assert replies[1].unread is not None


def test_what_is_not_http_between_requests_makes_responses_unsure():
    requests, replies, _ = messages(
        Side(GET + b"garbage\r\n" + GET), Side(sized(b"one") + response(b"two"))
    )
    assert [message.number for message in requests] == [1, 2]
    assert "guessed" in requests[1].problems[0]
    assert replies[1].problems == ("its request is not known",)


def test_a_head_that_is_cut_ends_the_stream_once():
    found, _, ending = one_side(sized(b"a") + b"HTTP/1.1 200 OK\r\nA: b\r\n")
    assert len(found) == 1
    assert "not complete" in ending.problem


def test_blanks_before_a_colon_hide_no_framing():
    data = response(b"abc", b"Content-Length : 3") + response(
        chunked(b"def", [3]), b"Transfer-Encoding\t: chunked"
    )
    found, bodies, ending = one_side(data + sized(b"next"))
    assert bodies == [b"abc", b"def", b"next"]
    assert all(message.problems == () for message in found)
    assert ending is None


def test_switched_connection_of_which_one_side_is_there():
    switched = response(b"", b"Upgrade: websocket", status=b"101 Switching Protocols")
    found, _, ending = one_side(switched + b"\x81\x05hello" + sized(b"inside"))
    assert (len(found), ending) == (1, None)


def test_what_is_not_http_may_come_between_all_messages():
    no_message = b"x\r\n" + response(b"", b"Content-Length: 1", b"Content-Length: 2")
    damaged = response(b"zz\r\n\r\n", b"Transfer-Encoding: chunked")
    found, _, ending = one_side((sized(b"a") + no_message + damaged) * 1000)
    assert len(found) == 2000
    assert ending is None


@pytest.mark.parametrize("data", [b"", b"SSH-2.0-x\r\n", b"HTTP/2.0 200 OK\r\n\r\n", b"GET /\r\n"])
def test_other_streams_yield_nothing(data):
    assert one_side(data) == ([], [], None)


def test_switched_connection_is_not_http_any_more():
    upgrade = b"GET /ws HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    switched = response(
        b"", b"Connection: Upgrade", b"Upgrade: websocket", status=b"101 Switching Protocols"
    )
    requests, replies, endings = messages(
        Side(upgrade + GET), Side(switched + sized(b"inside the tunnel"))
    )
    assert len(requests) == len(replies) == 1
    assert replies[0].framing == "tunnel"
    assert endings == [None, None]


def test_refused_upgrade_stays_http():
    upgrade = b"GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    server = Side(sized(b"plain") + sized(b"next"))
    requests, replies, _ = messages(Side(upgrade + GET), server)
    assert len(requests) == 2
    assert [content(server, message) for message in replies] == [b"plain", b"next"]


def test_tunnel_of_connect():
    connect = b"CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n"
    requests, replies, endings = messages(
        Side(connect + b"\x16\x03\x01..."), Side(response(b"\x16\x03\x03..."))
    )
    assert len(requests) == len(replies) == 1
    assert replies[0].framing == "tunnel"
    assert endings == [None, None]


def test_refused_connect_has_a_body():
    connect = b"CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n"
    server = Side(sized(b"no", status=b"403 Forbidden") + sized(b"yes"))
    _, replies, _ = messages(Side(connect + GET), server)
    assert [content(server, message) for message in replies] == [b"no", b"yes"]


def test_connect_request_alone_ends_without_a_complaint():
    found, _, ending = one_side(b"CONNECT h:443 HTTP/1.1\r\n\r\n\x16\x03\x01")
    assert len(found) == 1
    assert ending is None


def test_response_to_an_unknown_head_is_seen_from_what_follows():
    data = response(b"", b"Content-Length: 400") + sized(b"next")
    found, bodies, _ = one_side(data)
    assert bodies == [b"", b"next"]
    assert "not known" in found[0].problems[0]


def test_until_close_without_its_request_is_marked():
    found, bodies, _ = one_side(response(b"x", status=b"200 Connection established"))
    assert bodies == [b"x"]
    assert found[0].problems == ("its request is not known",)


def test_repaired_head_is_told_and_read():
    data = b"HTTP/1.1 200 OK\r\nA B: c\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nab"
    found, bodies, _ = one_side(data)
    assert bodies == [b"ab"]
    assert "repaired" in found[0].problems[0]


def test_contradicting_lengths_are_not_guessed():
    found, _, ending = one_side(
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc"
    )
    assert found == []
    assert "Content-Length" in ending.problem


def test_same_kind_on_both_sides_is_read_by_itself():
    first, second, _ = messages(Side(sized(b"a")), Side(sized(b"b")))
    assert len(first) == len(second) == 1


def test_gap_within_a_sized_body_costs_that_body_only():
    data = sized(b"a" * 50) + sized(b"b" * 50)
    start = data.index(b"aaa") + 10
    lost = data[:start] + bytes(20) + data[start + 20 :]
    found, bodies, ending = one_side(lost, gaps=((start, 20),))
    assert bodies == [b"a" * 10 + bytes(20) + b"a" * 20, b"b" * 50]
    assert [message.complete for message in found] == [False, True]
    assert found[0].problems == ("20 bytes are lost, the first at 10 of its body",)
    assert found[1].problems == ()
    assert ending is None
    assert b"".join(body(Side(lost, ((start, 20),)), found[0], to_gap=True)) == b"a" * 10


def test_gap_within_a_chunk_costs_that_body_only():
    coded = response(chunked(b"c" * 60, [60]), b"Transfer-Encoding: chunked")
    data = coded + sized(b"next")
    start = data.index(b"ccc") + 10
    lost = data[:start] + b"?" * 20 + data[start + 20 :]
    found, bodies, _ = one_side(lost, gaps=((start, 20),))
    assert bodies == [b"c" * 10 + bytes(20) + b"c" * 30, b"next"]
    assert [message.complete for message in found] == [False, True]
    assert found[1].problems == ()


def test_gap_over_a_chunk_size_ends_the_body_and_marks_the_rest():
    coded = response(chunked(b"c" * 60, [30, 30]), b"Transfer-Encoding: chunked")
    data = coded + sized(b"next")
    start = data.index(b"ccc") + 20
    lost = data[:start] + bytes(20) + data[start + 20 :]
    found, bodies, _ = one_side(lost, gaps=((start, 20),))
    assert bodies == [b"c" * 20, b"next"]
    assert not found[0].complete
    assert "guessed" in found[1].problems[0]


def test_gap_over_messages_marks_what_follows():
    data = sized(b"a" * 50) + sized(b"b" * 50) + sized(b"c" * 50) + sized(b"d")
    start, stop = data.index(b"aaa") + 40, data.index(b"bbb") + 40
    lost = data[:start] + bytes(stop - start) + data[stop:]
    found, bodies, _ = one_side(lost, gaps=((start, stop - start),))
    assert bodies == [b"a" * 40 + bytes(10), b"c" * 50, b"d"]
    assert [message.complete for message in found] == [False, True, True]
    assert "guessed" in found[1].problems[0]
    assert "guessed" in found[2].problems[0]


def test_gap_with_nothing_like_a_message_behind_it_ends_the_stream():
    data = sized(b"a") + sized(b"b" * 30)
    start = data.index(b"\r\nContent", 30)
    found, _, ending = one_side(data[:start] + bytes(30) + data[start + 30 :], gaps=((start, 30),))
    assert len(found) == 1
    assert "behind lost bytes" in ending.problem


def test_lost_requests_make_responses_unsure():
    requests = HEAD + GET + GET
    server = Side(response(b"", b"Content-Length: 7") + sized(b"one") + sized(b"two"))
    # The first request and half of the second are lost: what is left no longer matches.
    client = Side(bytes(len(HEAD) + 5) + requests[len(HEAD) + 5 :], ((0, len(HEAD) + 5),))
    asked, replies, _ = messages(client, server)
    assert [message.method for message in asked] == [b"GET"]
    assert [content(server, message) for message in replies] == [b"", b"one", b"two"]


def test_side_that_begins_within_a_message_is_resumed():
    whole = sized(b"x" * 40) + sized(b"next")
    server = Side(whole[60:], from_start=False)
    _, replies, _ = messages(Side(GET * 2, from_start=False), server)
    assert [content(server, message) for message in replies] == [b"next"]
    assert "guessed" in replies[0].problems[0]


def test_endless_head_is_given_up():
    _, _, ending = one_side(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 60_000)
    assert "more than" in ending.problem


def test_field_joins_and_ignores_case():
    fields = ((b"A", b"1"), (b"b", b"2"), (b"a", b"3"))
    assert field(fields, b"a") == b"1, 3"
    assert field(fields, b"c") == b""


def test_large_bodies_come_in_pieces():
    side = Side(sized(b"x" * (3 << 20)))
    (found,), _ = messages(side)
    pieces = list(body(side, found))
    assert [len(piece) for piece in pieces] == [1 << 20] * 3


BODIES = st.binary(max_size=200) | st.sampled_from(
    [b"\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n", b"0\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"\0" * 30]
)
EXCHANGES = st.lists(
    st.tuples(
        st.sampled_from([b"GET", b"HEAD", b"POST", b"PUT", b"OPTIONS", b"PROPFIND"]),
        BODIES,  # of the request
        st.booleans(),  # chunked
        st.sampled_from([b"200 OK", b"204 No Content", b"304 Not Modified", b"404 No", b"500 X"]),
        BODIES,
        st.booleans(),
        st.lists(st.integers(1, 40), max_size=6),
        st.integers(0, 2),  # interim responses before
    ),
    min_size=1,
    max_size=6,
)


def built(exchanges):
    """Bytes of both sides, and the bodies that are in them."""
    asked, replied = [b"", []], [b"", []]
    for (
        method,
        question,
        question_chunked,
        status,
        answer,
        answer_chunked,
        sizes,
        interim,
    ) in exchanges:
        asked[0] += (
            method + b" /x HTTP/1.1\r\nHost: h\r\n" + framed(question, question_chunked, sizes)
        )
        asked[1].append(question)
        replied[0] += b"HTTP/1.1 100 Continue\r\n\r\n" * interim
        replied[1] += [b""] * interim
        coded = framed(answer, answer_chunked, sizes)
        if method == b"HEAD" or status[:3] in (b"204", b"304"):
            coded = coded[: coded.index(b"\r\n\r\n") + 4]
            answer = b""
        replied[0] += b"HTTP/1.1 " + status + b"\r\nServer: s\r\n" + coded
        replied[1].append(answer)
    return asked, replied


def framed(data, is_chunked, sizes):
    if is_chunked:
        return b"Transfer-Encoding: chunked\r\n\r\n" + chunked(data, sizes)
    return b"Content-Length: %d\r\n\r\n" % len(data) + data


@given(EXCHANGES)
def test_any_messages_come_back(exchanges):
    asked, replied = built(exchanges)
    sides = Side(asked[0]), Side(bytearray(replied[0]))
    *found, endings = messages(*sides)
    for side, list_, (data, bodies) in zip(sides, found, (asked, replied), strict=True):
        assert [content(side, message) for message in list_] == bodies
        assert all(message.complete and not message.problems for message in list_)
        assert b"".join(data[message.start : message.end] for message in list_) == data
    assert endings == [None, None]


GAPS = st.lists(st.tuples(st.integers(0, 3000), st.integers(1, 300)), max_size=4)


def punched(data, wanted, fill):
    """Data with holes, and the gaps that tell of them."""
    lost = bytearray(data)
    gone = [False] * len(data)
    for offset, count in wanted:
        for index in range(offset % (len(data) + 1), len(data))[:count]:
            gone[index] = True
            lost[index] = fill
    gaps = []
    for index, missing in enumerate(gone):
        if missing and gaps and sum(gaps[-1]) == index:
            gaps[-1] = (gaps[-1][0], gaps[-1][1] + 1)
        elif missing:
            gaps.append((index, 1))
    return Side(bytes(lost), tuple(gaps))


@settings(max_examples=300)
@given(EXCHANGES, GAPS, GAPS, st.sampled_from([0, 0x41, 0x0A]))
def test_gaps_never_give_a_wrong_body_silently(exchanges, lost_asked, lost_replied, fill):
    asked, replied = built(exchanges)
    sides = punched(asked[0], lost_asked, fill), punched(replied[0], lost_replied, fill)
    *found, _ = messages(*sides)
    whole = [messages(Side(asked[0]), Side(replied[0]))[index] for index in (0, 1)]
    for side, list_, bodies, reference in zip(
        sides, found, (asked[1], replied[1]), whole, strict=True
    ):
        for message in list_:
            if message.problems:
                continue
            assert message.complete
            assert content(side, message) == bodies[message.number - 1]
            assert message.start == reference[message.number - 1].start


@given(st.binary(max_size=400), st.binary(max_size=400), GAPS)
def test_any_bytes_are_read_to_an_end(left, right, wanted):
    sides = (
        Side(b"GET / HTTP/1.1\r\n" + left, to_end=False),
        punched(b"HTTP/1.1 200 OK\r\n" + right, wanted, 0),
    )
    for index, message in Exchange(sides):
        content(sides[index], message)
        assert 0 <= message.start < message.body_start <= message.end <= len(sides[index].data)
