"""What is opened when, in which order it comes, and what is told of what does not."""

import gzip
import json
import lzma
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemonlogger_py.engine import interfaces
from daemonlogger_py.errors import FilterError, UsageError
from daemonlogger_py.readers.inputs import opening
from daemonlogger_py.readers.inputs.capture import Complaint
from daemonlogger_py.readers.inputs.opening import Inputs, Selection, check_filter
from daemonlogger_py.readers.inputs.stopping import Stopping

from ...service.child import ROOT, run
from .reading import EPOCH, NS, capture, pumped, told


@pytest.fixture
def stopping() -> Iterator[Stopping]:
    before = os.listdir("/proc/self/fd")
    with Stopping() as made:
        yield made
    assert os.listdir("/proc/self/fd") == before


def put(path: Path, count: int = 1, first: int = 0) -> str:
    path.write_bytes(capture(count, first=first))
    return str(path)


def items(selection: Selection, stopping: Stopping) -> list[object]:
    with Inputs(selection, stopping) as inputs:
        inputs.open()
        inputs.drop_privileges()
        return told(inputs)


def test_files_come_in_order_and_completing_ones_last(tmp_path, stopping) -> None:
    a, b, c = (put(tmp_path / name, first=n) for n, name in enumerate("abc"))
    selection = Selection(files=(b, a, b), completing=(c,))
    with Inputs(selection, stopping) as inputs:
        inputs.open()
        found = [(item.name, item.completing) for item in inputs]  # type: ignore[union-attr]
    assert found == [(b, False), (a, False), (b, False), (c, True)]


def test_a_directory_stands_for_its_savefiles(tmp_path, stopping) -> None:
    ring = tmp_path / "ring"
    ring.mkdir()
    for first, name in enumerate(("p.9", "p.10", "p.10.001")):
        put(ring / name, first=first)
    (ring / "q.pcap.gz").write_bytes(gzip.compress(capture(1, first=3)))
    (ring / "notes").write_text("no savefile")
    found = items(Selection(files=(str(ring),), completing=(str(ring),)), stopping)
    names = [f"{ring}/{name}" for name in ("p.9", "p.10", "p.10.001", "q.pcap.gz")]
    assert found == [(name, [n]) for n, name in enumerate(names)] * 2


def test_a_damaged_capture_in_a_directory_is_told(tmp_path, stopping) -> None:
    put(tmp_path / "a")
    (tmp_path / "b.pcap").write_bytes(b"\xdc" + capture(1)[1:])
    first, second = items(Selection(files=(str(tmp_path),)), stopping)
    assert first == (f"{tmp_path}/a", [0])
    assert isinstance(second, Complaint)
    assert second.failed
    assert second.text.startswith(f"{tmp_path}/b.pcap: not a savefile")


def test_a_copy_is_not_read_as_well(tmp_path, stopping) -> None:
    one, other = capture(1, first=0), capture(1, first=1)
    long = capture(1000, first=2)
    for name, data in (("p.1", one), ("p.2", one), ("p.3", long)):
        (tmp_path / name).write_bytes(data)
    for name, data in (("p.1.gz", one), ("p.2.gz", other), ("p.3.gz", long)):
        (tmp_path / name).write_bytes(gzip.compress(data))
        os.utime(tmp_path / name, (1, 1))
    found = items(Selection(files=(str(tmp_path),)), stopping)
    told_of = f"{tmp_path}/p.3.gz: is left out, as it begins as its original that is there"
    assert found[:3] == [
        Complaint(told_of, failed=False),
        (f"{tmp_path}/p.1", [0]),
        (f"{tmp_path}/p.2", [0]),
    ]
    assert found[4:] == [(f"{tmp_path}/p.2.gz", [1])]


def test_what_cannot_be_read_is_told_in_its_turn(tmp_path, stopping) -> None:
    a, b = put(tmp_path / "a"), put(tmp_path / "b", first=1)
    (tmp_path / "empty").mkdir()
    gone = str(tmp_path / "gone")
    found = items(Selection(files=(a, gone, str(tmp_path / "empty"), b)), stopping)
    assert found == [
        (a, [0]),
        Complaint(f"{gone}: No such file or directory"),
        Complaint(f"{tmp_path}/empty: no savefiles in this directory"),
        (b, [1]),
    ]


def ring(directory: Path, *seconds: int) -> None:
    for number, second in enumerate(seconds):
        data = capture(1, first=number, start_s=EPOCH + second)
        (directory / f"p.{EPOCH + second}").write_bytes(data)


