"""Plans of conversations: nothing is lost, the bodies are what the messages carry."""

import gzip
import hashlib
import http.client
import io
import re
import zlib

import pytest

from bench.conversations import (
    ACK,
    CLIENT,
    FIN,
    MSS,
    RST,
    SERVER,
    SYN,
    TOKEN,
    Dice,
    Traffic,
    plan,
)

PLAIN = Traffic(largest_bytes=20_000)
ROUGH = Traffic(
    retransmitted_permille=200, late_permille=200, difficult=True, largest_bytes=20_000, seed=7
)


class Stays(io.BytesIO):
    def close(self):
        pass  # the next response is in it, too


class Sock:
    def __init__(self, data):
        self.file = Stays(data)

    def makefile(self, *_):
        return self.file


def decoded(body, encoding, content_type):
    if encoding == "gzip" and body:
        return gzip.decompress(body)
    if encoding == "deflate" and body:
        return zlib.decompress(body, -15 if content_type == "text/css" else 15)
    return body


def test_a_plan_is_the_same_every_time():
    assert plan(3, ROUGH) == plan(3, ROUGH)
    assert plan(3, ROUGH) != plan(4, ROUGH)


@pytest.mark.parametrize("traffic", [PLAIN, ROUGH], ids=["plain", "rough"])
@pytest.mark.parametrize("number", range(10))
def test_segments_carry_every_byte(number, traffic):
    made = plan(number, traffic)
    for side in (CLIENT, SERVER):
        seen = bytearray(len(made.streams[side]))
        for one in made.segments:
            if one.side == side and one.length:
                assert 0 <= one.offset < one.offset + one.length <= len(seen)
                assert one.length <= MSS
                seen[one.offset : one.offset + one.length] = b"\1" * one.length
        assert all(seen)


def test_rough_traffic_is_sent_twice_and_late():
    again = late = 0
    for number in range(12):
        ends = {CLIENT: 0, SERVER: 0}
        for one in plan(number, ROUGH).segments:
            if one.length:
                late += one.offset > ends[one.side]
                again += one.offset < ends[one.side]
                ends[one.side] = max(ends[one.side], one.offset + one.length)
    assert late > 10
    assert again > 20


@pytest.mark.parametrize("number", range(10))
def test_what_is_acknowledged_was_sent_and_arrived(number):
    arrived = [set(), set()]
    made = plan(number, ROUGH)
    closed = [len(stream) + 1 for stream in made.streams]
    for one in made.segments:
        if one.flags & ACK:
            other = arrived[1 - one.side]
            assert one.acknowledged in (0, closed[1 - one.side]) or (
                set(range(0, one.acknowledged, MSS)) - {one.acknowledged} <= other | {0}
                or one.acknowledged - 1 in other
            )
        arrived[one.side].update(range(one.offset, one.offset + one.length))


@pytest.mark.parametrize("number", range(10))
def test_a_conversation_begins_and_ends(number):
    made = plan(number, ROUGH).segments
    assert [one.flags for one in made[:3]] == [SYN, SYN | ACK, ACK]
    assert any(one.flags & (FIN | RST) for one in made[-3:])
    for one in made:
        if one.flags & FIN:
            assert one.offset + one.length == len(plan(number, ROUGH).streams[one.side])


@pytest.mark.parametrize("traffic", [PLAIN, ROUGH], ids=["plain", "rough"])
@pytest.mark.parametrize("number", range(10))
def test_bodies_are_what_an_http_client_reads(number, traffic):
    made = plan(number, traffic)
    expected = [body for body in made.bodies if body.side == SERVER]
    found = []
    sock = Sock(made.streams[SERVER])
    methods = re.findall(rb"([A-Z]+) /p\d+/r", made.streams[CLIENT])
    count = 0
    while sock.file.tell() < len(made.streams[SERVER]):
        response = http.client.HTTPResponse(sock, method=methods[0].decode())
        response.begin()
        count += 1
        if response.status >= 200:
            methods.pop(0)
        kind, coding = response.headers["Content-Type"], response.headers["Content-Encoding"] or ""
        if body := decoded(response.read(), coding, kind):
            found.append((count, len(body), hashlib.md5(body).hexdigest(), kind, coding))
    assert not methods
    assert found == [
        (one.number, one.size_bytes, one.md5, one.content_type, one.encoding) for one in expected
    ]


def test_the_body_of_a_request_stands_where_it_says():
    bodies = [
        (made, body)
        for made in (plan(number, ROUGH) for number in range(16))
        for body in made.bodies
        if body.side == CLIENT
    ]
    assert bodies
    for made, body in bodies:
        form = made.streams[CLIENT][body.offset : body.offset + body.size_bytes]
        assert form.startswith(b"user=" + TOKEN)
        assert body.md5 == ""


def test_every_message_tells_the_flow():
    made = plan(0, PLAIN)
    assert made.streams[CLIENT].count(TOKEN) >= 1
    assert made.streams[SERVER].count(b"X-Flow: " + TOKEN) >= 1


def test_dice_are_even_enough():
    dice = Dice(1)
    thrown = [dice.below(6) for _ in range(6000)]
    assert all(850 < thrown.count(face) < 1150 for face in range(6))
    assert dice.noise(9) != dice.noise(9)
    assert len(set(dice.text(4000).split())) > 100
