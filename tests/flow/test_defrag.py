"""IP datagrams come out as they were cut, whatever way their fragments take; hostile ones do not.

The rules are tested on the defragmenter alone; that the engine uses it, with packets of both
families, is at the end.
"""

import itertools
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemonlogger_py.flow.collector import Collector
from daemonlogger_py.flow.defrag import Defragmenter, Fragments
from daemonlogger_py.flow.engine import Engine
from daemonlogger_py.flow.events import Data

from .segments import ETHERNET, Side, cut, pieces, records, timed

SECOND_NS = 10**9
V4 = (ip_address("10.0.0.1").packed, ip_address("10.0.0.2").packed)
V6 = (ip_address("2001:db8::1").packed, ip_address("2001:db8::2").packed)
FAMILIES = pytest.mark.parametrize("addresses", [V4, V6], ids=["ipv4", "ipv6"])

Piece = tuple[int, bytes, bool]
Datagram = tuple[bytes, int, int]


def take(
    defragmenter: Defragmenter,
    fragments: list[Piece],
    addresses: tuple[bytes, bytes] = V4,
    *,
    protocol: int = 17,
    identification: int = 7,
    time_ns: int = 0,
) -> list[Datagram]:
    """What the defragmenter gives for these, without its refusals."""
    given = [
        defragmenter.fragment(
            *addresses, protocol, identification, offset, more, data, time_ns=time_ns
        )
        for offset, data, more in fragments
    ]
    return [datagram for datagram in given if datagram is not None]


