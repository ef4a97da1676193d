"""The output directory: made, opened, owned, or refused in one line."""

import os

import pytest

from daemonlogger_py.errors import StorageError
from daemonlogger_py.readers.streams import destination


def test_a_missing_directory_is_made(tmp_path):
    fd = destination.opened(str(tmp_path / "out"))
    try:
        assert os.path.samestat(os.fstat(fd), os.stat(tmp_path / "out"))
    finally:
        os.close(fd)


def test_one_level_only(tmp_path):
    with pytest.raises(StorageError, match=r"-o '.*/a/b': No such file or directory"):
        destination.opened(str(tmp_path / "a" / "b"))


def test_what_is_no_directory_is_refused(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(StorageError, match="Not a directory; accepted: a directory"):
        destination.opened(str(tmp_path / "file"))


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives directories away")
def test_a_new_directory_belongs_to_whom_it_is_made_for(tmp_path):
    os.close(destination.opened(str(tmp_path / "out"), (1234, 2345)))

    assert ((tmp_path / "out").stat().st_uid, (tmp_path / "out").stat().st_gid) == (1234, 2345)


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives directories away")
def test_a_directory_that_was_there_keeps_its_owner(tmp_path):
    os.close(destination.opened(str(tmp_path), (1234, 2345)))

    assert tmp_path.stat().st_uid == os.getuid()


@pytest.mark.parametrize(
    ("path", "prefix"), [(".", ""), ("out", "out/"), ("out/", "out/"), ("/", "/"), ("./", "./")]
)
def test_names_are_told_with_the_directory_unless_it_is_the_default(path, prefix):
    assert destination.prefix_of(path) == prefix
