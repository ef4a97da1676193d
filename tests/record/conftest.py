"""What the tests of the recorder share: a log directory to record into."""

from collections.abc import Iterator

import pytest

from .bench import Bench
from .fakes import Clock


@pytest.fixture
def bench() -> Iterator[Bench]:
    with Bench() as made:
        yield made


@pytest.fixture
def clock(bench: Bench) -> Clock:
    """The clock that the recorder in the bench lives by."""
    return bench.clock
