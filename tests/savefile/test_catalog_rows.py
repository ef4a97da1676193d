"""Rows to columns and back, and the links of a chain."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from daemonlogger_py.savefile.catalog_columns import believed, checksum
from daemonlogger_py.savefile.catalog_rows import (
    ENTRY,
    GENESIS,
    LARGEST,
    SEALED,
    UNLINKED,
    Entry,
    chain_of,
    to_columns,
)

times = st.one_of(st.none(), st.integers(0, LARGEST))
entries = st.builds(
    Entry,
    name=st.text(max_size=20),
    epoch=st.integers(0, LARGEST),
    serial=st.integers(0, 10**6),
    state=st.just(SEALED),
    size_bytes=st.integers(0, LARGEST),
    modified_ns=st.integers(0, LARGEST),
    packets=st.integers(0, 10**12),
    first_ns=times,
    last_ns=times,
    ordered=st.booleans(),
    why=st.one_of(st.none(), st.text(max_size=10)),
    sha256=st.one_of(st.none(), st.binary(min_size=32, max_size=32)),
    nanosecond=st.booleans(),
    **{name: st.just(1) for name in ("opened_ns", "sealed_ns", "dropped", "lost", "position")},
    previous_chain=st.just(GENESIS),
    chain=st.just(GENESIS),
    run=st.just(3),
    linktype=st.integers(0, 2**32 - 1),
    snaplen=st.integers(-(2**31), 2**31 - 1),
)


@given(entries)
def test_an_entry_is_what_was_stored(entry: Entry) -> None:
    columns = to_columns(entry)
    assert not any(isinstance(value, bool) for value in columns)
    (back,), _ = believed([(*columns, checksum(columns))], Entry, ENTRY)
    assert back == entry
    assert isinstance(back.ordered, bool)
    assert isinstance(back.nanosecond, bool)
    (unlinked,), _ = believed([(*columns, checksum(columns))], Entry, UNLINKED)
    assert unlinked == entry._replace(previous_chain=None, chain=None)


def test_an_epoch_beyond_a_column_is_the_largest() -> None:
    columns = to_columns(Entry("p." + "9" * 40, int("9" * 40), 0, SEALED, 1, 1))
    assert columns[1] == LARGEST


def test_a_link_covers_all_that_it_names() -> None:
    sha256 = hashlib.sha256(b"x").digest()
    link = chain_of(GENESIS, "p.1", 5, sha256)
    assert link == hashlib.sha256(GENESIS + b"p.1\0" + bytes(7) + b"\x05" + sha256).digest()
    others = {
        chain_of(link, "p.1", 5, sha256),
        chain_of(GENESIS, "p.2", 5, sha256),
        chain_of(GENESIS, "p.1", 6, sha256),
        chain_of(GENESIS, "p.1", 5, GENESIS),
        link,
    }
    assert len(others) == 5


def test_a_name_that_is_no_text_is_linked() -> None:
    assert chain_of(GENESIS, "\udcff.1", 1, GENESIS) != chain_of(GENESIS, "\udcfe.1", 1, GENESIS)
