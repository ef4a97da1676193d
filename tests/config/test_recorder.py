"""The recorder's configuration: frozen, with the defaults of the manual."""

import dataclasses

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
