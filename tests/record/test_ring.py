"""The ring: what is ours in a directory, in which order, and at what cost."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from daemonlogger_py.record.ring import LARGEST_SERIAL, Ring
from daemonlogger_py.record.ringfile import Savefile
from daemonlogger_py.savefile.names import Naming, SavefileName

NAMING = Naming("t")


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def ring_on(fd: int, *, this_run_only: bool = False) -> Ring:
    return Ring(fd, NAMING, this_run_only=this_run_only)


def name_of(text: str) -> SavefileName:
    name = NAMING.parse(text)
    assert name is not None
    return name


def names(ring: Ring) -> list[str]:
    return [savefile.name for savefile in ring.oldest_first()]


def write(folder: Path, name: str, size: int = 0, modified_s: int | None = None) -> None:
    (folder / name).write_bytes(b"x" * size)
    if modified_s is not None:
        os.utime(folder / name, (modified_s, modified_s))


def seal(ring: Ring, folder: Path, name: str, size: int = 0) -> Savefile:
    ring.opened(name_of(name))
    write(folder, name, size)
    savefile = ring.sealed(name_of(name))
    assert savefile is not None
    return savefile


def regular_file(size: int, modified_ns: int) -> os.stat_result:
    return os.stat_result(
        (0o100640, 0, 0, 1, 0, 0, size, 0, 0, 0), {"st_blocks": 1, "st_mtime_ns": modified_ns}
    )


def test_adopts_regular_files_of_exactly_this_name(tmp_path: Path, directory: int) -> None:
    for name in ("t.9", "t.10.1000", "t.10", "t.10.001", "t.10.2"):
        write(tmp_path, name, 10)
    write(tmp_path, "my-evidence-of-t-do-not-delete.txt")
    for other in ("t", "t.", "t.1.2.3", "xt.1", "t.1.gz", "t.catalog", ".t.1.part"):
        write(tmp_path, other)
    (tmp_path / "target").write_bytes(b"evidence")
    (tmp_path / "t.1").symlink_to("target")
    (tmp_path / "t.2").symlink_to("nowhere")
    (tmp_path / "t.3").mkdir()
    os.mkfifo(tmp_path / "t.4")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "t.5"))
    write(tmp_path, "t.6\udcff")

    ring = ring_on(directory)
    assert ring.adopt() == 5
    assert names(ring) == ["t.9", "t.10", "t.10.001", "t.10.2", "t.10.1000"]
    assert ring.total_bytes == 50
    assert len(ring) == 5


def test_figures_of_a_savefile(tmp_path: Path, directory: int) -> None:
    write(tmp_path, "t.1", 10_000, modified_s=1_000)
    with (tmp_path / "t.2").open("wb") as sparse:
        sparse.truncate(1 << 30)
    ring = ring_on(directory)
    ring.adopt()
    dense, hollow = ring.oldest_first()
    assert (dense.size_bytes, dense.modified_ns) == (10_000, 1_000 * 10**9)
    assert dense.allocated_bytes == (tmp_path / "t.1").stat().st_blocks * 512
    assert hollow.size_bytes == 1 << 30
    assert hollow.allocated_bytes < 1 << 20


def test_a_hard_linked_savefile_gives_nothing_back(tmp_path: Path, directory: int) -> None:
    write(tmp_path, "t.1", 10_000)
    (tmp_path / "kept").hardlink_to(tmp_path / "t.1")
    ring = ring_on(directory)
    ring.adopt()
    (savefile,) = ring.oldest_first()
    assert (savefile.size_bytes, savefile.allocated_bytes) == (10_000, 0)


def test_the_open_file_counts_and_is_never_offered(tmp_path: Path, directory: int) -> None:
    write(tmp_path, "t.1", 5)
    write(tmp_path, "t.2", 5)
    ring = ring_on(directory)
    ring.opened(name_of("t.2"))
    assert ring.adopt() == 2
    ring.grown(name_of("t.2"), 100)
    assert ring.total_bytes == 105
    assert names(ring) == ["t.1"]
    assert "t.2" in ring
    ring.opened(name_of("t.3"))  # the next one is opened before the last is sealed
    assert (len(ring), names(ring)) == (3, ["t.1"])
    savefile = ring.sealed(name_of("t.2"))
    assert savefile is not None
    assert savefile.size_bytes == 5
    assert (len(ring), names(ring), ring.total_bytes) == (3, ["t.1", "t.2"], 10)
    ring.discarded(name_of("t.3"))
    assert len(ring) == 2


def test_sealed_with_the_status_of_the_writer(tmp_path: Path, directory: int) -> None:
    ring = ring_on(directory)
    ring.opened(name_of("t.1"))
    write(tmp_path, "t.1", 7)
    status = (tmp_path / "t.1").stat()
    (tmp_path / "t.1").unlink()
    savefile = ring.sealed(name_of("t.1"), status)
    assert savefile is not None
    assert savefile.size_bytes == 7


def test_sealed_but_gone_or_replaced(tmp_path: Path, directory: int) -> None:
    ring = ring_on(directory)
    ring.opened(name_of("t.1"))
    assert ring.sealed(name_of("t.1")) is None
    ring.opened(name_of("t.2"))
    (tmp_path / "t.2").mkdir()
    assert ring.sealed(name_of("t.2")) is None
    assert (len(ring), ring.total_bytes) == (0, 0)


def test_reconcile_follows_the_directory(tmp_path: Path, directory: int) -> None:
    for name in ("t.1", "t.2", "t.3"):
        write(tmp_path, name, 10)
    ring = ring_on(directory)
    ring.adopt()
    ring.opened(name_of("t.5"))
    write(tmp_path, "t.5", 3)
    (tmp_path / "t.2").unlink()
    (tmp_path / "t.3").unlink()
    (tmp_path / "t.3").mkdir()
    write(tmp_path, "t.4", 20)
    ring.reconcile()
    assert names(ring) == ["t.1", "t.4"]
    assert ring.total_bytes == 30
    assert len(ring) == 3


def test_reconcile_when_the_directory_is_gone(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    ring = ring_on(fd)
    write(tmp_path, "t.1")
    ring.adopt()
    os.close(fd)
    with pytest.raises(OSError, match="Bad file descriptor"):
        ring.reconcile()
    assert names(ring) == ["t.1"]


def test_this_run_only(tmp_path: Path, directory: int) -> None:
    for name in ("t.1", "t.7", "t.8.004"):
        write(tmp_path, name, 10)
    ring = ring_on(directory, this_run_only=True)
    assert ring.adopt() == 0
    assert ring.next_serial(6) == 0
    assert ring.next_serial(7) == 1
    assert ring.next_serial(8) == 5
    seal(ring, tmp_path, "t.8.005", 4)
    write(tmp_path, "t.9", 10)
    ring.reconcile()
    assert names(ring) == ["t.8.005"]
    assert ring.total_bytes == 4
    (tmp_path / "t.8.005").unlink()
    ring.reconcile()
    assert names(ring) == []


def test_withheld_savefiles_are_out_until_given_back(tmp_path: Path, directory: int) -> None:
    write(tmp_path, "t.1", 10)
    write(tmp_path, "t.2", 10)
    ring = ring_on(directory)
    ring.adopt()
    first, second = ring.oldest_first()
    ring.withhold(first)
    ring.withhold(second)
    ring.reconcile()
    assert (len(ring), ring.total_bytes, names(ring)) == (0, 0, [])
    assert ring.next_serial(1) == 1
    ring.give_back(first)
    ring.give_back(first)
    assert (len(ring), ring.total_bytes, names(ring)) == (1, 10, ["t.1"])
    (tmp_path / "t.2").unlink()
    ring.remove(second)
    ring.give_back(second)
    assert names(ring) == ["t.1"]


@pytest.mark.parametrize("this_run_only", [False, True])
def test_refused_savefiles_come_back_at_reconcile(
    tmp_path: Path, directory: int, this_run_only: bool
) -> None:
    ring = ring_on(directory, this_run_only=this_run_only)
    savefile = seal(ring, tmp_path, "t.1", 10)
    assert ring.refuse(savefile)
    assert (len(ring), ring.total_bytes, names(ring)) == (0, 0, [])
    ring.reconcile()
    assert names(ring) == ["t.1"]
    (again,) = ring.oldest_first()
    assert not ring.refuse(again)
    ring.reconcile()
    (tmp_path / "t.1").unlink()
    ring.reconcile()
    write(tmp_path, "t.1", 10)
    assert seal(ring, tmp_path, "t.1", 10) == savefile
    assert ring.refuse(savefile), "another file under the same name is a first time again"


def test_serials_of_a_fast_run(tmp_path: Path, directory: int) -> None:
    ring = ring_on(directory)
    for expected in range(2_000):
        assert ring.next_serial(77) == expected
        name = name_of(NAMING.format(77, expected))
        ring.opened(name)
        write(tmp_path, name.name)
        savefile = ring.sealed(name)
        assert savefile is not None
        if len(ring) > 3:
            oldest = next(ring.oldest_first())
            ring.remove(oldest)
    assert len(ring._by_name) <= 2 * len(ring) + 65


def test_a_name_is_not_used_twice_in_its_second(tmp_path: Path, directory: int) -> None:
    ring = ring_on(directory)
    seal(ring, tmp_path, "t.5")
    last = seal(ring, tmp_path, "t.5.001")
    for savefile in list(ring.oldest_first()):
        ring.remove(savefile)
    assert ring.next_serial(last.epoch) == 2


def test_serial_after_a_collision(directory: int) -> None:
    ring = ring_on(directory)
    assert ring.next_serial(5) == 0
    ring.taken(5, 0)
    assert ring.next_serial(5) == 1
    ring.taken(5, 40)
    ring.taken(5, 3)
    assert ring.next_serial(5) == 41
    assert ring.next_serial(6) == 0


def test_anything_with_such_a_name_takes_its_serial(tmp_path: Path, directory: int) -> None:
    (tmp_path / "t.5.003").mkdir()
    (tmp_path / "t.6.002").symlink_to("nowhere")
    write(tmp_path, f"t.7.{LARGEST_SERIAL + 1}")
    ring = ring_on(directory)
    ring.adopt()
    assert [ring.next_serial(epoch) for epoch in (5, 6, 7)] == [4, 3, 0]


def test_a_compressed_savefile_takes_its_serial(tmp_path: Path, directory: int) -> None:
    for name in ("t.5.003.gz", "t.5.001.zst", "t.5.009.Z", "u.5.010.gz", "t.6.002", "t.6.001.xz"):
        write(tmp_path, name)
    ring = ring_on(directory)
    assert ring.adopt() == 1
    assert [ring.next_serial(epoch) for epoch in (5, 6, 7)] == [4, 3, 0]


def test_serials_of_seconds_gone_by_are_forgotten(tmp_path: Path, directory: int) -> None:
    ring = ring_on(directory)
    for epoch in range(500):
        seal(ring, tmp_path, f"t.{epoch}")
        seal(ring, tmp_path, f"t.{epoch}.001")
        while len(ring) > 4:
            ring.remove(next(ring.oldest_first()))
    assert len(ring._next_serial) <= 3


def test_modified_before_goes_by_the_files_own_time(tmp_path: Path, directory: int) -> None:
    for name, modified_s in (("t.1", 300), ("t.2", 100), ("t.3", 200), ("t.4", 400)):
        write(tmp_path, name, modified_s=modified_s)
    ring = ring_on(directory)
    ring.adopt()
    old = [savefile.name for savefile in ring.modified_before(300 * 10**9)]
    assert old == ["t.2", "t.3"]
    ring.opened(name_of("t.5"))
    write(tmp_path, "t.5", modified_s=50)
    ring.sealed(name_of("t.5"))
    ring.remove(next(ring.modified_before(60 * 10**9)))
    old = [savefile.name for savefile in ring.modified_before(10**18)]
    assert old == ["t.2", "t.3", "t.1", "t.4"]


@pytest.mark.parametrize("walk", ["oldest_first", "modified_before"])
def test_walking_a_changing_ring_is_noticed(tmp_path: Path, directory: int, walk: str) -> None:
    for epoch in range(5):
        write(tmp_path, f"t.{epoch}")
    ring = ring_on(directory)
    ring.adopt()
    walked = ring.oldest_first() if walk == "oldest_first" else ring.modified_before(2**63)
    with pytest.raises(RuntimeError, match="changed"):  # noqa: PT012
        for savefile in walked:
            ring.remove(savefile)


def test_a_roll_over_does_not_touch_all_of_a_large_ring(directory: int) -> None:
    """Counted, not timed: comparisons while 100 savefiles roll through a ring of 20,000."""

    class Counting(int):
        compared = 0

        def __lt__(self, other: int) -> bool:
            Counting.compared += 1
            return int(self) < int(other)

        def __eq__(self, other: object) -> bool:
            Counting.compared += 1
            return int(self) == other

        __hash__ = int.__hash__

    ring = ring_on(directory)
    regular = regular_file(size=0, modified_ns=0)

    def roll(epoch: int) -> None:
        name = SavefileName(Counting(epoch), 0, f"t.{epoch}")
        ring.opened(name)
        assert ring.sealed(name, regular) is not None

    for epoch in range(20_000):
        roll(epoch)
    Counting.compared = 0
    for epoch in range(20_000, 20_100):
        roll(epoch)
        ring.remove(next(ring.oldest_first()))
    assert Counting.compared < 100 * 200


def test_what_left_the_middle_is_not_kept_in_memory(tmp_path: Path, directory: int) -> None:
    count = 500
    for epoch in range(count):
        write(tmp_path, f"t.{epoch}")
    ring = ring_on(directory)
    ring.adopt()
    savefiles = list(ring.oldest_first())
    assert len(list(ring.modified_before(2**63))) == count
    for savefile in reversed(savefiles[1:]):
        ring.remove(savefile)
    assert list(ring.oldest_first()) == list(ring.modified_before(2**63)) == savefiles[:1]
    assert len(ring._by_name) < 100


def test_removed_while_the_directory_is_read(
    tmp_path: Path, directory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "t.1")
    write(tmp_path, "t.2")
    scandir = os.scandir

    class Removing:
        def __init__(self, fd: int) -> None:
            self.entries = list(scandir(fd))
            (tmp_path / "t.1").unlink()

        def __enter__(self) -> Iterator[os.DirEntry[str]]:
            return iter(self.entries)

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(os, "scandir", Removing)
    ring = ring_on(directory)
    ring.adopt()
    assert names(ring) == ["t.2"]


def test_sealed_twice_counts_once(tmp_path: Path, directory: int) -> None:
    ring = ring_on(directory)
    seal(ring, tmp_path, "t.1", 10)
    write(tmp_path, "t.1", 30)
    assert ring.sealed(name_of("t.1")) is not None
    assert (len(ring), ring.total_bytes, names(ring)) == (1, 30, ["t.1"])


def test_a_pinned_half_costs_nothing(directory: int) -> None:
    """Counted, not timed: planning passes over none of 10,000 pinned savefiles."""
    asked = 0
    ring = ring_on(directory)
    regular = regular_file(size=1, modified_ns=0)
    for epoch in range(20_000):
        name = SavefileName(epoch, 0, f"t.{epoch}")
        ring.opened(name)
        ring.sealed(name, regular)

    def pinned(savefile: Savefile) -> bool:
        nonlocal asked
        asked += 1
        return savefile.epoch < 10_000

    ring.pin(pinned)
    assert (asked, ring.pinned_files, ring.pinned_bytes) == (20_000, 10_000, 10_000)
    assert next(ring.oldest_first()).epoch == 10_000
    assert ring.oldest is not None
    assert ring.oldest.epoch == 0
    assert len(ring._by_name) == 10_000
    assert asked == 20_000


def test_what_is_pinned_stays_so_through_a_reconcile(tmp_path: Path, directory: int) -> None:
    ring = ring_on(directory)
    for number in range(4):
        write(tmp_path, f"t.{number}", 10)
    ring.adopt()
    ring.pin(lambda savefile: savefile.epoch < 2)
    write(tmp_path, "t.0.001", 10)
    (tmp_path / "t.1").unlink()
    ring.reconcile()

    assert names(ring) == ["t.2", "t.3"]
    assert (len(ring), ring.pinned_files, ring.pinned_bytes) == (4, 2, 20)
    ring.pin(None)
    assert names(ring) == ["t.0", "t.0.001", "t.2", "t.3"]


class RingMachine(RuleBasedStateMachine):
    """A ring beside a plain dict that sorts."""

    def __init__(self) -> None:
        super().__init__()
        self.fd = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
        self.ring = ring_on(self.fd)
        self.model: dict[str, Savefile] = {}
        self.withheld: dict[str, Savefile] = {}
        self.pinned_sizes: set[int] = set()
        self.postponed: set[str] = set()

    def teardown(self) -> None:
        os.close(self.fd)

    @rule(epoch=st.integers(0, 5), serial=st.integers(0, 3), size=st.integers(0, 9))
    def seal(self, epoch: int, serial: int, size: int) -> None:
        name = name_of(NAMING.format(epoch, serial))
        if name.name in self.withheld:
            return
        status = regular_file(size, modified_ns=size * 7 % 10)
        self.ring.opened(name)
        savefile = self.ring.sealed(name, status)
        assert savefile is not None
        self.model[name.name] = savefile
        self.postponed.discard(name.name)

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def remove_any(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.model)))
        self.ring.remove(self.ring._sealed[name])
        del self.model[name]
        self.postponed.discard(name)

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def withhold(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.model)))
        self.withheld[name] = self.model.pop(name)
        self.postponed.discard(name)
        self.ring.withhold(self.ring._sealed[name])

    @precondition(lambda self: self.withheld)
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.withheld)))
        self.model[name] = self.withheld.pop(name)
        self.ring.give_back(self.model[name])

    @rule(sizes=st.sets(st.integers(0, 9)))
    def pin(self, sizes: set[int]) -> None:
        self.pinned_sizes = sizes
        self.ring.pin((lambda savefile: savefile.size_bytes in sizes) if sizes else None)

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def postpone(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.model)))
        self.ring.postpone(self.ring._sealed[name])
        self.postponed.add(name)

    @rule()
    def offer_again(self) -> None:
        self.ring.offer_again()
        self.postponed.clear()

    @invariant()
    def same_as_the_model(self) -> None:
        counted = self.model.values()
        pinned = [savefile for savefile in counted if savefile.size_bytes in self.pinned_sizes]
        assert len(self.ring) == len(counted)
        assert self.ring.total_bytes == sum(savefile.size_bytes for savefile in counted)
        assert self.ring.pinned_files == len(pinned)
        assert self.ring.pinned_bytes == sum(savefile.size_bytes for savefile in pinned)
        assert self.ring.postponed_files == len(self.postponed)
        expected = sorted(
            savefile
            for savefile in counted
            if savefile not in pinned and savefile.name not in self.postponed
        )
        assert list(self.ring.oldest_first()) == expected
        assert self.ring.oldest == min([*expected, *pinned], default=None)
        by_age = sorted((savefile.modified_ns, savefile) for savefile in expected)
        assert list(self.ring.modified_before(5)) == [s for age, s in by_age if age < 5]


TestRingMachine = RingMachine.TestCase
TestRingMachine.settings = settings(max_examples=40, deadline=None, stateful_step_count=20)


def test_what_repairs_keep_is_part_of_the_savefile(tmp_path: Path, directory: int) -> None:
    for name in ("t.1", "t.2"):
        write(tmp_path, name, 10)
    ring = ring_on(directory)
    ring.adopt()
    write(tmp_path, "t.1", 8)  # what a repair puts in its place
    for aside in ("t.1.damaged", "t.1.damaged.1", ".t.2.repairing"):
        write(tmp_path, aside, 100)
    ring.reconcile()

    first, second = ring.oldest_first()
    assert (len(ring), ring.total_bytes) == (2, 8 + 10 + 300)
    assert (first.asides, first.size_bytes) == (("t.1.damaged", "t.1.damaged.1"), 208)
    assert (second.asides, second.size_bytes) == ((".t.2.repairing",), 110)
    ring.reconcile()
    assert next(ring.oldest_first()) is first  # not looked at again

    (tmp_path / "t.1.damaged").unlink()
    (tmp_path / ".t.2.repairing").unlink()
    ring.reconcile()
    assert [savefile.asides for savefile in ring.oldest_first()] == [("t.1.damaged.1",), ()]
    assert ring.total_bytes == 8 + 10 + 100


def test_an_original_whose_savefile_is_gone_is_one_in_its_place(
    tmp_path: Path, directory: int
) -> None:
    for name in ("t.1.damaged", ".t.2.repairing", "t.3", "t.4.damaged"):
        write(tmp_path, name, 10)
    write(tmp_path, "target")
    (tmp_path / "t.4").symlink_to("target")  # not ours, but there
    ring = ring_on(directory)

    assert ring.adopt() == 3
    assert names(ring) == ["t.1.damaged", ".t.2.repairing", "t.3"]
    first = next(ring.oldest_first())
    assert first.epoch == 1
    ring.withhold(first)
    ring.reconcile()
    assert names(ring) == [".t.2.repairing", "t.3"]
    second = next(ring.oldest_first())
    assert ring.refuse(second)
    ring.reconcile()
    assert not ring.refuse(next(ring.oldest_first()))  # that was said already


def test_of_this_run_only_what_belongs_to_its_savefiles(tmp_path: Path, directory: int) -> None:
    write(tmp_path, "t.1.damaged", 10)
    write(tmp_path, "t.2.damaged", 10)
    write(tmp_path, "t.2")
    ring = ring_on(directory, this_run_only=True)
    ring.adopt()
    seal(ring, tmp_path, "t.3", 5)
    write(tmp_path, "t.3.damaged", 10)
    ring.reconcile()

    assert names(ring) == ["t.3"]
    assert ring.total_bytes == 15


def test_beside_the_savefile_being_written_nothing_counts(tmp_path: Path, directory: int) -> None:
    ring = ring_on(directory)
    ring.opened(name_of("t.5"))
    write(tmp_path, "t.5", 5)
    write(tmp_path, "t.5.damaged", 10)
    ring.reconcile()
    assert (names(ring), ring.total_bytes) == ([], 0)

    ring.sealed(name_of("t.5"))
    ring.reconcile()
    assert ring.total_bytes == 15