def numbered(count: int) -> bytes:
    """Bytes of which no two runs are alike at any multiple of 8."""
    return bytes((index // 8 * 37 + index) % 251 for index in range(count))


def counted(defragmenter: Defragmenter) -> dict[str, int]:
    """What was counted, without zeros, memory and the fragments themselves."""
    counters = defragmenter.counters()._asdict()
    for name in ("fragments", "held_bytes", "peak_bytes"):
        del counters[name]
    return {name: count for name, count in counters.items() if count}


@st.composite
def cut_datagrams(draw: st.DrawFn, most_bytes: int = 2000) -> tuple[bytes, list[Piece]]:
    """A datagram and its fragments, at least two."""
    payload = draw(st.binary(min_size=9, max_size=most_bytes))
    inside = (len(payload) - 1) // 8
    cuts = draw(st.sets(st.integers(1, inside), min_size=1, max_size=40))
    return payload, pieces(payload, [at * 8 for at in cuts])


@FAMILIES
@given(case=cut_datagrams(), data=st.data())
def test_any_order_and_duplication_gives_the_datagram(
    addresses: tuple[bytes, bytes], case: tuple[bytes, list[Piece]], data: st.DataObject
) -> None:
    payload, fragments = case
    again = data.draw(st.lists(st.sampled_from(fragments), max_size=10))
    defragmenter = Defragmenter()

    given = take(defragmenter, data.draw(st.permutations([*fragments, *again])), addresses)

    assert given == [(payload, len(payload), 17)]
    assert set(counted(defragmenter)) <= {"completed", "duplicate"}


@given(case=cut_datagrams(400), data=st.data())
def test_ipv4_takes_the_same_bytes_cut_in_several_ways(
    case: tuple[bytes, list[Piece]], data: st.DataObject
) -> None:
    payload, fragments = case
    otherwise = data.draw(st.sets(st.integers(1, (len(payload) - 1) // 8), max_size=40))
    others = pieces(payload, [at * 8 for at in otherwise])
    others = [piece for piece in others if piece[0] or piece[2]]
    defragmenter = Defragmenter()

    given = take(defragmenter, data.draw(st.permutations([*fragments, *others])))

    assert given == [(payload, len(payload), 17)]
    assert "pending" not in counted(defragmenter)


@given(cases=st.lists(cut_datagrams(200), min_size=2, max_size=6), data=st.data())
def test_datagrams_do_not_mix(cases: list[tuple[bytes, list[Piece]]], data: st.DataObject) -> None:
    tagged = [
        (number, fragment) for number, (_, fragments) in enumerate(cases) for fragment in fragments
    ]
    defragmenter = Defragmenter()
    given = {}

    for number, fragment in data.draw(st.permutations(tagged)):
        for datagram in take(defragmenter, [fragment], identification=number):
            given[number] = datagram[0]

    assert given == {number: payload for number, (payload, _) in enumerate(cases)}
    assert counted(defragmenter) == {"completed": len(cases)}
    take(defragmenter, [(0, b".", False)], time_ns=31 * SECOND_NS)
    assert defragmenter.counters().held_bytes == 0


@FAMILIES
@given(
    fragments=st.lists(
        st.tuples(
            st.integers(0, 8191).map(lambda at: at * 8),
            st.binary(max_size=80),
            st.booleans(),
            st.integers(0, 2),
        ),
        max_size=60,
    )
)
def test_every_fragment_is_accounted_for(
    addresses: tuple[bytes, bytes], fragments: list[tuple[int, bytes, bool, int]]
) -> None:
    defragmenter = Defragmenter()

    for offset, data, more, identification in fragments:
        take(defragmenter, [(offset, data, more)], addresses, identification=identification)

    counters = defragmenter.counters()
    assert counters.fragments == len(fragments)
    refused = sum(counters[counters._fields.index("empty") : counters._fields.index("timed_out")])
    assert counters.atomic + refused <= len(fragments)
    assert counters.peak_bytes <= len(fragments) * (80 + 600)


@pytest.mark.parametrize(("addresses", "most"), [(V4, 65515), (V6, 65535)], ids=["ipv4", "ipv6"])
def test_longest_datagram(addresses: tuple[bytes, bytes], most: int) -> None:
    payload = numbered(most)
    defragmenter = Defragmenter()

    given = take(defragmenter, pieces(payload, range(8, most, 8))[::-1], addresses)

    assert given == [(payload, most, 17)]


@pytest.mark.parametrize(("addresses", "most"), [(V4, 65515), (V6, 65535)], ids=["ipv4", "ipv6"])
def test_ping_of_death(addresses: tuple[bytes, bytes], most: int) -> None:
    offset = most // 8 * 8
    defragmenter = Defragmenter()

    assert take(defragmenter, [(offset, bytes(most - offset + 1), False)], addresses) == []
    assert take(defragmenter, [(0xFFFFFFF8, bytes(16), False)], addresses) == []
    assert counted(defragmenter) == {"oversize": 2}


def test_teardrop() -> None:
    # A second and last fragment that ends inside the first one.
    defragmenter = Defragmenter()

    assert take(defragmenter, [(0, numbered(40), True), (24, bytes(4), False)]) == []
    assert counted(defragmenter) == {"contradictory": 1, "disputed": 1, "pending": 1}


def test_ipv4_bytes_that_came_first_stay() -> None:
    defragmenter = Defragmenter()

    given = take(defragmenter, [(8, b"B" * 16, True), (0, b"a" * 32, True), (32, b"c", False)])

    assert given == [(b"a" * 8 + b"B" * 16 + b"a" * 8 + b"c", 33, 17)]
    assert counted(defragmenter) == {"completed": 1, "overlapping": 1, "disputed": 1}


def test_ipv4_bytes_that_overlap_and_are_the_same_are_not_in_doubt() -> None:
    defragmenter = Defragmenter()

    assert take(defragmenter, [(0, b"a" * 16, True), (8, b"a" * 12, False)])
    assert counted(defragmenter) == {"completed": 1, "overlapping": 1}


def test_ipv4_other_content_at_the_same_place_is_no_duplicate() -> None:
    defragmenter = Defragmenter()

    given = take(
        defragmenter,
        [(0, b"first111", True), (0, b"first111", True), (0, b"second22", True), (8, b".", False)],
    )

    assert given == [(b"first111.", 9, 17)]
    assert counted(defragmenter) == {
        "completed": 1,
        "duplicate": 1,
        "overlapping": 1,
        "disputed": 1,
    }


@FAMILIES
def test_a_copy_behind_its_datagram_is_no_part_of_the_next(
    addresses: tuple[bytes, bytes],
) -> None:
    first: list[Piece] = [(0, b"a" * 8, True), (8, b"a" * 8, False)]
    second: list[Piece] = [(0, b"b" * 8, True), (8, b"b" * 8, False)]
    defragmenter = Defragmenter()

    given = take(defragmenter, [*first, first[1], *second, *second, *first[::-1]], addresses)

    assert [datagram[0] for datagram in given] == [b"a" * 16, b"b" * 16, b"a" * 16]
    assert counted(defragmenter) == {"completed": 3, "duplicate": 3}


@pytest.mark.parametrize(
    "fragment",
    [
        pytest.param((8, b"b" * 8, False), id="other content"),
        pytest.param((8, b"a" * 8, True), id="more to follow"),
        pytest.param((8, b"a" * 7, False), id="another end"),
        pytest.param((16, b"a", False), id="behind the end"),
    ],
)
def test_what_is_no_copy_begins_the_next_datagram(fragment: Piece) -> None:
    defragmenter = Defragmenter()
    take(defragmenter, [(0, b"a" * 8, True), (8, b"a" * 8, False)])

    assert take(defragmenter, [fragment]) == []
    assert counted(defragmenter) == {"completed": 1, "pending": 1}


def test_a_datagram_is_remembered_for_its_time() -> None:
    fragments: list[Piece] = [(0, b"a" * 8, True), (8, b"a" * 8, False)]
    defragmenter = Defragmenter()
    take(defragmenter, fragments)

    assert take(defragmenter, fragments, time_ns=30 * SECOND_NS) == []
    assert len(take(defragmenter, fragments, time_ns=31 * SECOND_NS)) == 1
    assert counted(defragmenter) == {"completed": 2, "duplicate": 2}


def test_what_is_remembered_goes_before_what_waits() -> None:
    waiting: Piece = (8, bytes(1400), True)
    defragmenter = Defragmenter(memory_bytes=300_000)
    take(defragmenter, [waiting], identification=70_000)
    for identification in range(3000):
        fragments: list[Piece] = [(0, bytes(1400), True), (1400, b".", False)]
        assert len(take(defragmenter, fragments, identification=identification)) == 1

    assert counted(defragmenter) == {"completed": 3000, "pending": 1}
    assert defragmenter.counters().held_bytes <= 300_000


def test_no_more_is_remembered_than_copies_need() -> None:
    fragments: list[Piece] = [(0, b"a" * 8, True), (8, b".", False)]
    defragmenter = Defragmenter()
    for identification in range(3000):
        take(defragmenter, fragments, identification=identification)

    assert defragmenter.counters().held_bytes < 1024 * 400


@pytest.mark.parametrize(
    "overlap",
    [
        pytest.param((0, b"b" * 16, True), id="longer"),
        pytest.param((0, b"b" * 8, True), id="other content"),
        pytest.param((8, b"a" * 8, True), id="a part, the same bytes"),
    ],
)
def test_ipv6_datagram_with_an_overlap_is_given_up(overlap: Piece) -> None:
    # RFC 5722, 4: with all its fragments, those to come included.
    defragmenter = Defragmenter()
    first: list[Piece] = [(0, b"a" * 8, True)] if overlap[0] == 0 else [(0, b"a" * 16, True)]

    given = take(
        defragmenter, [*first, overlap, (16, b"end", False), *first, (8, b"a" * 8, True)], V6
    )

    assert given == []
    assert counted(defragmenter) == {"overlapping": 1, "refused": 3, "overlapped": 1}


def test_ipv6_given_up_datagram_is_forgotten_in_time() -> None:
    defragmenter = Defragmenter()
    fragments: list[Piece] = [(0, b"a" * 8, True), (8, b"b", False)]
    take(defragmenter, [fragments[0], (0, b"c" * 8, True)], V6)

    assert take(defragmenter, fragments, V6, time_ns=60 * SECOND_NS) == []
    assert take(defragmenter, fragments, V6, time_ns=61 * SECOND_NS) == [(b"aaaaaaaab", 9, 17)]


def test_ipv6_protocol_is_what_the_first_fragment_says() -> None:
    # RFC 8200, 4.5: the others' next header is not looked at.
    defragmenter = Defragmenter()

    assert take(defragmenter, [(8, b"b" * 8, True)], V6, protocol=1) == []
    assert take(defragmenter, [(0, b"a" * 8, True)], V6, protocol=6) == []
    assert take(defragmenter, [(16, b"c", False)], V6, protocol=2) == [
        (b"aaaaaaaabbbbbbbbc", 17, 6)
    ]


def test_ipv4_protocol_is_part_of_what_tells_datagrams_apart() -> None:
    defragmenter = Defragmenter()

    assert take(defragmenter, [(0, b"a" * 8, True)], protocol=6) == []
    assert take(defragmenter, [(8, b"b", False)], protocol=17) == []
    assert counted(defragmenter) == {"pending": 2}


@FAMILIES
def test_each_part_of_the_key_counts(addresses: tuple[bytes, bytes]) -> None:
    source, destination = addresses
    third = bytes(len(source) - 1) + b"\x09"
    defragmenter = Defragmenter()

    take(defragmenter, [(0, b"a" * 8, True)], addresses)
    for other in [(third, destination), (source, third), (destination, source)]:
        assert take(defragmenter, [(8, b"b", False)], other) == []
    assert take(defragmenter, [(8, b"b", False)], addresses, identification=8) == []
    assert take(defragmenter, [(8, b"b", False)], addresses) == [(b"aaaaaaaab", 9, 17)]


@FAMILIES
def test_atomic_fragment_passes_beside_others(addresses: tuple[bytes, bytes]) -> None:
    # RFC 6946.
    defragmenter = Defragmenter()
    take(defragmenter, [(8, b"b", False)], addresses)

    assert take(defragmenter, [(0, b"whole", False)], addresses) == [(b"whole", 5, 17)]
    assert take(defragmenter, [(0, b"a" * 8, True)], addresses) == [(b"aaaaaaaab", 9, 17)]
    assert counted(defragmenter) == {"atomic": 1, "completed": 1}


@FAMILIES
def test_what_is_no_part_of_a_datagram(addresses: tuple[bytes, bytes]) -> None:
    defragmenter = Defragmenter()

    take(defragmenter, [(8, b"", True), (8, b"", False), (0, b"seven77", True)], addresses)

    assert counted(defragmenter) == {"empty": 2, "misaligned": 1}
    assert defragmenter.counters().held_bytes == 0


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param((16, b"behind", False), id="behind the end"),
        pytest.param((0, b"a" * 24, True), id="over the end"),
        pytest.param((8, b"end", False), id="an earlier end"),
        pytest.param((8, b"b" * 8, True), id="the end, and more to follow"),
    ],
)
def test_contradiction_to_the_end(wrong: Piece) -> None:
    fragments: list[Piece] = [(8, b"b" * 8, False), wrong, (0, b"a" * 8, True)]
    ipv4 = Defragmenter()
    ipv6 = Defragmenter()

    assert take(ipv4, fragments) == [(b"a" * 8 + b"b" * 8, 16, 17)]
    assert counted(ipv4) == {"contradictory": 1, "disputed": 1, "completed": 1}
    assert take(ipv6, fragments, V6) == []
    assert counted(ipv6) == {"contradictory": 1, "refused": 1, "overlapped": 1}


def test_end_where_more_was_said_to_follow() -> None:
    defragmenter = Defragmenter()

    given = take(
        defragmenter,
        [(8, b"b" * 8, True), (8, b"b" * 8, False), (0, b"a" * 8, True), (16, b".", False)],
    )

    assert given == [(b"a" * 8 + b"b" * 8 + b".", 17, 17)]
    assert counted(defragmenter) == {"contradictory": 1, "disputed": 1, "completed": 1}


def test_what_was_not_captured_of_a_new_part_is_not_made_up() -> None:
    # Bytes [8, 16) came first; of the fragment around them, less was captured than is before it.
    defragmenter = Defragmenter()
    fragment = defragmenter.fragment

    assert fragment(*V4, 6, 1, 8, True, b"b" * 8) is None
    assert fragment(*V4, 6, 1, 0, True, b"aaaa", length=24) is None
    # Nothing is known of [16, 24), so nothing is other in this.
    assert fragment(*V4, 6, 1, 16, True, b"c" * 8) is None
    assert fragment(*V4, 6, 1, 24, False, b"d") == (b"aaaa", 25, 6)
    assert counted(defragmenter) == {"completed": 1, "cut": 1, "overlapping": 1, "duplicate": 1}


@FAMILIES
def test_captured_in_part(addresses: tuple[bytes, bytes]) -> None:
    defragmenter = Defragmenter()
    given = [
        defragmenter.fragment(*addresses, 6, 1, 16, False, b"cc", length=5),
        defragmenter.fragment(*addresses, 6, 1, 8, True, b"bbb", length=8),
        defragmenter.fragment(*addresses, 6, 1, 0, True, b"a" * 8),
    ]

    assert given == [None, None, (b"aaaaaaaabbb", 21, 6)]
    assert counted(defragmenter) == {"completed": 1, "cut": 1}


@FAMILIES
def test_nothing_captured(addresses: tuple[bytes, bytes]) -> None:
    defragmenter = Defragmenter()

    assert defragmenter.fragment(*addresses, 6, 1, 0, True, b"", length=8) is None
    assert defragmenter.fragment(*addresses, 6, 1, 8, False, b"b") == (b"", 9, 6)
    assert defragmenter.fragment(*addresses, 6, 1, 0, False, b"", length=8) == (b"", 8, 6)


@pytest.mark.parametrize(
    ("addresses", "timeout_ns", "limit_ns"),
    [
        (V4, None, 30 * SECOND_NS),
        (V6, None, 60 * SECOND_NS),
        (V4, 5, 5),
        (V6, 5, 5),
    ],
)
def test_time_is_counted_from_the_fragment_that_came_first(
    addresses: tuple[bytes, bytes], timeout_ns: int | None, limit_ns: int
) -> None:
    first: list[Piece] = [(8, b"b" * 8, True), (16, b"c", False)]
    last: list[Piece] = [(0, b"a" * 8, True)]
    begin = 10**18

    in_time = Defragmenter(timeout_ns=timeout_ns)
    take(in_time, first[:1], addresses, time_ns=begin)
    take(in_time, first[1:], addresses, time_ns=begin + limit_ns // 2)
    assert len(take(in_time, last, addresses, time_ns=begin + limit_ns)) == 1

    too_late = Defragmenter(timeout_ns=timeout_ns)
    take(too_late, first[:1], addresses, time_ns=begin)
    take(too_late, first[1:], addresses, time_ns=begin + limit_ns // 2)
    assert take(too_late, last, addresses, time_ns=begin + limit_ns + 1) == []
    assert counted(too_late) == {"timed_out": 1, "pending": 1}


def test_time_that_goes_back_ends_nothing() -> None:
    defragmenter = Defragmenter()

    take(defragmenter, [(0, b"a" * 8, True)], time_ns=10**18)

    assert len(take(defragmenter, [(8, b"b", False)], time_ns=1)) == 1


def test_ipv4_behind_ipv6_is_timed_out_all_the_same() -> None:
    # The list is by the time of the first fragment, and the older one has the longer time.
    defragmenter = Defragmenter()
    take(defragmenter, [(0, b"a" * 8, True)], V6)
    take(defragmenter, [(0, b"a" * 8, True)], V4)

    assert take(defragmenter, [(8, b"b", False)], V4, time_ns=31 * SECOND_NS) == []
    assert take(defragmenter, [(8, b"b", False)], V6, time_ns=31 * SECOND_NS) != []
    assert counted(defragmenter) == {"timed_out": 1, "completed": 1, "pending": 1}


def test_oldest_goes_when_there_are_too_many() -> None:
    defragmenter = Defragmenter(max_datagrams=3)
    for identification in range(5):
        take(defragmenter, [(0, b"a" * 8, True)], identification=identification)

    whole = [
        identification
        for identification in (4, 3, 2)
        if take(defragmenter, [(8, b"b", False)], identification=identification)
    ]

    assert whole == [4, 3, 2]
    assert counted(defragmenter) == {"evicted": 2, "completed": 3}


def test_memory_is_bounded() -> None:
    defragmenter = Defragmenter(memory_bytes=300_000)
    for identification in range(1000):
        take(defragmenter, [(8, bytes(1400), True)], identification=identification)

    counters = defragmenter.counters()
    assert counters.held_bytes <= 300_000
    assert counters.peak_bytes <= 300_000 + 2 * 1400
    assert counters.pending + counters.evicted == 1000
    assert 150 < counters.pending < 210
    assert take(defragmenter, [(0, bytes(8), True), (1408, b".", False)], identification=999)


@pytest.mark.parametrize("offset", [8, 30000, 65000])
def test_memory_grows_with_bytes_not_with_offsets(offset: int) -> None:
    defragmenter = Defragmenter()

    for identification in range(1000):
        take(defragmenter, [(offset, bytes(8), True)], identification=identification)

    assert defragmenter.counters().held_bytes < 1000 * 400


def test_the_worst_datagram_fits_into_the_least_memory() -> None:
    # 65512 bytes in fragments of 8, every second one first: as many pieces as there can be.
    payload = numbered(65515)
    fragments = pieces(payload, range(8, len(payload), 8))
    defragmenter = Defragmenter(memory_bytes=262_144, max_datagrams=1)

    given = take(defragmenter, [*fragments[1::2], *fragments[::2]])

    assert given == [(payload, len(payload), 17)]
    assert counted(defragmenter) == {"completed": 1}


@pytest.mark.parametrize(
    "wrong",
    [
        {"memory_bytes": 262_143},
        {"max_datagrams": 0},
        {"max_datagrams": (1 << 24) + 1},
    ],
)
def test_limits_that_hold_nothing_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Defragmenter(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("source", "destination", "length"),
    [(b"abc", b"abc", None), (V4[0], V6[0], None), (V4[0], V4[1], 1)],
)
def test_fields_that_no_packet_has(source: bytes, destination: bytes, length: int | None) -> None:
    with pytest.raises(ValueError, match=r"addresses|length"):
        Defragmenter().fragment(source, destination, 6, 1, 0, True, bytes(8), length=length)


def test_nothing_happened_yet() -> None:
    assert Defragmenter().counters() == Fragments(*[0] * len(Fragments._fields))


SIDES = pytest.mark.parametrize(
    "side",
    [
        Side(),
        Side(address="2001:db8::1", peer_address="2001:db8::2"),
        Side(address="2001:db8::1", peer_address="2001:db8::2", vlans=(7, 42)),
        Side(pad=True),
    ],
    ids=["ipv4", "ipv6", "ipv6 in vlans", "padded"],
)


@SIDES
def test_engine_puts_segments_together(side: Side) -> None:
    payload = numbered(3000)

    for order in itertools.permutations(side.fragmented(0, payload, [24, 1480])):
        collector = Collector()
        engine = Engine(collector)
        engine.feed(records(timed([side.syn(), *order, side.rst(3000)])), ETHERNET)
        assert [event.data for event in collector.take() if isinstance(event, Data)] == [payload]


@SIDES
def test_engine_takes_what_was_captured_of_a_cut_fragment(side: Side) -> None:
    payload = numbered(3000)
    collector = Collector()
    engine = Engine(collector)
    first, second = side.fragmented(0, payload, [1480])
    headers = len(first) - 1480

    engine.feed(records(cut(record, headers + 700) for record in timed([second, first])), ETHERNET)
    engine.finish()

    (data,) = (event.data for event in collector.take() if isinstance(event, Data))
    assert data == payload[: 700 - 20]
