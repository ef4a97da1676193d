"""The contract is one: what native code is compiled with, and what the sources have."""

import inspect
import re
from pathlib import Path

import pytest

from daemonlogger_py.engine import protocol
from daemonlogger_py.engine.live import LiveSource
from daemonlogger_py.engine.offline import FileSource
from daemonlogger_py.engine.protocol import NEVER_NS, Counters, Source, Stop

from ..pcaps import make
from ..record.fakes import FakeSource
from .reading import source_on

STOP_PXD = Path(protocol.__file__).with_name("stop.pxd")
METHODS = ["fill", "counters", "refilter", "finish", "close"]


def test_reasons_are_those_of_the_native_code() -> None:
    native = {
        name: int(value)
        for name, value in re.findall(r"^    (\w+) = (\d+)$", STOP_PXD.read_text(), re.MULTILINE)
    }

    assert native.pop("GOING") == 0  # never comes back from a fill
    assert native == {reason.name: reason.value for reason in Stop}


def test_never_is_the_last_moment_that_native_code_can_name() -> None:
    assert NEVER_NS == 2**63 - 1


@pytest.mark.parametrize("kind", [FileSource, LiveSource, FakeSource])
@pytest.mark.parametrize("name", METHODS)
def test_sources_have_the_methods(kind: type, name: str) -> None:
    method = getattr(kind, name)

    assert callable(method)
    assert inspect.getdoc(method)


@pytest.mark.parametrize("kind", [FileSource, LiveSource, FakeSource], ids=["file", "live", "fake"])
def test_sources_have_the_attributes(kind: type) -> None:
    wanted = {*inspect.get_annotations(Source), "next_ns", "record_bytes"}

    assert wanted == {
        "linktype", "snaplen", "nanosecond", "file_header", "live", "failure",
        "next_ns", "record_bytes",
    }  # fmt: skip
    if kind is FakeSource:
        with FakeSource(make.mixture(), []) as source:
            assert [name for name in wanted if not hasattr(source, name)] == []
    else:
        assert [name for name in wanted if not hasattr(kind, name)] == []


def test_attributes_cannot_be_set() -> None:
    """A source is configured whole; nothing about it changes from outside."""
    with source_on(make.classic([])) as source:
        for name in ("linktype", "snaplen", "nanosecond", "file_header", "live", "failure"):
            with pytest.raises(AttributeError):
                setattr(source, name, getattr(source, name))


def test_counters_of_a_file() -> None:
    with source_on(make.classic(make.mixture())) as source:
        counters = source.counters()

        assert isinstance(counters, Counters)
        assert counters == (0, 0, 0)


def test_largest_record_fits_what_a_source_asks_for() -> None:
    with source_on(make.classic([])) as source:
        assert source.record_bytes == 16 + 262144
