"""What tests of readers share."""

import threading
from collections.abc import Iterator

import pytest

from daemonlogger_py.readers.inputs.stopping import Stopping


@pytest.fixture
def stopping() -> Iterator[Stopping]:
    """Something to stop, which nobody has requested yet."""
    with Stopping() as made:
        yield made
        for thread in threading.enumerate():
            if isinstance(thread, threading.Timer) and thread.function == made.request:
                thread.join()  # it may still be at it
