"""Where temporary files are."""

import os
import tempfile

import pytest

from daemonlogger_py.readers import temporary


def test_rather_on_a_disk_than_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TMPDIR", raising=False)
    assert temporary.directory() == temporary.shown() == "/var/tmp"
    with tempfile.TemporaryFile(dir=temporary.directory()) as file:
        assert os.readlink(f"/proc/self/fd/{file.fileno()}").startswith("/var/tmp/")


def test_where_the_user_says(monkeypatch: pytest.MonkeyPatch, tmp_path: os.PathLike[str]) -> None:
    monkeypatch.setenv("TMPDIR", os.fspath(tmp_path))
    assert (temporary.directory(), temporary.shown()) == (None, os.fspath(tmp_path))


def test_where_that_cannot_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TMPDIR", raising=False)
    monkeypatch.setattr(temporary, "_ROOMY", "/nowhere")
    assert (temporary.directory(), temporary.shown()) == (None, "/tmp")
