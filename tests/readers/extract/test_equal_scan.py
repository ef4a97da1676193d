"""Extraction gives exactly what libpcap finds by reading everything, with the index and without.

Random filters over captures of every kind: those of this repository, traffic made for it, and,
where somebody keeps more in ``shared/pcaps`` beside it, those as well. Each capture is put into a
ring of its linktype and resolution, because only rings have an index; captures as they are, in
other formats and damaged, are extracted too.
"""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daemonlogger_py.config.archive import ExtractConfig, IndexConfig, VerifyConfig, Where
from daemonlogger_py.errors import DaemonloggerError, FilterError
from daemonlogger_py.readers.extract.run import run as extract
from daemonlogger_py.readers.index.indexing import run as index
from daemonlogger_py.readers.verify import run as verify

from ...filters import filter_texts
from ...pcaps import make
from ...pcaps.found import found
from . import traffic
from .scanning import Packet, Scanned, matching, scan

FILES = [path for path in found() if path.suffix != ".gz"]
PREFIX, FIRST_EPOCH = "r", 1_200_000_000
EXAMPLES = 500 if os.environ.get("DAEMONLOGGER_LAB_FULL") == "1" else 12
# Nothing is looked for in vain: a span for which there is something in each ring, or none at all.
SPREAD_NS = 3 * 10**9
# Behind their headers of variable length libpcap's `pppoes` loads from memory that it never stored
# to: what that gives is nobody's to say.
VARIABLE_HEADERS = frozenset({119, 127, 163, 192})


class Ring(NamedTuple):
    """A directory of savefiles, indexed, and what is in them in the order of their names."""

    folder: Path
    captures: list[Scanned]

    @property
    def times_ns(self) -> list[int]:
        return sorted(packet.time_ns for capture in self.captures for packet in capture.packets)


def is_defined(text: str, ring: Ring) -> bool:
    """Whether libpcap always gives the same answer."""
    linktypes = {capture.linktype for capture in ring.captures}
    return "pppoes" not in text or not linktypes & VARIABLE_HEADERS


def of_packets(packets: Iterable[Packet]) -> list[make.Packet]:
    """What a recorder could have written: records of zeros are damage to a catalog."""
    found = [make.Packet(one.time_ns, one.data, one.origlen) for one in packets]
    return [one for one in found if one.time_ns or one.data or one.origlen]


def rings(base: Path) -> Iterator[Ring]:
    """Fill rings: one for each linktype among the captures, two of made traffic.

    All have an index, and all but one a catalog.
    """
    by_linktype: dict[int, list[Scanned]] = {}
    for path in FILES:
        found = scan(path)
        if found is not None and found.linktype < 1 << 16:  # without flags of its upper half
            by_linktype.setdefault(found.linktype, []).append(found)
    for linktype, captures in by_linktype.items():
        yield fill(base / f"linktype-{linktype}", captures, linktype, "<", make.MICROSECONDS)
    mixed = traffic.packets(1, 2400)
    parts = [mixed[:900], mixed[880:1700], [], mixed[1600:]]  # overlapping, and one without
    as_scanned = [
        Scanned(base, 1, 65535, tuple(Packet(p.time_ns, p.wire_bytes, p.data) for p in part))
        for part in parts
    ]
    made = fill(base / "made", as_scanned, 1, "<", make.MICROSECONDS)
    # Nobody knows when its packets were, and one of its savefiles is of another format.
    for catalog in made.folder.glob(f"{PREFIX}.catalog*"):
        catalog.unlink()
    foreign = made.folder / f"{PREFIX}.{FIRST_EPOCH + len(parts)}"
    foreign.write_bytes(make.pcapng(mixed[300:400]))
    found = scan(foreign)
    assert found is not None
    yield Ring(made.folder, [*made.captures, found])
    yield fill(base / "made-ns", as_scanned[:2], 1, ">", make.NANOSECONDS)


def fill(folder: Path, captures: list[Scanned], linktype: int, order: str, magic: int) -> Ring:
    folder.mkdir()
    read = []
    for number, capture in enumerate(captures):
        path = folder / f"{PREFIX}.{FIRST_EPOCH + number}"
        packets = of_packets(capture.packets)
        path.write_bytes(
            make.classic(
                packets,
                order=order,
                magic=magic,
                linktype=linktype,
                snaplen=max(1, capture.snaplen),
            )
        )
        found = scan(path)
        assert found is not None
        assert len(found.packets) == len(packets)
        read.append(found)
    where = Where(rings=(str(folder),))
    assert verify(VerifyConfig(where, rebuild=True, progress=False)) == 0
    assert index(IndexConfig(where, progress=False, smallest_bytes=0)) == 0
    return Ring(folder, read)