def test_ring_within_a_span(tmp_path, stopping) -> None:
    ring(tmp_path, 0, 60, 120, 180)
    limits = {"from_ns": (EPOCH + 70) * NS, "to_ns": (EPOCH + 130) * NS}
    found = items(Selection(ring=str(tmp_path), **limits), stopping)  # type: ignore[arg-type]
    assert found == [(f"{tmp_path}/p.{EPOCH + s}", [n]) for n, s in ((1, 60), (2, 120))]


def test_ring_whose_newest_is_being_written(tmp_path, stopping) -> None:
    ring(tmp_path, 0, 60)
    newest = tmp_path / f"p.{EPOCH + 60}"
    newest.write_bytes(newest.read_bytes()[:-5])
    found = items(Selection(ring=str(tmp_path)), stopping)
    assert found[:2] == [(f"{tmp_path}/p.{EPOCH}", [0]), (str(newest), [])]
    assert isinstance(found[2], Complaint)
    assert not found[2].failed
    assert "cut short" in found[2].text


def test_ring_with_a_torn_savefile_in_the_middle(tmp_path, stopping) -> None:
    ring(tmp_path, 0, 60)
    oldest = tmp_path / f"p.{EPOCH}"
    oldest.write_bytes(oldest.read_bytes()[:-5])
    found = items(Selection(ring=str(tmp_path)), stopping)
    assert isinstance(found[1], Complaint)
    assert found[1].failed
    assert found[2] == (f"{tmp_path}/p.{EPOCH + 60}", [1])


def test_ring_that_is_pruned_while_it_is_read(tmp_path, stopping) -> None:
    ring(tmp_path, 0, 60, 120, 180)
    with Inputs(Selection(ring=str(tmp_path)), stopping) as inputs:
        inputs.open()
        for second in (0, 60):
            (tmp_path / f"p.{EPOCH + second}").unlink()
        found = told(inputs)
    assert found == [
        (f"{tmp_path}/p.{EPOCH + 120}", [2]),
        (f"{tmp_path}/p.{EPOCH + 180}", [3]),
        Complaint(
            f"2 savefiles were pruned before being read: {tmp_path}/p.{EPOCH} to p.{EPOCH + 60}",
            failed=False,
        ),
    ]


def test_ring_then_what_follows_it_until_the_end(tmp_path, stopping) -> None:
    ring(tmp_path, 0, 60, 120)
    selection = Selection(ring=str(tmp_path), follow=True, to_ns=(EPOCH + 1000) * NS)
    found = items(selection, stopping)
    assert found == [(f"{tmp_path}/p.{EPOCH + s}", [n]) for n, s in enumerate((0, 60, 120))]


@pytest.mark.parametrize(
    ("selection", "what"),
    [
        (Selection(ring="/nosuchdir"), "--ring /nosuchdir: No such file or directory"),
        (Selection(files=("x",), follow=True), "--follow: accepted with --ring"),
        (Selection(files=("x",), user="no such user"), "-U 'no such user': no such user"),
        (Selection(files=("x",), filter_text="no filter"), "filter 'no filter': "),
        (Selection(interface="nosuch0"), "'nosuch0': no such interface; accepted: "),
    ],
)
def test_what_is_wrong_beforehand(stopping, selection: Selection, what: str) -> None:
    with pytest.raises(UsageError) as caught, Inputs(selection, stopping) as inputs:
        inputs.open()
    assert what in str(caught.value)


def test_ring_of_another_prefix(tmp_path, stopping) -> None:
    ring(tmp_path, 0)
    with pytest.raises(UsageError, match="no savefiles of this prefix"):
        items(Selection(ring=str(tmp_path), prefix="q"), stopping)


@pytest.mark.parametrize(
    "text", ["", "tcp", "wlan host 02:00:00:00:00:01", "ether host 1:2:3:4:5:6"]
)
def test_filters_for_some_linktype(text: str) -> None:
    check_filter(text)


def test_a_filter_for_no_linktype() -> None:
    with pytest.raises(FilterError, match="syntax error"):
        check_filter("tcp and")


def test_nothing_asked_for_is_the_interface_of_libpcaps_choice(stopping, monkeypatch) -> None:
    monkeypatch.setattr(interfaces, "default", lambda: "nosuch0")
    with (
        pytest.raises(Exception, match="interface nosuch0: "),
        Inputs(Selection(), stopping) as inputs,
    ):
        inputs.open()


