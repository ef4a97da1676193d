"""Configurations of the archive's verbs: what they mean when nothing was asked for."""

import pytest

from daemonlogger_py.config import archive
from daemonlogger_py.config.archive import (
    EXTRACT_MEMORY_BYTES,
    ExtractConfig,
    IndexConfig,
    LsConfig,
    PinConfig,
    PinsConfig,
    StatusConfig,
    UnpinConfig,
    VerifyConfig,
    Where,
)


def test_what_is_on_unless_it_is_switched_off() -> None:
    where = Where(rings=("ring",))
    assert ExtractConfig(where).use_index
    assert ExtractConfig(where).output == "-"
    assert ExtractConfig(where).memory_bytes == EXTRACT_MEMORY_BYTES == 256 << 20
    assert LsConfig(where).gaps
    assert VerifyConfig(where).hashes
    assert VerifyConfig(where).indexes
    assert not VerifyConfig(where).repair
    assert not IndexConfig(where).rebuild


@pytest.mark.parametrize(
    "config",
    [
        ExtractConfig(Where()),
        IndexConfig(Where()),
        LsConfig(Where()),
        PinConfig("ring"),
        PinsConfig("ring"),
        StatusConfig("ring"),
        UnpinConfig("ring", (1,)),
        VerifyConfig(Where()),
    ],
)
def test_it_is_frozen(config: tuple[object, ...]) -> None:
    with pytest.raises(AttributeError):
        config.prefix = "other"  # type: ignore[attr-defined]
    assert hash(config) == hash(tuple(config))


def test_no_field_hides_what_a_tuple_has() -> None:
    for name, made in vars(archive).items():
        if isinstance(made, type) and issubclass(made, tuple):
            assert not {"count", "index"} & set(made._fields), name  # type: ignore[attr-defined]