@cache
def made_rings() -> list[Ring]:
    """All rings, made once; the directory goes when the run ends."""
    made_rings.base = TemporaryDirectory()  # type: ignore[attr-defined]
    return list(rings(Path(made_rings.base.name)))  # type: ignore[attr-defined]


def extracted(where: Where, text: str, **how: object) -> list[Packet]:
    """What an extraction writes. Raises DaemonloggerError."""
    with TemporaryDirectory() as folder:
        out = Path(folder, "out")
        # 1 where a capture is damaged: what is whole is given out all the same.
        status = extract(ExtractConfig(where, text, str(out), **how))  # type: ignore[arg-type]
        found = scan(out)
    assert status in (0, 1)
    assert found is not None
    return list(found.packets)


def heard_of(linktype: int = 1) -> tuple[list[str], list[int]]:
    """Addresses and ports that packets have, so that filters match some of them."""
    addresses, ports = Counter[str](), Counter[int]()
    for ring in made_rings():
        for capture in ring.captures:
            for packet in capture.packets if capture.linktype == linktype else ():
                data = packet.data
                if data[12:14] == b"\x08\x00" and len(data) >= 38:
                    addresses.update(str(ip_address(data[at : at + 4])) for at in (26, 30))
                    ports.update(int.from_bytes(data[at : at + 2], "big") for at in (34, 36))
    return [one for one, _ in addresses.most_common(30)], [one for one, _ in ports.most_common(20)]


def texts() -> st.SearchStrategy[str]:
    """Filters of what the captures have, and of what they may not have."""
    addresses, ports = heard_of()
    return filter_texts() | filter_texts(
        [*addresses, "2001:db8::1", "2001:db8::2"], ports, traffic.VLANS
    )


spans = st.one_of(
    st.none(),
    st.tuples(st.floats(0, 1), st.integers(-SPREAD_NS, SPREAD_NS)),
)


def span_in(
    ring: Ring, drawn: tuple[tuple[float, int] | None, tuple[float, int] | None]
) -> tuple[int | None, int | None]:
    """Times near those of packets of the ring, in their order, from two draws."""
    times = ring.times_ns
    found = [
        None if one is None or not times else times[int(one[0] * (len(times) - 1))] + one[1]
        for one in drawn
    ]
    begin, end = found
    if begin is not None and end is not None and end < begin:
        begin, end = end, begin
    return begin, end


@pytest.mark.parametrize("use_index", [True, False], ids=["index", "no-index"])
@settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
@given(text=st.deferred(texts), drawn=st.tuples(spans, spans))
def test_a_ring_gives_what_a_scan_finds(
    use_index: bool, text: str, drawn: tuple[tuple[float, int] | None, tuple[float, int] | None]
) -> None:
    for ring in made_rings():
        if not is_defined(text, ring):
            continue
        from_ns, to_ns = span_in(ring, drawn)
        where = Where(rings=(str(ring.folder),), from_ns=from_ns, to_ns=to_ns)
        expected = matching(ring.captures, text, from_ns, to_ns)
        if expected is None:  # and unless no savefile had to be looked at, that is said
            with suppress(FilterError):
                assert extracted(where, text, use_index=use_index) == []
        else:
            assert extracted(where, text, use_index=use_index) == expected, ring.folder.name


@settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
@given(text=st.deferred(texts), count=st.integers(1, 400), jobs=st.integers(1, 3))
def test_the_newest_and_the_first_few(text: str, count: int, jobs: int) -> None:
    for ring in made_rings():
        expected = matching(ring.captures, text) if is_defined(text, ring) else None
        if expected is None:
            continue
        where = Where(rings=(str(ring.folder),))
        assert extracted(where, text, max_packets=count, jobs=jobs) == expected[:count]
        newest = extracted(where, text, max_packets=count, jobs=jobs, reverse=True)
        assert newest == expected[::-1][:count]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_capture_as_it_is(path: Path) -> None:
    found = scan(path)
    where = Where(paths=(str(path),))
    if found is None:
        with pytest.raises(DaemonloggerError):
            extracted(where, "")
        return
    for text in ("", "udp or tcp port 80", "len > 200", "ip[2:2] > 100"):
        expected = matching([found], text)
        if expected is not None:
            assert extracted(where, text) == expected


def test_everything_at_once_with_little_memory() -> None:
    for ring in made_rings():
        where = Where(rings=(str(ring.folder),))
        assert extracted(where, "", memory_bytes=1 << 20) == matching(ring.captures, "")
