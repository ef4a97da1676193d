"""What the tests of the recorder share: log directories to record into."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from .bench import Bench
from .fakes import Clock
from .place import Place


@pytest.fixture
def bench() -> Iterator[Bench]:
    with Bench() as made:
        yield made


@pytest.fixture
def clock(bench: Bench) -> Clock:
    """The clock that the recorder in the bench lives by."""
    return bench.clock


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """The mixture to read, and an empty log directory."""
    return Place(tmp_path)
