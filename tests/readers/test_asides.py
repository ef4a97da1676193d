"""What repairs keep beside savefiles: whose it is, and how much."""

import os
from pathlib import Path

from daemonlogger_py.readers.asides import Alone, Asides, asides


def found(directory: Path, prefix: str = "p") -> Asides:
    fd = os.open(directory, os.O_RDONLY)
    try:
        return asides(fd, prefix)
    finally:
        os.close(fd)


def test_they_count_for_their_savefile(tmp_path: Path) -> None:
    for name, size_bytes in (
        ("p.1", 1),
        ("p.1.damaged", 10),
        ("p.1.damaged.2", 100),
        (".p.1.repairing", 1000),
        ("q.1.damaged", 5),
        ("p.x.damaged", 5),
        ("p.catalog.damaged", 5),
    ):
        (tmp_path / name).write_bytes(bytes(size_bytes))
    (tmp_path / "p.1.damaged.3").mkdir()
    assert found(tmp_path) == Asides({"p.1": 1110}, [])


def test_two_names_of_one_file_count_once(tmp_path: Path) -> None:
    (tmp_path / "p.1").write_bytes(bytes(7))
    (tmp_path / ".p.1.repairing").hardlink_to(tmp_path / "p.1")
    assert found(tmp_path) == Asides({"p.1": 0}, [])


def test_one_without_its_savefile(tmp_path: Path) -> None:
    aside = tmp_path / "p.5.damaged"
    aside.write_bytes(bytes(7))
    os.utime(aside, ns=(3, 3))
    assert found(tmp_path) == Asides({}, [Alone(5, 3, 7)])
