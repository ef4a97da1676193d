"""What an input says of how it ended, by a source that the test makes up."""

from types import SimpleNamespace
from typing import Any

import pytest

from daemonlogger_py.engine.protocol import NEVER_NS, Counters, Stop
from daemonlogger_py.errors import SourceError
from daemonlogger_py.readers.inputs.capture import Complaint, Input, failure_of
from daemonlogger_py.savefile.names import printable


class Source(SimpleNamespace):
    def __init__(self, **given: Any) -> None:
        known = {
            "linktype": 1, "nanosecond": True, "file_header": b"h" * 24, "live": False,
            "record_bytes": 100, "failure": None, "drops": 0, "closed": 0, "reason": Stop.END,
        }  # fmt: skip
        super().__init__(**(known | given))

    def fill(self, *budgets: Any) -> int:
        self.budgets = budgets
        return int(self.reason)

    def counters(self) -> Counters:
        return Counters(5, self.drops, 0)

    def close(self) -> None:
        self.closed += 1


def made(source: Source, failure: Exception | None = None, **given: Any) -> Input:
    feed: Any = SimpleNamespace(failure=failure, close=lambda: None)
    return Input("x", source, feed=feed, **given)  # type: ignore[arg-type]


def test_fill_has_no_budget_but_the_time_that_was_asked_for() -> None:
    source = Source(reason=Stop.TIME)
    input_ = made(source, until_ns=77)
    assert not input_.passed
    assert input_.fill("buffer", 5) is Stop.TIME  # type: ignore[arg-type]
    assert input_.passed
    buffer, bytes_left, packets_left, until_ns, hold_ns, deadline_ns = source.budgets
    assert (buffer, until_ns, hold_ns, deadline_ns) == ("buffer", 77, 5, NEVER_NS)
    assert min(bytes_left, packets_left) > 1 << 60


def test_a_whole_input_ends_without_a_word() -> None:
    assert made(Source()).ending(Stop.END) is None
    assert made(Source()).ending(Stop.TIME) is None


@pytest.mark.parametrize("reason", [Stop.DAMAGED, Stop.FAILED])
def test_a_failure_is_told_in_the_sources_words(reason: Stop) -> None:
    source = Source(failure="x is damaged at byte offset 24: too long")
    assert made(source).ending(reason) == Complaint("x is damaged at byte offset 24: too long")
    assert made(source, growing=True).ending(reason) == made(source).ending(reason)


@pytest.mark.parametrize(
    "failure",
    [
        "x is damaged at byte offset 24: a record of 90 bytes is cut short after 7",
        "x is damaged at byte offset 24: truncated dump file; tried to read 3, only got 1",
    ],
)
def test_what_is_being_written_may_end_in_a_record(failure: str) -> None:
    assert made(Source(failure=failure)).ending(Stop.DAMAGED) == Complaint(failure)
    complaint = made(Source(failure=failure), growing=True).ending(Stop.DAMAGED)
    assert complaint is not None
    assert not complaint.failed
    assert complaint.text.startswith(failure)


@pytest.mark.parametrize("reason", [Stop.END, Stop.DAMAGED])
@pytest.mark.parametrize(
    "error", [SourceError("the gzip data is cut short"), OSError(5, "the gzip data is cut short")]
)
def test_what_made_it_is_told_rather_than_what_it_led_to(error: Exception, reason: Stop) -> None:
    input_ = made(Source(failure="x is damaged"), error)
    assert input_.ending(reason) == Complaint("x: the gzip data is cut short")


def test_an_error_of_ones_own_is_not_hidden() -> None:
    with pytest.raises(TypeError):
        made(Source(), TypeError()).ending(Stop.END)
    with pytest.raises(TypeError):
        failure_of("x", TypeError())


def test_drops_are_told() -> None:
    assert made(Source(drops=3)).ending(Stop.END) == Complaint(
        "x: 3 packets were dropped by the kernel", failed=False
    )


def test_names_that_a_terminal_would_obey_are_not_shown_as_they_are() -> None:
    assert printable("a b ü") == "a b ü"
    assert printable("a\x1b[2J\n") == r"'a\x1b[2J\n'"
    assert printable("\udcff") == r"'\udcff'"
