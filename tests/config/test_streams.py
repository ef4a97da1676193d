"""StreamsConfig: what a run does that nothing was asked of, and that nobody changes it."""

import pytest

from daemonlogger_py.config.streams import Console, Plugin, StreamsConfig


def test_defaults_are_those_of_tcpflow() -> None:
    config = StreamsConfig()
    assert (config.skip_bytes, config.max_bytes, config.idle_ns) == (16_777_216, None, 0)
    assert (config.outdir, config.template) == (".", "%A.%a-%B.%b%V%v%C%c")
    assert (config.store, config.decompress, config.purge, config.promiscuous) == (True,) * 4
    assert (config.md5, config.http, config.findx, config.flow_pcaps, config.gaps) == (False,) * 5
    assert (config.console, config.plugin, config.policy) == (None, None, "last")


@pytest.mark.parametrize("value", [StreamsConfig(), Console(), Plugin("", "module", "function")])
def test_nothing_can_be_changed(value) -> None:
    with pytest.raises(AttributeError):
        setattr(value, value._fields[0], None)
    assert hash(value) == hash(value._replace())
