"""Runners of hooks that are gone after each test, and what they told."""

from collections.abc import Iterator

import pytest

from daemonlogger_py.service.hooks import HookRunner

from .hooking import SOON_S, Heard, Run, members, until


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def run(heard: Heard) -> Iterator[Run]:
    """Starts runners; all of them are closed in the end, and have to go then."""
    runners: list[HookRunner] = []

    def start(command: str, *arguments: object, **limits: float) -> HookRunner:
        runner = HookRunner(command, *arguments, **limits)  # type: ignore[arg-type]
        runners.append(runner)
        runner.start()
        runner.watch(heard)
        return runner

    yield start
    for runner in runners:
        runner.close(SOON_S)
        if runner.pid is not None:  # one that was killed has not waited for its guards
            until(lambda pid=runner.pid: members(pid) == [])