def test_total_and_position(tmp_path, stopping) -> None:
    a, b = put(tmp_path / "a", 100), put(tmp_path / "b", 50)
    (tmp_path / "c").write_bytes(gzip.compress(capture(100)))
    sizes = [os.path.getsize(tmp_path / name) for name in "abc"]
    selection = Selection(files=(a, b), completing=(str(tmp_path / "c"), str(tmp_path / "gone")))
    with Inputs(selection, stopping) as inputs:
        inputs.open()
        assert inputs.total_bytes() == sum(sizes)
        seen = []
        for item in inputs:
            if not isinstance(item, Complaint):
                told([item])
            seen.append(inputs.bytes_read)
    assert seen == [sizes[0], sizes[0] + sizes[1], sum(sizes), sum(sizes)]


def test_no_total_where_something_may_not_end(tmp_path, stopping) -> None:
    os.mkfifo(tmp_path / "pipe")
    with Inputs(Selection(files=(str(tmp_path / "pipe"),)), stopping) as inputs:
        inputs.open()
        assert inputs.total_bytes() is None
    ring(tmp_path, 0)
    with Inputs(Selection(ring=str(tmp_path), follow=True), stopping) as inputs:
        inputs.open()
        assert inputs.total_bytes() is None


def test_a_request_ends_it_between_files(tmp_path, stopping) -> None:
    a, b = put(tmp_path / "a"), put(tmp_path / "b")
    with Inputs(Selection(files=(a, b)), stopping) as inputs:
        inputs.open()
        items = iter(inputs)
        next(items)
        stopping.request()
        assert list(items) == []


# Privileges

as_root = pytest.mark.skipif(not ROOT, reason="only root can become somebody else")

READ_AS_NOBODY = """
from daemonlogger_py.readers.inputs.opening import Inputs, Selection
from daemonlogger_py.readers.inputs.pump import Pump
from daemonlogger_py.readers.inputs.stopping import Stopping
selection = Selection(**json.loads(sys.argv[1]))
lines, found = [], []
with Stopping() as stopping, Inputs(selection, stopping) as inputs:
    inputs.open()
    inputs.drop_privileges()
    now = None if selection.chroot else status()
    with Pump(inputs, lines.append) as pump:
        for buffer, input_ in pump:
            found.append([input_.name, buffer.packets])
report(now=now, lines=lines, found=found, root=os.listdir("/") if selection.chroot else None)
"""


def as_nobody(**selection: object) -> dict[str, object]:
    facts: dict[str, object] = run(READ_AS_NOBODY, json.dumps(selection))
    return facts


@as_root
def test_files_are_opened_before_privileges_are_given_up(tmp_path) -> None:
    path = put(tmp_path / "x", 3)
    (tmp_path / "x.xz").write_bytes(lzma.compress(capture(2)))
    for name in ("x", "x.xz"):
        (tmp_path / name).chmod(0o600)
    gone = str(tmp_path / "gone")
    facts = as_nobody(files=[path, gone, f"{path}.xz"], user="nobody")
    assert facts["found"] == [[path, 3], [f"{path}.xz", 2]]
    assert facts["lines"] == [f"{gone}: No such file or directory"]
    now = facts["now"]
    assert isinstance(now, dict)
    assert now["Uid"].split() == ["65534"] * 4
    assert int(now["CapEff"], 16) == int(now["CapBnd"], 16) == 0


@as_root
def test_nothing_is_decompressed_before_privileges_are_given_up(tmp_path) -> None:
    directory, empty = tmp_path / "d", tmp_path / "e"
    for made in (directory, empty):
        made.mkdir(mode=0o700)
        (made / "other.xz").write_bytes(lzma.compress(b"no capture"))
    put(directory / "a", 3)
    (directory / "b.xz").write_bytes(lzma.compress(capture(2)))
    (directory / "text").write_bytes(b"no capture")
    (directory / "c.pcap").write_bytes(b"no capture, but for its name")
    put(directory / "z.1234", 1)
    before = """
import os
from daemonlogger_py.readers.inputs import decompress
def members(*arguments, real=decompress.members):
    assert os.getuid() == 65534
    return real(*arguments)
decompress.members = members
"""
    asked = {"files": [str(directory), str(empty), str(directory)], "user": "nobody"}
    facts = run(before + READ_AS_NOBODY, json.dumps(asked))
    names = [
        [f"{directory}/{name}", count] for name, count in (("a", 3), ("b.xz", 2), ("z.1234", 1))
    ]
    assert facts["found"] == names * 2
    none = f"{directory}/c.pcap: not a savefile, at byte offset 0: unknown file format"
    assert facts["lines"] == [none, f"{empty}: no savefiles in this directory", none]


