"""When streams end, what of a flow is remembered, and the limits that are kept."""

import pytest

from daemonlogger_py.flow.engine import LINGER_FLOWS, LINGER_NS, Engine
from daemonlogger_py.readers.streams.store import Store
from tests.flow.segments import (
    ACK,
    ETHERNET,
    SYN,
    Side,
    records,
    timed,
)
from tests.flow.told import closed, facts

CLIENT = Side()
SERVER = CLIENT.peer()


def test_what_is_open_at_the_end_is_closed_by_and_by():
    store = Store(store=False)
    engine = Engine(store)
    engine.feed(records(timed([Side(port=port).syn() for port in range(1, 8)])), ETHERNET)
    ports = []
    rounds = 0
    while not engine.finish(3):
        rounds += 1
        ports += [fact.source_port for fact in store.take().facts(b"", with_gaps=False)]

    assert engine.finish()
    ports += [fact.source_port for fact in store.take().facts(b"", with_gaps=False)]
    assert (rounds, ports) == (2, [1, 2, 3, 4, 5, 6, 7])
    with pytest.raises(ValueError, match="finished"):
        engine.feed(records(timed([CLIENT.syn()])), ETHERNET)


def test_a_rst_ends_its_own_direction():
    frames = [CLIENT.syn(), SERVER.syn(flags=SYN | ACK), CLIENT.rst(0), SERVER.sends(0, b"late")]
    client, server = facts(frames)

    assert (client.why, server.why, server.stream_bytes) == ("rst", "end", 4)


def test_idle_flows_are_closed_by_capture_time():
    frames = [CLIENT.syn(), CLIENT.sends(0, b"a"), Side(port=5).syn(), CLIENT.sends(1, b"b")]
    found, engine = closed(frames, step_ns=10**9, idle_ns=15 * 10**8)

    assert [(stream.stream_bytes, stream.why) for stream in found] == [
        (1, "idle"),
        (0, "end"),
        (1, "end"),
    ]
    assert engine.counters().idle_flows == 1


def test_the_flow_that_was_idle_for_longest_makes_room():
    frames = [Side(port=port).syn() for port in (1, 2, 3)]
    frames += [Side(port=1).sends(0, b"a"), Side(port=4).syn()]
    found, engine = closed(frames, max_flows=3)

    assert [stream.source_port for stream in found] == [2, 1, 3, 4]
    assert found[0].why == "evicted"
    assert engine.counters().evicted_flows == 1


def test_memory_is_a_limit_too():
    found, engine = closed([Side(port=port).syn() for port in range(1, 100)], memory_bytes=20_000)

    assert len(found) == 99
    assert engine.counters().evicted_flows > 40


def test_memory_is_a_limit_for_flows_that_grow():
    sides = [Side(port=port) for port in range(1, 21)]
    opened = [side.syn() for side in sides]
    gaps = [side.sends(2 * turn + 1, b"x") for turn in range(512) for side in sides]
    _, roomy = closed([*opened, *gaps], memory_bytes=1 << 20)
    _, tight = closed([*opened, *gaps], memory_bytes=100_000)

    assert roomy.counters().evicted_flows == 0
    assert tight.counters().evicted_flows > 10


def test_flows_that_ended_make_room_first():
    frames = [
        Side(port=1).syn(),
        CLIENT.syn(),
        SERVER.syn(flags=SYN | ACK),
        CLIENT.fin(0),
        SERVER.fin(0),
    ]
    found, engine = closed([*frames, Side(port=3).syn()], max_flows=2)

    assert engine.counters().evicted_flows == 0
    assert [stream.why for stream in found] == ["fin", "fin", "end", "end"]


def test_what_is_left_is_closed_in_the_order_of_the_first_packets():
    ports = [9, 3, 7, 5, 1]
    frames = [Side(port=port).syn() for port in ports] + [Side(port=9).sends(0, b"x")]

    assert [stream.source_port for stream in facts(frames)] == ports


def half_reset(port=1000):
    client = Side(port=port)
    server = client.peer()
    return client, [
        client.syn(),
        server.syn(flags=SYN | ACK),
        client.sends(0, b"ask"),
        server.rst(0),
    ]


