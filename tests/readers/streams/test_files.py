"""Files in the output directory: created, counted, held open within a limit, and finished."""

import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from daemonlogger_py.errors import StorageError
from daemonlogger_py.readers.streams.files import Files, NewFile
from daemonlogger_py.readers.streams.names import Template

FIRST_NS = 1_700_000_000_123_456_789
NAME = "010.000.000.001.40000-010.000.000.002.00080"

Maker = Callable[..., Files]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Maker]:
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield lambda template="%A.%a-%B.%b%C%c", most=10: Files(fd, Template(template), most)
    os.close(fd)


def new(files: Files, port: int = 40000, **of: object) -> NewFile:
    return files.new("10.0.0.1", port, "10.0.0.2", 80, **of)  # type: ignore[arg-type]


def names(directory: Path) -> list[str]:
    return sorted(str(p.relative_to(directory)) for p in directory.rglob("*") if not p.is_dir())


@contextmanager
def descriptors(more: int) -> Iterator[None]:
    """Leave so many file descriptors to be opened."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Of their numbers: whatever is open already, so many are free below it.
    most = max(map(int, os.listdir("/proc/self/fd"))) + more + 1
    held = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, limits[1]))
        while True:
            try:
                held.append(os.open("/dev/null", os.O_RDONLY))
            except OSError:
                break
        for _ in range(more):
            os.close(held.pop())
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for fd in held:
            os.close(fd)


def test_file_is_created_written_and_dated(make: Maker, tmp_path: Path) -> None:
    files = make()
    file = new(files)
    assert file.name == NAME
    os.write(file.fileno(), b"data")

    file.finish(FIRST_NS)

    found = (tmp_path / NAME).stat()
    assert (tmp_path / NAME).read_bytes() == b"data"
    assert (found.st_mtime_ns, found.st_atime_ns) == (FIRST_NS, FIRST_NS)
    assert (file.name, file.is_open, files.open_files) == (None, False, 0)


def test_times_are_left_if_there_is_none(make: Maker, tmp_path: Path) -> None:
    new(make()).finish()

    assert (tmp_path / NAME).stat().st_mtime_ns > FIRST_NS


def test_finishing_twice_is_finishing_once(make: Maker) -> None:
    file = new(make())
    file.finish()
    file.finish(FIRST_NS)

    with pytest.raises(ValueError, match="finished"):
        file.fileno()


def test_taken_names_are_counted_on_from(make: Maker, tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"earlier run")
    (tmp_path / f"{NAME}c2").symlink_to("/nonexistent")
    files = make()

    assert [new(files).name for _ in range(3)] == [f"{NAME}c{n}" for n in (1, 3, 4)]
    assert (tmp_path / NAME).read_bytes() == b"earlier run"
    assert new(files, 40001).name == NAME.replace("40000", "40001")


def test_suffix_has_its_own_counter(make: Maker) -> None:
    files = make()

    made = [new(files, suffix=suffix).name for suffix in ("", ".pcap", "", ".pcap")]
    assert made == [NAME, f"{NAME}.pcap", f"{NAME}c1", f"{NAME}c1.pcap"]


def test_template_with_nothing_but_a_counter_to_tell_names_apart(make: Maker) -> None:
    files = make("const%c")

    assert [new(files, port).name for port in range(4)] == ["const", "const1", "const2", "const3"]


def test_many_connections_of_the_same_name(make: Maker, tmp_path: Path) -> None:
    """Each is created with one attempt: counting from 1 each time would be 200 million."""
    files = make("x/%A", 4)
    count = 20_000
    for _ in range(count):
        new(files).finish()

    assert (tmp_path / f"x/010.000.000.001c{count - 1}").exists()
    assert sum(1 for _ in os.scandir(tmp_path / "x")) == count


def test_counters_that_were_forgotten_are_found_again(make: Maker, tmp_path: Path) -> None:
    files = make("%a")
    for _ in range(2):
        for port in range(20_000):  # more than are remembered
            new(files, port).finish()
    for port in (0, 1, 19_999):
        assert new(files, port).name == f"{port:05}c2"
        assert new(make("%a"), port).name == f"{port:05}c3"
    assert sum(1 for _ in os.scandir(tmp_path)) == 40_006


def test_directories_of_names(make: Maker, tmp_path: Path) -> None:
    files = make("%A/%a/%N/x")
    for number in range(3):
        new(files, number=number).finish(FIRST_NS)

    assert names(tmp_path) == [f"010.000.000.001/40000/00{n}/x" for n in range(3)]


def test_no_more_files_are_open_than_may_be(make: Maker, tmp_path: Path) -> None:
    files = make(most=3)
    made = [new(files, port) for port in range(8)]
    assert [file.is_open for file in made] == [False] * 5 + [True] * 3
    assert files.open_files == 3

    for turn in range(3):
        for file in made:
            os.lseek(file.fileno(), 0, os.SEEK_END)
            os.write(file.fileno(), b"%d" % turn)
            assert files.open_files == 3
    for file in made:
        file.finish(FIRST_NS)

    assert {path.read_bytes() for path in tmp_path.iterdir()} == {b"012"}
    assert {path.stat().st_mtime_ns for path in tmp_path.iterdir()} == {FIRST_NS}
    assert files.open_files == 0


def test_the_one_not_used_for_longest_is_closed(make: Maker) -> None:
    files = make(most=2)
    first, second = new(files, 1), new(files, 2)
    first.fileno()
    third = new(files, 3)

    assert [file.is_open for file in (first, second, third)] == [True, False, True]


def test_one_open_file_is_enough(make: Maker, tmp_path: Path) -> None:
    files = make(most=1)
    made = [new(files, port) for port in range(3)]
    for file in (*made, *made):
        os.lseek(file.fileno(), 0, os.SEEK_END)
        os.write(file.fileno(), b"x")

    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"xx"] * 3


def test_none_is_not_enough(make: Maker) -> None:
    with pytest.raises(ValueError, match="at least one"):
        make(most=0)


def test_files_are_closed_when_descriptors_run_out(make: Maker, tmp_path: Path) -> None:
    files = make(most=100_000)
    with descriptors(more=20):
        made = [new(files, port) for port in range(100)]
        for file in made:
            os.write(file.fileno(), b"x")
        for file in made:
            file.finish(FIRST_NS)

    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"x"] * 100


def test_no_descriptor_at_all_is_an_error(make: Maker) -> None:
    files = make()
    with descriptors(more=0), pytest.raises(StorageError, match=f"^{NAME}: Too many open files$"):
        new(files)
    assert files.failed_errno > 0


@pytest.mark.parametrize("change", ["replaced", "linked", "removed", "a FIFO"])
def test_file_that_is_another_when_it_is_opened_again(
    make: Maker, tmp_path: Path, change: str
) -> None:
    files = make(most=1)
    file = new(files)
    other = new(files, 1)
    path = tmp_path / NAME
    path.rename(tmp_path / "moved")
    if change == "replaced":
        path.write_bytes(b"")
    elif change == "linked":
        path.symlink_to("moved")
    elif change == "a FIFO":
        os.mkfifo(path)

    with pytest.raises(StorageError, match=f"^{NAME}: (another|Too many levels|No such file)"):
        file.fileno()
    other.finish()
    assert (tmp_path / "moved").stat().st_size == 0


def test_linked_directory_is_not_entered(make: Maker, tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "010.000.000.001").symlink_to(inside)

    with pytest.raises(StorageError, match="Not a directory"):
        new(make("%A/%a"))
    assert list(inside.iterdir()) == []


def test_finishing_a_file_that_is_not_open_dates_it(make: Maker, tmp_path: Path) -> None:
    files = make("%a/%A", most=1)
    first = new(files, 1)
    new(files, 2)
    assert not first.is_open

    first.finish(FIRST_NS)

    assert (tmp_path / "00001/010.000.000.001").stat().st_mtime_ns == FIRST_NS


def test_finishing_a_file_that_was_removed_says_so(make: Maker, tmp_path: Path) -> None:
    files = make(most=1)
    first = new(files)
    new(files, 2)
    (tmp_path / NAME).unlink()

    with pytest.raises(StorageError, match=f"^{NAME}: No such file"):
        first.finish(FIRST_NS)
    assert first.name is None


def test_descriptors_are_given_back(make: Maker) -> None:
    before = len(os.listdir("/proc/self/fd"))
    files = make("%A/%a")
    made = [new(files, port) for port in range(5)]
    assert len(os.listdir("/proc/self/fd")) > before
    del made, files

    assert len(os.listdir("/proc/self/fd")) == before
