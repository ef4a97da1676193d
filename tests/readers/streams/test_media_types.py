"""The table of media types: plain, sorted, and each type in it once."""

import re

import pytest

from daemonlogger_py.readers.streams.media_types import MEDIA_TYPES


@pytest.mark.parametrize("kind", MEDIA_TYPES)
def test_each_type_is_there_once(kind):
    pairs = MEDIA_TYPES[kind].split()
    subtypes = [pair.partition("=")[0] for pair in pairs]

    assert re.fullmatch("[a-z-]+", kind)
    assert subtypes == sorted(set(subtypes))
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9+._-]*=[a-z0-9][a-z0-9_-]*", pair) for pair in pairs)


def test_all_that_tcpflow_names_has_room():
    assert sum(len(lines.split()) for lines in MEDIA_TYPES.values()) >= 688
