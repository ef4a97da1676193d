"""Files of HTTP bodies: their names, what is in them, and what is told of them."""

import gzip
import mmap
import os
import zlib

import pytest

from daemonlogger_py.protocols import http_coding
from daemonlogger_py.protocols.http import Side
from daemonlogger_py.readers.streams import bodies
from daemonlogger_py.readers.streams.bodies import Extractor
from daemonlogger_py.readers.streams.outdir import OutDir

TEXT = b"<html>" + b"some text " * 300
NOISE = os.urandom(50_000)


@pytest.fixture
def extract(tmp_path):
    """Extract one side's bodies; returns them, the notes, and the files that were made."""
    fd = os.open(tmp_path, os.O_RDONLY)
    outdir = OutDir(fd)

    def run(data, *, gaps=(), to_end=True, **options):
        (made,) = Extractor(outdir, **options).extract([Side(data, gaps, True, to_end)], ["s"])
        files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
        assert {body.filename: body.filesize for body in made.bodies} == {
            name: len(content) for name, content in files.items()
        }
        return made, files

    yield run
    os.close(fd)


def response(data, *fields):
    lines = (b"HTTP/1.1 200 OK", *fields, b"Content-Length: %d" % len(data), b"", b"")
    return b"\r\n".join(lines) + data


HTML = b"Content-Type: text/html"
GZIP = b"Content-Encoding: gzip"


def test_names_count_all_messages(extract):
    data = (
        b"HTTP/1.1 100 Continue\r\n\r\n"
        + response(b"one", b"Content-Type: image/png")
        + response(b"")
        + response(b"two", b"Content-Type: no/such")
    )
    made, files = extract(data)
    assert files == {"s-HTTPBODY-002.png": b"one", "s-HTTPBODY-004": b"two"}
    assert [body.file_offset for body in made.bodies] == [data.index(b"one"), data.index(b"two")]
    assert made.notes == []


def test_both_sides_have_their_own(tmp_path):
    fd = os.open(tmp_path, os.O_RDONLY)
    question = b"POST / HTTP/1.1\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\nask?"
    asked, replied = Extractor(OutDir(fd)).extract(
        [Side(question), Side(response(b"answer", HTML))], ["client", "server"]
    )
    os.close(fd)
    assert [body.filename for body in asked.bodies] == ["client-HTTPBODY-001.txt"]
    assert [body.filename for body in replied.bodies] == ["server-HTTPBODY-001.html"]
    assert (tmp_path / "client-HTTPBODY-001.txt").read_bytes() == b"ask?"


@pytest.mark.parametrize("coding", [b"gzip", b"X-GZIP", b"deflate"])
def test_decoded(extract, coding):
    packed = zlib.compress(TEXT) if coding == b"deflate" else gzip.compress(TEXT)
    made, files = extract(response(packed, HTML, b"Content-Encoding: " + coding))
    assert files == {"s-HTTPBODY-001.html": TEXT}
    assert made.bodies[0].problems == ()


def test_left_encoded(extract):
    packed = gzip.compress(TEXT)
    _, files = extract(response(packed, HTML, GZIP), decompress=False)
    assert files == {"s-HTTPBODY-001.html": packed}


def test_damaged_is_kept_as_sent_beside_what_was_decoded(extract):
    packed = bytearray(gzip.compress(NOISE))
    packed[-6] ^= 0xFF
    made, files = extract(response(bytes(packed), HTML, GZIP))
    assert set(files) == {"s-HTTPBODY-001.html", "s-HTTPBODY-001.html.gz"}
    assert files["s-HTTPBODY-001.html.gz"] == packed
    assert NOISE.startswith(files["s-HTTPBODY-001.html"])
    assert all("damaged" in " ".join(body.problems) for body in made.bodies)


def test_padding_behind_the_compressed_data_is_no_problem(extract):
    packed = gzip.compress(NOISE)
    made, files = extract(response(packed + bytes(9), HTML, GZIP))
    assert files == {"s-HTTPBODY-001.html": NOISE}
    assert made.bodies[0].problems == ()


def test_bytes_behind_the_compressed_data_are_kept_as_sent(extract):
    packed = gzip.compress(NOISE) + b"and more"
    made, files = extract(response(packed, HTML, GZIP))
    assert files == {"s-HTTPBODY-001.html": NOISE, "s-HTTPBODY-001.html.gz": packed}
    assert all(
        "8 bytes are behind the end of the compressed data" in body.problems[0]
        for body in made.bodies
    )


