"""Interleaving and the running of one tool."""

import sys

import pytest

from bench.measure import ToolError, interleaved, peak_bytes, run


def test_every_round_runs_every_tool_and_begins_with_another():
    order = []
    samples, failures = interleaved(["a", "b", "c"], 3, lambda tool: order.append(tool) or tool)
    assert order == ["a", "b", "c", "b", "c", "a", "c", "a", "b"]
    assert samples == {"a": ["a"] * 3, "b": ["b"] * 3, "c": ["c"] * 3}
    assert failures == {}


def test_a_tool_that_fails_is_not_tried_again_and_the_others_go_on():
    tried = []

    def once(tool):
        tried.append(tool)
        if tool == "bad":
            raise ToolError("why")
        return 1

    samples, failures = interleaved(["bad", "good"], 3, once)
    assert tried.count("bad") == 1
    assert samples["good"] == [1, 1, 1]
    assert failures == {"bad": "why"}


def test_nothing_to_measure_is_no_error():
    assert interleaved([], 2, lambda tool: tool) == ({}, {})


def test_the_cpu_of_the_child_is_counted(tmp_path):
    cost = run([sys.executable, "-c", "sum(range(10**6))"], tmp_path / "log")
    assert cost.cpu_s > 0
    assert cost.wall_s > 0


def test_a_failure_names_status_and_message(tmp_path):
    with pytest.raises(ToolError, match=r"exit status 3: .*: why"):
        run([sys.executable, "-c", "import sys; print('why'); sys.exit(3)"], tmp_path / "log")


def test_a_tool_that_does_not_end_is_killed(tmp_path):
    with pytest.raises(ToolError, match=r"killed after 0\.2 s"):
        run([sys.executable, "-c", "import time; time.sleep(60)"], tmp_path / "log", 0.2)


def test_the_peak_is_of_the_tool_and_its_children_not_of_this_process(tmp_path):
    own = bytearray(200 << 20)
    own[::4096] = b"x" * len(own[::4096])
    assert peak_bytes([sys.executable, "-c", "pass"], tmp_path / "log") < 100 << 20
    held = "import time; held = b'x' * (60 << 20); time.sleep(0.3)"
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {held!r}])"
    assert 60 << 20 < peak_bytes([sys.executable, "-c", child], tmp_path / "log") < 150 << 20


def test_a_failure_ends_the_watch(tmp_path):
    with pytest.raises(ToolError, match=r"exit status 3"):
        peak_bytes([sys.executable, "-c", "raise SystemExit(3)"], tmp_path / "log")