def fed(frames, *, at_ns=10**18, step_ns=1_000_000, engine=None, **options):
    if engine is None:
        engine = Engine(Store(store=False), **options)
    engine.feed(records(timed(frames, at_ns, step_ns)), ETHERNET)
    return engine


def test_what_the_other_side_sends_behind_a_reset_is_of_its_stream():
    client, frames = half_reset()
    server, found = sorted(
        facts([*frames, client.sends(3, b" and"), client.sends(7, b" go on")]),
        key=lambda fact: fact.to_server,
    )
    assert (found.stream_bytes, found.gaps, found.why) == (13, (), "end")
    assert server.why == "rst"


def test_the_other_side_of_a_reset_is_closed_when_nothing_comes_any_more():
    client, frames = half_reset()
    engine = fed(frames)
    assert engine.counters().open_streams == 1
    fed([client.sends(3, b"x")], at_ns=10**18 + LINGER_NS, engine=engine)
    fed([Side(port=7).syn()], at_ns=10**18 + 2 * LINGER_NS, engine=engine)
    assert engine.counters().open_streams == 2  # it still had a packet within the time
    fed([Side(port=7).syn()], at_ns=10**18 + 2 * LINGER_NS + 1000, engine=engine)
    assert engine.counters().open_streams == engine.counters().flows == 1
    assert engine.counters().evicted_flows == engine.counters().idle_flows == 0


def test_why_the_other_side_of_a_reset_is_closed():
    _, frames = half_reset()
    store = Store(store=False)
    engine = Engine(store)
    fed(frames, engine=engine)
    fed([Side(port=7).syn()], at_ns=10**18 + 2 * LINGER_NS, engine=engine)
    server, client = store.take().facts(b"", with_gaps=False)
    assert (server.why, server.to_server, server.other_open) == ("rst", False, True)
    assert (client.why, client.stream_bytes, client.other_open) == ("rst", 3, False)


def test_a_syn_that_is_refused_does_not_stay_open():
    client = Side()
    engine = fed([client.syn(), client.peer().rst(0)])
    assert engine.counters().open_streams == 1
    fed([Side(port=7).syn()], at_ns=10**18 + 2 * LINGER_NS, engine=engine)
    assert engine.counters().open_streams == engine.counters().flows == 1


def test_so_many_resets_are_remembered_and_no_more():
    engine = Engine(Store(store=False))
    for port in range(1000, 1000 + LINGER_FLOWS + 50):
        fed(half_reset(port)[1], engine=engine)
    assert engine.counters().flows == engine.counters().open_streams == LINGER_FLOWS
    assert engine.finish()
    assert engine.counters().open_streams == 0


def test_the_side_that_reset_may_go_on():
    client, frames = half_reset()
    server = client.peer()
    engine = fed([*frames, server.sends(0, b"no, wait"), client.sends(3, b"what?")])
    fed([Side(port=7).syn()], at_ns=10**18 + 2 * LINGER_NS, engine=engine)
    assert engine.counters().flows == 2
    assert engine.counters().open_streams == 3


def test_the_idle_time_holds_for_what_a_reset_left_open():
    _, frames = half_reset()
    engine = fed(frames, idle_ns=10**9)
    fed([Side(port=7).syn()], at_ns=10**18 + 2 * 10**9, engine=engine)
    assert engine.counters().open_streams == 1


@pytest.mark.parametrize(("idle_ns", "left"), [(0, 2), (10**9, 1)])
def test_what_is_to_be_remembered_stays_open(idle_ns, left):
    _, frames = half_reset()
    engine = fed(frames, purge=False, idle_ns=idle_ns)
    fed([Side(port=7).syn()], at_ns=10**18 + 2 * LINGER_NS, engine=engine)
    assert engine.counters().open_streams == left


def test_what_a_reset_left_open_makes_room_first():
    _, frames = half_reset()
    found, engine = closed([Side(port=7).syn(), *frames, Side(port=8).syn()], max_flows=2)
    assert [(fact.source_port, fact.why) for fact in found if fact.why != "end"] == [
        (80, "rst"),
        (1000, "rst"),
    ]
    assert engine.counters().evicted_flows == 0
