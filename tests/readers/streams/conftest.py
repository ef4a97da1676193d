"""bench/, whose generator knows the truth about its captures, is not installed with the package."""

import sys
from pathlib import Path

import pytest

from daemonlogger_py.readers import stalls

ROOT = str(Path(__file__).resolve().parents[3])
if ROOT not in sys.path:
    # Last: the package under test is the installed one, also in what other tests start.
    sys.path.append(ROOT)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Readers that take nothing are given little time."""
    monkeypatch.setattr(stalls, "PATIENCE_S", 0.3)
