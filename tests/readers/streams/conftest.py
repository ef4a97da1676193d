"""bench/, whose generator knows the truth about its captures, is not installed with the package."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemonlogger_py.readers import stalls
from daemonlogger_py.readers.inputs.stopping import Stopping

ROOT = str(Path(__file__).resolve().parents[3])
if ROOT not in sys.path:
    # Last: the package under test is the installed one, also in what other tests start.
    sys.path.append(ROOT)


@pytest.fixture
def stopping() -> Iterator[Stopping]:
    """Something to stop, which nobody has requested yet."""
    with Stopping() as made:
        yield made


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Readers that take nothing are given little time."""
    monkeypatch.setattr(stalls, "PATIENCE_S", 0.3)