def test_what_is_not_encoded_at_all_is_kept(extract):
    made, files = extract(response(TEXT, HTML, GZIP))
    assert files == {"s-HTTPBODY-001.html.gz": TEXT}
    assert "kept as sent" in made.bodies[0].problems[0]


def test_cut_is_kept_as_sent_beside_what_could_be_decoded(extract):
    data = response(gzip.compress(NOISE, mtime=0), GZIP)
    made, files = extract(data[:-20_000])
    assert set(files) == {"s-HTTPBODY-001", "s-HTTPBODY-001.gz"}
    assert NOISE.startswith(files["s-HTTPBODY-001"])
    assert files["s-HTTPBODY-001.gz"] == gzip.compress(NOISE, mtime=0)[:-20_000]
    assert [len(body.problems) for body in made.bodies] == [2, 2]


def test_gap_ends_what_is_decoded(extract):
    data = response(gzip.compress(NOISE), GZIP)
    made, files = extract(data[:20_000] + bytes(100) + data[20_100:], gaps=((20_000, 100),))
    assert NOISE.startswith(files["s-HTTPBODY-001"])
    assert 15_000 < len(files["s-HTTPBODY-001"]) < 20_000
    sent = data[data.index(b"\r\n\r\n") + 4 :]
    assert len(files["s-HTTPBODY-001.gz"]) == len(sent)
    assert files["s-HTTPBODY-001.gz"][20_100:] == sent[20_100:]
    assert "100 bytes are lost" in made.bodies[0].problems[0]


def test_gap_in_what_is_not_encoded(extract):
    data = response(b"a" * 50)
    made, files = extract(data[:-30] + bytes(10) + data[-20:], gaps=((len(data) - 30, 10),))
    assert files == {"s-HTTPBODY-001": b"a" * 20 + bytes(10) + b"a" * 20}
    assert made.bodies[0].problems


def test_limits(extract):
    packed = gzip.compress(bytes(10_000_000))
    made, files = extract(response(packed, HTML, GZIP))
    assert files["s-HTTPBODY-001.html.gz"] == packed
    assert len(files["s-HTTPBODY-001.html"]) == 1000 * len(packed)
    assert "become more than" in made.bodies[0].problems[0]


def test_limits_can_be_set(extract):
    _, files = extract(
        response(gzip.compress(NOISE), GZIP), limits=http_coding.Limits(most_bytes=10)
    )
    assert files["s-HTTPBODY-001"] == NOISE[:10]


def test_coding_without_its_module(extract, monkeypatch):
    monkeypatch.setattr(http_coding, "_module", lambda coding: None)
    made, files = extract(response(b"?", HTML, b"Content-Encoding: gzip, br"))
    assert files == {"s-HTTPBODY-001.html.gz.br": b"?"}
    assert "not installed" in made.bodies[0].problems[0]


def test_coding_nobody_knows(extract):
    made, files = extract(response(b"?", HTML, b"Content-Encoding: \x1b[31m/../x"))
    assert files == {"s-HTTPBODY-001.html": b"?"}
    assert "'\\x1b[31m/../x'" in made.bodies[0].problems[0]


def test_too_many_codings(extract):
    made, files = extract(response(b"?", b"Content-Encoding: " + b"gzip," * 50))
    assert list(files) == ["s-HTTPBODY-001" + ".gz" * 4]
    assert "50 codings" in made.bodies[0].problems[0]


def test_names_of_the_man_page(extract):
    packed = gzip.compress(TEXT)
    data = response(packed, HTML, GZIP) + response(b"two", HTML)
    _, files = extract(data, man_names=True)
    head = data[: data.index(packed)]
    assert files == {
        "s-HTTP": head,
        "s-HTTPBODY": packed,
        "s-HTTPBODY-GZIP": TEXT,
        "s-HTTP-002": data[len(head) + len(packed) : -3],
        "s-HTTPBODY-002": b"two",
    }


def test_man_page_names_of_what_is_damaged(extract):
    made, files = extract(response(b"junk", GZIP), man_names=True)
    assert set(files) == {"s-HTTP", "s-HTTPBODY"}
    assert [len(body.problems) for body in made.bodies] == [0, 1]
    assert "damaged" in made.bodies[1].problems[0]
    assert made.notes == []


