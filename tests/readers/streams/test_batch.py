"""What a batch tells of the streams that were closed in it."""

from tests.flow.segments import ACK, SYN, Side
from tests.readers.streams.stored import Stored

CLIENT = Side(vlans=(7, 42))
SERVER = CLIENT.peer()


def test_facts_are_those_of_the_stream(tmp_path):
    frames = [
        CLIENT.syn(),
        SERVER.syn(flags=SYN | ACK),
        SERVER.sends(0, b"abcd"),
        SERVER.sends(2, b"cd"),
        SERVER.fin(4),
    ]
    stored = Stored(tmp_path, frames)
    server, client = stored.facts

    assert (server.source, server.source_port) == ("10.0.0.2", 80)
    assert (server.destination, server.destination_port) == ("10.0.0.1", 40000)
    assert (server.name, server.vlans) == (
        "010.000.000.002.00080-010.000.000.001.40000--7.42",
        (7, 42),
    )
    assert (server.first_ns, server.last_ns) == (10**18 + 1_000_000, 10**18 + 4_000_000)
    assert (server.packets, server.retransmissions, server.why) == (4, 1, "fin")
    assert server.length_bytes == server.captured_bytes == sum(map(len, frames[1:]))
    assert (client.name, client.why, client.other_open) == (None, "end", False)


def test_rows_are_those_of_the_facts_and_the_end_of_each(tmp_path):
    stored = Stored(tmp_path, [CLIENT.syn(), CLIENT.sends(0, b"x"), SERVER.sends(5, b"y")])
    rows = b"".join(batch.rows(b"out/", with_gaps=False) for batch in stored.batches)
    heads = [fact.row for batch in stored.batches for fact in batch.facts(b"out/", with_gaps=False)]

    assert len(heads) == 2
    assert rows == b"".join(head + b"    </fileobject>\n" for head in heads)
    assert b"<filename>out/010.000.000.001.40000-" in rows


def test_ipv6_addresses_are_text(tmp_path):
    side = Side(address="2001:db8::1", peer_address="::ffff:1.2.3.4")
    (fact,) = Stored(tmp_path, [side.syn()]).facts

    assert (fact.source, fact.destination) == ("2001:db8::1", "::ffff:1.2.3.4")


def test_an_empty_batch_tells_nothing(tmp_path):
    stored = Stored(tmp_path, [CLIENT.sends(0)])

    assert stored.facts == []
    assert [batch.rows(b"", with_gaps=True) for batch in stored.batches] == [b"", b""]
