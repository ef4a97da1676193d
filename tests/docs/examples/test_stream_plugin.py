"""The example of a Python function for streams."""

import importlib.util
from pathlib import Path

import pytest

from daemonlogger_py.config.streams import Plugin
from daemonlogger_py.readers.streams.plugin import check

EXAMPLES = Path(__file__).parents[3] / "docs" / "examples"

STREAM = (
    b"GET /a?b=c HTTP/1.1\r\nAccept: */*\r\nHOST: example.org\r\n\r\n"
    b"POST /login HTTP/1.1\r\nHost: example.org\r\n"
    b"Authorization: Basic dXNlcjpzZWNyZXQ=\r\nContent-Length: 1\r\n\r\n1"
    b"\0\0\0\r\nHEAD / HTTP/1.0\n\n"
)


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("stream_plugin", EXAMPLES / "stream_plugin.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_requests(example):
    assert example.requests(STREAM).split("\n") == [
        "GET example.org /a?b=c",
        "POST example.org /login (password)",
        "HEAD - /",
    ]


def test_passwords(example):
    assert example.passwords(STREAM * 2) == "user:secret"
    assert example.passwords(STREAM.replace(b"dXNl", b"====")) is None


@pytest.mark.parametrize("stream", [b"", b"SSH-2.0-x\r\n", bytes(1000)])
def test_other_streams_give_nothing(example, stream):
    assert example.requests(stream) is None
    assert example.passwords(stream) is None


@pytest.mark.parametrize("function", ["requests", "passwords"])
def test_it_can_be_loaded_as_documented(function):
    check(Plugin(str(EXAMPLES), "stream_plugin", function))
