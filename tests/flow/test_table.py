"""The table through the engine: what makes a flow, and that many of them are kept apart."""

from hypothesis import given
from hypothesis import strategies as st

from daemonlogger_py.flow.engine import Engine
from daemonlogger_py.flow.sink import Sink
from tests.flow.segments import ETHERNET, Side, records, timed


def engine_fed(frames, **options):
    engine = Engine(Sink(), **options)
    engine.feed(records(timed(frames)), ETHERNET)
    return engine


def test_more_flows_than_there_were_buckets_are_all_found_again():
    sides = [
        Side(port=1 + index % 15_000, peer_port=1 + index // 15_000) for index in range(20_000)
    ]
    frames = [side.sends(0, b"a") for side in sides]
    engine = engine_fed(frames)

    assert engine.counters().flows == 20_000
    engine.feed(records(timed([side.sends(1, b"b") for side in sides])), ETHERNET)
    assert engine.counters().flows == engine.counters().streams == 20_000


ENDS = st.tuples(
    st.sampled_from(["10.0.0.1", "10.0.0.2", "11.0.0.1"]), st.sampled_from([1, 2, 258])
)


@given(st.lists(st.tuples(ENDS, ENDS), max_size=30))
def test_a_flow_is_two_ends_whatever_the_direction(pairs):
    frames = [
        Side(address=source, port=port, peer_address=destination, peer_port=peer_port).sends(
            0, b"x"
        )
        for (source, port), (destination, peer_port) in pairs
    ]

    assert engine_fed(frames).counters().flows == len({frozenset(pair) for pair in pairs})


def test_vlan_is_no_part_of_a_flow():
    frames = [
        Side(vlans=(7,)).sends(0, b"a"),
        Side(vlans=(8,)).sends(1, b"b"),
        Side().sends(2, b"c"),
    ]

    assert engine_fed(frames).counters().streams == 1


def test_families_are_kept_apart():
    mapped = Side(address="::10.0.0.1", peer_address="::10.0.0.2")

    assert engine_fed([Side().sends(0, b"a"), mapped.sends(0, b"b")]).counters().flows == 2


def test_flows_that_ended_are_forgotten_after_a_while():
    client = Side()
    server = client.peer()
    ended = [client.syn(), server.syn(flags=18), client.fin(0), server.fin(0)]
    later = Side(port=9).syn()
    span_ns = 250 * 10**9
    engine = Engine(Sink())
    engine.feed(records(timed(ended)), ETHERNET)
    assert engine.counters().flows == 1
    engine.feed(records([(10**18 + span_ns, later)]), ETHERNET)

    assert engine.counters().flows == 1


def test_flows_that_ended_are_kept_if_asked_for():
    client = Side()
    server = client.peer()
    ended = [client.syn(), server.syn(flags=18), client.fin(0), server.fin(0)]
    engine = engine_fed(ended, purge=False)
    engine.feed(records([(10**18 + 10**15, Side(port=9).syn())]), ETHERNET)

    assert engine.counters().flows == 2


def test_no_more_than_so_many_ended_flows_are_kept():
    frames = []
    for port in range(1, 10_101):
        client = Side(port=port)
        server = client.peer()
        frames += [client.syn(), server.syn(flags=18), client.fin(0), server.fin(0)]
    engine = Engine(Sink())
    engine.feed(records(timed(frames, step_ns=1000)), ETHERNET)

    assert engine.counters().flows == 10_000
    assert engine.counters().evicted_flows == 0