@as_root
def test_ring_in_another_root_directory(tmp_path) -> None:
    directory = tmp_path / "ring"
    directory.mkdir(mode=0o700)
    ring(directory, 0, 60)
    jail = tmp_path / "jail"
    jail.mkdir()
    facts = as_nobody(ring=str(directory), user="nobody", chroot=str(jail))
    assert facts["found"] == [[f"{directory}/p.{EPOCH + s}", 1] for s in (0, 60)]
    assert facts["lines"] == []
    assert facts["root"] == []


@as_root
def test_the_newest_savefile_is_followed_by_who_may_not_open_it(tmp_path) -> None:
    ring(tmp_path, 0, 60)
    for second in (0, 60):
        (tmp_path / f"p.{EPOCH + second}").chmod(0o600)
    limit_ns = (EPOCH + 1000) * NS  # long past: what is there is all that comes
    facts = as_nobody(ring=str(tmp_path), user="nobody", follow=True, to_ns=limit_ns)
    assert facts["found"] == [[f"{tmp_path}/p.{EPOCH + s}", 1] for s in (0, 60)]
    assert facts["lines"] == []


@as_root
def test_a_root_directory_that_is_none(tmp_path, stopping) -> None:
    path = put(tmp_path / "x")
    code = """
    from daemonlogger_py.readers.inputs.opening import Inputs, Selection
    from daemonlogger_py.readers.inputs.stopping import Stopping
    with Stopping() as stopping:
        inputs = Inputs(Selection(files=(sys.argv[1],), chroot="/nosuchdir"), stopping)
        inputs.open()
        report(said=outcome(inputs.drop_privileges))
    """
    assert run(code, path)["said"] == "-z '/nosuchdir': No such file or directory"


def test_more_files_than_may_be_open(tmp_path, stopping, monkeypatch) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (100, 1000))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: asked.append(limits))
    opening._allow_descriptors(100)
    opening._allow_descriptors(900)
    assert asked == [(900, 1000)]

    def refuse(_: int, limits: tuple[int, int]) -> None:
        raise ValueError

    monkeypatch.setattr(resource, "setrlimit", refuse)
    with pytest.raises(UsageError, match="no more than 1000 may be open"):
        opening._allow_descriptors(2000)
    monkeypatch.undo()
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (soft, hard)


def test_without_a_user_files_are_opened_one_by_one(tmp_path, stopping) -> None:
    paths = tuple(put(tmp_path / f"x{n}") for n in range(50))
    before = len(os.listdir("/proc/self/fd"))
    with Inputs(Selection(files=paths), stopping) as inputs:
        inputs.open()
        inputs.drop_privileges()
        most = max(len(os.listdir("/proc/self/fd")) for _ in inputs)
    assert most <= before + 1


def test_whole_way(tmp_path) -> None:
    a = put(tmp_path / "a", 1000)
    done = pumped(Selection(files=(a, str(tmp_path / "gone"))))
    assert done.numbers == list(range(1000))
    assert done.failures == 1


def test_owner_is_who_will_read(tmp_path, stopping) -> None:
    path = put(tmp_path / "x")
    with Inputs(Selection(files=(path,), user="nobody"), stopping) as inputs:
        inputs.open()
        assert inputs.owner == (65534, 65534)
    with Inputs(Selection(files=(path,)), stopping) as inputs:
        inputs.open()
        assert inputs.owner is None


@as_root
def test_a_copy_is_not_read_as_well_without_privileges(tmp_path) -> None:
    for name, count in (("p.1", 1), ("p.2", 2)):
        put(tmp_path / name, count)
    for name, data in (("p.1.gz", capture(1)), ("p.2.gz", capture(3, first=5))):
        (tmp_path / name).write_bytes(gzip.compress(data))
    facts = as_nobody(files=[str(tmp_path)], user="nobody")
    names = [("p.1", 1), ("p.2", 2), ("p.2.gz", 3)]
    assert facts["found"] == [[f"{tmp_path}/{name}", count] for name, count in names]
    assert facts["lines"] == []