def test_man_page_names_of_what_is_damaged_behind_its_beginning(extract):
    packed = gzip.compress(NOISE)
    made, files = extract(response(packed[:-20], GZIP), man_names=True)
    assert files["s-HTTPBODY"] == packed[:-20]
    assert NOISE.startswith(files["s-HTTPBODY-GZIP"])
    assert [(body.filename, body.problems) for body in made.bodies] == [
        ("s-HTTP", ()),
        ("s-HTTPBODY", ("kept as sent: the compressed data ends too early",)),
        ("s-HTTPBODY-GZIP", ("the compressed data ends too early",)),
    ]


def test_man_page_names_of_a_coding_nobody_knows(extract):
    made, files = extract(response(b"?", b"Content-Encoding: none-such"), man_names=True)
    assert set(files) == {"s-HTTP", "s-HTTPBODY"}
    assert "'none-such' cannot be undone" in made.bodies[1].problems[0]


def test_man_page_names_of_what_is_to_be_left_encoded(extract):
    data = response(b"?", b"Content-Encoding: none-such")
    made, files = extract(data, man_names=True, decompress=False)
    assert set(files) == {"s-HTTP", "s-HTTPBODY"}
    assert [body.problems for body in made.bodies] == [(), ()]


def test_problem_of_a_message_without_a_file_is_a_note(extract):
    made, files = extract(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
    assert files == {}
    assert made.notes == ["HTTP response 1: 9 of its 9 bytes are not there"]
    assert made.unread == made.notes


def test_problem_of_a_message_that_has_no_body_lacks_nothing(extract):
    made, _ = extract(b"HTTP/1.1 304 X\r\nno field\r\n\r\n")
    assert "repaired" in made.notes[0]
    assert made.unread == []


def test_what_is_not_read_is_a_note(extract):
    made, _ = extract(response(b"x") + b"garbage\r\n")
    assert "what follows, 9 bytes from" in made.notes[0]
    assert made.unread == made.notes


def test_what_is_not_read_between_messages_is_a_note(extract):
    data = response(b"x")
    made, files = extract(data + b"garbage\r\n" + response(b"y"))
    assert sorted(files.values()) == [b"x", b"y"]
    assert f"in between, 9 bytes from {len(data)} on, is not read as HTTP" in made.notes[0]
    assert made.unread == made.notes
    assert "guessed" in made.bodies[1].problems[0]


def test_number_of_bodies_is_limited(extract, monkeypatch):
    monkeypatch.setattr(bodies, "MOST_BODIES", 3)
    made, files = extract(response(b"x") * 5)
    assert len(files) == 3
    assert "no more than 3" in made.notes[0]


def test_notes_are_limited():
    made = bodies.Extracted()
    for number in range(bodies.MOST_NOTES + 5):
        made.note(str(number))
    assert len(made.notes) == bodies.MOST_NOTES + 1
    assert "left out" in made.notes[-1]


def test_what_is_told_as_unread_is_limited():
    made = bodies.Extracted()
    for number in range(bodies.MOST_UNREAD + 5):
        made.lack(str(number))
    assert len(made.unread) == bodies.MOST_UNREAD
    assert len(made.notes) == bodies.MOST_UNREAD + 5


def test_file_that_cannot_be_made_is_told(tmp_path):
    tmp_path.joinpath("d").mkdir()
    fd = os.open(tmp_path / "d", os.O_RDONLY)
    tmp_path.joinpath("d").rmdir()
    (made,) = Extractor(OutDir(fd)).extract([Side(response(b"x"))], ["s"])
    os.close(fd)
    assert made.failed
    assert "s-HTTPBODY-001: cannot be written" in made.notes[0]


def test_mapped_file_can_be_closed_afterwards(extract, tmp_path_factory, monkeypatch):
    monkeypatch.setattr(bodies, "_RELIEF_BYTES", 1 << 20)
    path = tmp_path_factory.mktemp("in") / "stream"
    body = NOISE * 60
    path.write_bytes(response(body) + response(gzip.compress(NOISE), GZIP))
    with open(path, "rb") as file:
        data = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
    _, files = extract(data)
    assert files == {"s-HTTPBODY-001": body, "s-HTTPBODY-002": NOISE}
    data.close()
