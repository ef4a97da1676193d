"""The recorder's configuration: frozen, with the defaults of the manual."""

import dataclasses
from typing import Any

import pytest

from daemonlogger_py.config.recorder import RecorderConfig, RollTime


@pytest.mark.parametrize(
    ("roll_time", "seconds"),
    [
        (RollTime(60, "s"), 60),
        (RollTime(5, "m"), 300),
        (RollTime(2, "h"), 7200),
        (RollTime(1, "d"), 86400),
    ],
)
def test_roll_time_in_seconds(roll_time: RollTime, seconds: int) -> None:
    assert roll_time.seconds == seconds


def test_defaults() -> None:
    config = RecorderConfig()
    assert (config.log_dir, config.prefix) == (".", "daemonlogger.pcap")
    assert config.roll_size == 2_147_483_648  # the original printed 18446744071562067968
    assert not config.roll_size_given
    assert config.promiscuous


def test_nothing_changes_it_once_it_is_made() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        RecorderConfig().ring = True  # type: ignore[misc]


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ({"ring": True}, True),
        ({}, False),
        ({"ring": True, "catalog": False}, False),
        ({"catalog": True}, True),
        ({"ring": True, "read": "a.pcap"}, False),
        ({"ring": True, "tap": ("eth1",)}, False),
        ({"ring": True, "tap": ("eth1",), "tee": True}, True),
    ],
)
def test_when_a_catalog_is_kept(settings: dict[str, Any], kept: bool) -> None:
    assert RecorderConfig(**settings).cataloged is kept
