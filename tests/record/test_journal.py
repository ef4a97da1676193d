"""What is noted in memory that two processes share, and what a kill in between leaves there."""

from hypothesis import given
from hypothesis import strategies as st

from daemonlogger_py.record.journal import Journal, Numbered

from ..service.child import run


def test_notes_are_numbered_and_kept() -> None:
    journal = Journal(4096)
    assert (journal.notes(), journal.number) == ([], 0)
    assert [journal.add(data) for data in (b"a", b"", b"ccc")] == [1, 2, 3]
    assert journal.notes() == [(1, b"a"), (2, b""), (3, b"ccc")]

    journal.keep([Numbered(2, b"")])
    assert (journal.notes(), journal.number) == ([(2, b"")], 3)
    assert journal.add(b"d") == 4
    journal.keep()
    assert (journal.notes(), journal.number, journal.incomplete) == ([], 4, False)


def test_what_does_not_fit_is_counted_and_said() -> None:
    journal = Journal(256)
    while not journal.incomplete:
        journal.add(b"0123456789")
    number, notes = journal.number, journal.notes()
    assert len(notes) == number - 1
    assert journal.add(b"x" * 200) == number + 1
    assert journal.notes() == notes

    journal.keep(notes[-1:])
    assert not journal.incomplete
    assert journal.notes() == notes[-1:]
    journal.keep([Numbered(1, b"x" * 200)])
    assert (journal.incomplete, journal.notes()) == (True, [])


@given(st.lists(st.one_of(st.binary(max_size=40), st.integers(0, 5)), max_size=40))
def test_it_is_as_a_list(steps: list[bytes | int]) -> None:
    """Bytes are added; a number is how many of the last ones are kept."""
    journal, model = Journal(1 << 14), list[tuple[int, bytes]]()
    number = 0
    for step in steps:
        if isinstance(step, int):
            model = model[-step:] if step else []
            journal.keep(Numbered(*one) for one in model)
        else:
            number += 1
            model.append((number, step))
            assert journal.add(step) == number
        assert journal.notes() == model
    assert not journal.incomplete


def test_another_process_finds_what_a_killed_one_left() -> None:
    facts = run(
        """
    from daemonlogger_py.record.journal import Journal
    journal = Journal()
    pid = os.fork()
    if pid == 0:
        for number in range(1000):
            journal.add(b"%d" % number)
            if number == 500:
                journal.keep(journal.notes()[-1:])
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    report(left=[int(data) for _, data in journal.notes()], number=journal.add(b"on"))
    """
    )
    assert facts == {"left": [*range(500, 1000)], "number": 1001}


def test_killed_before_the_last_one_was_counted() -> None:
    journal = Journal(4096)
    journal.add(b"a")
    journal._words[1] = 0

    assert journal.notes() == [(1, b"a")]
    assert journal.add(b"b") == 2
