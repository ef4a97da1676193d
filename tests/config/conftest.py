"""A working directory that holds what the options of these tests name."""

import pytest


@pytest.fixture
def directories(tmp_path, monkeypatch):
    """A working directory that holds what the options below name."""
    for name in ("log", "old"):
        (tmp_path / name).mkdir()
    (tmp_path / "a.pcap").write_bytes(b"")
    (tmp_path / "filter.bpf").write_text("udp")
    monkeypatch.chdir(tmp_path)
    return tmp_path
