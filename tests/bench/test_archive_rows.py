"""What the rows of the archive ask of the tools, and by what they judge their output."""

import pytest

from bench.peers import Tool
from bench.ring_load import PREFIX, write_ring
from bench.rows import archive, archive_many


@pytest.fixture(scope="module")
def ring(tmp_path_factory):
    return write_ring(tmp_path_factory.mktemp("ring"), 10, 400_000, processes=1)


def test_only_ours_is_told_a_span(ring, tmp_path):
    listing = archive.listed(ring.paths, tmp_path / "list")
    search = archive.Search(ring, listing, "udp port 53", ("--from", "1"))

    def words(folder, listing, out, filter_text):
        return ["x", str(folder), str(listing), str(out), filter_text]

    ours = search.command(Tool("ours", ("x",), search=words), archive.NOWHERE)
    theirs = search.command(Tool("tcpdump", ("x",), search=words), archive.NOWHERE)
    assert ours == [*theirs, "--from", "1"]
    assert theirs == ["x", str(ring.folder), str(listing), "/dev/null", "udp port 53"]
    assert search.command(Tool("cp", ("cp",)), archive.NOWHERE) == []
    assert listing.read_text().split() == [str(path) for path in ring.paths]


def test_records_of_a_span(ring):
    data = ring.paths[1].read_bytes()
    begin = int.from_bytes(data[24:28], "little") * 1_000_000
    records = archive.records_between(data, begin + 2_000_000, begin + 4_000_000)
    first, behind = data.index(records), data.index(records) + len(records)
    assert 0.2 < len(records) / len(data) < 0.36
    for at, second in ((first, 2), (behind, 4)):
        assert int.from_bytes(data[at : at + 4], "little") * 1_000_000 == begin + second * 1_000_000
    assert archive.records_between(data, 0, begin) == b""
    assert archive.records_between(data, begin, begin + 60_000_000) == data[24:]
    assert archive.records_between(data, begin + 60_000_000, begin + 90_000_000) == b""


def test_a_part_of_a_ring_has_its_index(ring, tmp_path):
    index = ring.folder / f"{PREFIX}.index"
    index.mkdir()
    for path in ring.paths:
        (index / f"{path.name}.npz").write_text(path.name)
    part = archive.middle_of(ring, 4, tmp_path)
    assert [path.name for path in part.paths] == [path.name for path in ring.paths[3:7]]
    names = {path.name for path in part.paths}
    assert {path.name for path in tmp_path.iterdir()} == {*names, index.name}
    assert {path.read_text() for path in (tmp_path / index.name).iterdir()} == names


def test_what_a_process_costs_before_the_first_savefile_is_taken_off():
    costs = {1: [0.5, 0.4, 0.6], 1_000: [1.5], 100_000: [100.5, 200.5]}
    assert archive_many.per_savefile_us(costs) == {1_000: [1_000], 100_000: [1_000, 2_000]}
