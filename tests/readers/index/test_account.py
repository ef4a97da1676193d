"""What one run did, as a line, and one by one where that is wanted."""

import os
from pathlib import Path

import pytest

from daemonlogger_py.config.archive import Where
from daemonlogger_py.readers.archive import Archive
from daemonlogger_py.readers.index.account import Account
from daemonlogger_py.readers.index.directory import Index, Job

from .known import savefile


def told(account: Account, folder: Path) -> None:
    savefile(folder, [], name="r.100")
    with Archive(Where(rings=(str(folder),))) as archive:
        (directory,) = archive.directories
        index = Index(directory, str(folder / "r.index"))
        job = Job(index, "r.100", 1000)
        account.built(job, 20)
        account.built(job, 40)
        account.small(job, 2000)
        account.passed(job, "not a classic pcap")
        account.gone(index, "r.99")
        account.refused(job.shown, OSError(5, os.strerror(5)))
        index.close()


def test_all_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    account = Account(verbose=False)
    assert account.line() == "0 indexed"
    told(account, tmp_path)
    assert account.line() == (
        "2 indexed (60 bytes, 3.00 % of the savefiles), 1 too small to need an index,"
        " 1 passed over, 1 removed, 1 failed"
    )
    out = capsys.readouterr()
    assert out.out == ""
    assert out.err == f"dlctl index: {tmp_path}/r.100: Input/output error\n"


def test_one_by_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told(Account(verbose=True), tmp_path)
    assert capsys.readouterr().out.splitlines() == [
        f"{tmp_path}/r.100: indexed, 20 bytes, 2.00 %",
        f"{tmp_path}/r.100: indexed, 40 bytes, 4.00 %",
        f"{tmp_path}/r.100: passed over: smaller than 2000 bytes",
        f"{tmp_path}/r.100: passed over: not a classic pcap",
        f"{tmp_path}/r.index/r.99.npz: removed",
    ]
