"""What becomes of frames: facts of the streams that an engine makes of them."""

from daemonlogger_py.flow.engine import Engine
from daemonlogger_py.readers.streams.store import Store
from tests.flow.segments import ETHERNET, records, timed


def closed(frames, *, step_ns=1_000_000, feeds=1, **options):
    """(facts of the streams, engine) of frames fed in so many feeds."""
    store = Store(store=False)
    engine = Engine(store, **options)
    items = timed(frames, step_ns=step_ns)
    size = -(-len(items) // feeds)
    for begin in range(0, len(items), size):
        engine.feed(records(items[begin : begin + size]), ETHERNET)
    engine.finish()
    return store.take().facts(b"", with_gaps=False), engine


def facts(frames, **options):
    return closed(frames, **options)[0]
