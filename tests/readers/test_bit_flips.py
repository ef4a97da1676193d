"""One bit that is flipped anywhere in an archive is found by ``verify``, and its file is named.

In savefiles that are sealed, in their indexes and in the catalog, at random places of each.
"""

import json
import os
import random
from pathlib import Path

import pytest

from daemonlogger_py.config.archive import IndexConfig, VerifyConfig, Where
from daemonlogger_py.readers.index.indexing import run as index
from daemonlogger_py.readers.verify import run as verify

from .extract import traffic

FLIPS = 400 if os.environ.get("DAEMONLOGGER_LAB_FULL") == "1" else 25
PREFIX = "cap"


@pytest.fixture(scope="module")
def ring(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three savefiles with catalog and index, in which nothing is wrong."""
    folder = tmp_path_factory.mktemp("archive")
    for number in range(3):
        packets = traffic.packets(number, 60)
        (folder / f"{PREFIX}.{1_228_873_098 + number}").write_bytes(traffic.savefile(packets))
    assert verify(VerifyConfig(Where(rings=(str(folder),)), rebuild=True, progress=False)) == 0
    assert index(IndexConfig(Where(rings=(str(folder),)), progress=False, smallest_bytes=0)) == 0
    assert verify(VerifyConfig(Where(rings=(str(folder),)), progress=False)) == 0
    return folder


def found(folder: Path, capsys: pytest.CaptureFixture[str], *, as_json: bool = False) -> str:
    """What verify says of an archive in which something must be wrong."""
    capsys.readouterr()
    config = VerifyConfig(Where(rings=(str(folder),)), json=as_json, progress=False)
    status = verify(config)
    said = capsys.readouterr()
    assert status == 1, said
    return said.out + said.err


@pytest.mark.parametrize("which", ["savefile", "index", "catalog"])
def test_a_flipped_bit_is_found_and_named(
    ring: Path, which: str, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = {
        "savefile": sorted(ring.glob(f"{PREFIX}.[0-9]*")),
        "index": sorted((ring / f"{PREFIX}.index").iterdir()),
        "catalog": [ring / f"{PREFIX}.catalog"],
    }[which]
    dice = random.Random(which)
    missed = []
    for _ in range(FLIPS):
        path = dice.choice(paths)
        before, status = path.read_bytes(), path.stat()
        bit = dice.randrange(8 * len(before))
        changed = bytearray(before)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        # As a disk does it: nothing but the bit is another one.
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        said = found(ring, capsys)
        if path.name not in said:
            missed.append((path.name, bit, said))
        path.write_bytes(before)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert missed == []
    capsys.readouterr()
    assert verify(VerifyConfig(Where(rings=(str(ring),)), progress=False)) == 0


def test_where_a_record_is_torn_is_told(ring: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = min(ring.glob(f"{PREFIX}.[0-9]*"))
    before, status = path.read_bytes(), path.stat()
    path.write_bytes(before[:-3])
    said = [json.loads(line) for line in found(ring, capsys, as_json=True).splitlines() if line]
    path.write_bytes(before)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert any(path.name in json.dumps(row) and "offset" in json.dumps(row) for row in said)
