"""Files below the output directory: never over another, never through a link."""

import os

import pytest

from daemonlogger_py.errors import StorageError
from daemonlogger_py.readers.streams.outdir import OutDir


@pytest.fixture
def outdir(tmp_path):
    fd = os.open(tmp_path, os.O_RDONLY)
    directory = OutDir(fd)
    os.close(fd)
    return directory


def test_store(outdir, tmp_path):
    assert outdir.store("a", ".txt", [b"one", memoryview(b"two"), b""]) == ("a.txt", 6)
    assert (tmp_path / "a.txt").read_bytes() == b"onetwo"


def test_mode_is_what_umask_leaves(outdir, tmp_path):
    before = os.umask(0o027)
    try:
        outdir.store("a", "", [b"x"])
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def test_nothing_leaves_no_file(outdir, tmp_path):
    assert outdir.store("a", "", []) == ("", 0)
    assert outdir.store("a", "", [b"", b""]) == ("", 0)
    assert list(tmp_path.iterdir()) == []


def test_many_small_pieces_and_large_ones(outdir, tmp_path):
    pieces = [bytes([n % 256]) * 100 for n in range(2000)] + [bytes(3 << 20), b"end"]
    assert outdir.store("a", "", pieces)[1] == sum(map(len, pieces))
    assert (tmp_path / "a").read_bytes() == b"".join(pieces)


def test_taken_names_are_counted_on(outdir, tmp_path):
    names = [outdir.store("a-001", ".html", [b"x"])[0] for _ in range(3)]
    assert names == ["a-001.html", "a-001c1.html", "a-001c2.html"]


def test_link_in_the_place_of_the_file_is_left_alone(outdir, tmp_path):
    target = tmp_path / "target"
    (tmp_path / "a").symlink_to(target)
    assert outdir.store("a", "", [b"x"])[0] == "ac1"
    assert not target.exists()


def test_directories_below(outdir, tmp_path):
    (tmp_path / "b" / "c").mkdir(parents=True)
    assert outdir.store("b/c/a", ".x", [b"1"])[0] == "b/c/a.x"
    assert outdir.store("b/a", ".x", [b"2"])[0] == "b/a.x"
    assert (tmp_path / "b" / "c" / "a.x").read_bytes() == b"1"
    fd = outdir.open("b/c/a.x")
    assert os.read(fd, 10) == b"1"
    os.close(fd)


def test_directory_that_is_a_link_is_refused(outdir, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with pytest.raises(StorageError, match="link/a"):
        outdir.store("link/a", "", [b"x"])
    with pytest.raises(OSError, match="link"):
        outdir.open("link/a")
    assert list((tmp_path / "real").iterdir()) == []


@pytest.mark.parametrize("name", ["../a", "b/../../a"])
def test_nothing_outside(outdir, tmp_path, name):
    (tmp_path / "b").mkdir()
    with pytest.raises(OSError, match="Invalid argument"):
        outdir.open(name)
    with pytest.raises(StorageError, match="Invalid argument"):
        outdir.store(name, "", [b"x"])


def test_file_that_is_a_link_is_not_read(outdir, tmp_path):
    (tmp_path / "a").symlink_to("/etc/passwd")
    with pytest.raises(OSError, match="symbolic links"):
        outdir.open("a")


def test_what_pieces_raise_comes_behind_what_they_gave(outdir, tmp_path):
    def pieces():
        yield b"kept"
        raise KeyError

    with pytest.raises(KeyError):
        outdir.store("a", "", pieces())
    assert (tmp_path / "a").read_bytes() == b"kept"


def test_short_writes_are_gone_on_with(outdir, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "writev", lambda fd, pieces: os.write(fd, pieces[0][:3]))
    outdir.store("a", "", [b"abcdef", b"ghi"])
    assert (tmp_path / "a").read_bytes() == b"abcdefghi"


def test_full_volume_is_a_storage_error(tmp_path):
    fd = os.open("/dev", os.O_RDONLY)
    outdir = OutDir(fd)
    outdir.create = lambda stem, extension: (os.open("/dev/full", os.O_WRONLY), stem)
    with pytest.raises(StorageError, match="a: cannot be written: No space left"):
        outdir.store("a", "", [b"x"])
    os.close(fd)


@pytest.mark.parametrize("make", [bytes, memoryview])
def test_long_stretches_of_nuls_are_holes(outdir, tmp_path, make):
    nuls = make(bytes(1 << 20))
    pieces = [b"begin", *[nuls] * 8, b"middle", *[nuls] * 8]
    assert outdir.store("a", "", pieces) == ("a", 11 + (16 << 20))
    assert (tmp_path / "a").read_bytes() == b"".join(map(bytes, pieces))
    assert (tmp_path / "a").stat().st_blocks * 512 < 1 << 20


def test_file_of_nuls_alone_has_its_size(outdir, tmp_path):
    assert outdir.store("a", "", [bytes(1 << 16)]) == ("a", 1 << 16)
    assert (tmp_path / "a").read_bytes() == bytes(1 << 16)


def test_nul_in_front_makes_no_hole(outdir, tmp_path):
    piece = bytes((1 << 16) - 1) + b"x"
    outdir.store("a", "", [piece, memoryview(piece)])
    assert (tmp_path / "a").read_bytes() == piece * 2
