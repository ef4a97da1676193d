"""A process that starts another, and starts it anew when it is killed; each case in a child."""

import os

from ..service.child import run

PREPARED = """
    from daemonlogger_py.record import catalog_guard
    from daemonlogger_py.record.catalog_guard import Guard

    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs.settimeout(0)
    catalog_guard.PAUSE_S = 0.001

    def said():
        ours.settimeout(0)
        found = []
        while True:
            try:
                found.append(json.loads(ours.recv(65536))["say"])
            except BlockingIOError:
                return found

    def dies(times, how):
        def work(journal, again):
            number = journal.add(b"%d" % again)
            if number <= times:
                how()
        return work

    def kill():
        os.kill(os.getpid(), signal.SIGKILL)

    def guarded(work):
        guard = Guard(theirs, work)
        done = guard.run()
        again = [int(data) for _, data in guard._journal.notes()]
        report(done=done, said=said(), again=again)
"""


def test_work_that_is_done_is_done_once() -> None:
    assert run(PREPARED + "    guarded(dies(0, kill))") == {"done": True, "said": [], "again": [0]}


def test_a_killed_one_is_started_anew_and_finds_the_journal() -> None:
    facts = run(PREPARED + "    guarded(dies(2, kill))")
    text = "[!] The catalog's process ended, by SIGKILL: it is started anew"
    assert facts == {"done": True, "said": [["catalog_died", text]] * 2, "again": [0, 1, 1]}


def test_one_that_fails_says_why() -> None:
    facts = run(PREPARED + "    guarded(dies(1, lambda: 1 // 0))")
    assert facts["done"]
    assert [text for _, text in facts["said"]] == [
        "[!] The catalog's process failed: ZeroDivisionError: integer division or modulo by zero",
        "[!] The catalog's process ended, by an error: it is started anew",
    ]


def test_one_that_does_not_live_is_given_up_and_that_is_said_once() -> None:
    facts = run(PREPARED + "    guarded(dies(99, kill))")
    assert (facts["done"], len(facts["again"])) == (False, 5)
    assert [event for event, _ in facts["said"]] == ["catalog_died"] * 4 + ["catalog_ended"]
    assert facts["said"][-1][1] == (
        "[!] The catalog is not kept any more: its process ended 5 times within 60 s, by SIGKILL"
    )


def test_deaths_of_long_ago_do_not_count() -> None:
    facts = run(
        PREPARED
        + """
    catalog_guard.WITHIN_S = 0.0
    guarded(dies(7, kill))
    """
    )
    assert (facts["done"], len(facts["again"])) == (True, 8)


def test_it_is_started_when_there_is_a_process_to_be_had() -> None:
    facts = run(
        PREPARED
        + """
    fork, refused = os.fork, []
    def may_fork():
        if len(refused) < 2:
            refused.append(1)
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return fork()
    os.fork = may_fork
    guarded(dies(0, kill))
    """
    )
    assert (facts["done"], facts["again"]) == (True, [1])
    assert os.strerror(11) in facts["said"][0][1]


def test_a_pause_is_none_for_a_recorder_that_has_ended() -> None:
    facts = run(
        PREPARED
        + """
    catalog_guard.PAUSE_S = 1000
    def work(journal, again):
        if not again:
            kill()
    for end in (lambda: ours.shutdown(socket.SHUT_WR), ours.close):
        end()
        done = Guard(theirs, work).run()
    report(done=done)
    """
    )
    assert facts == {"done": True}
