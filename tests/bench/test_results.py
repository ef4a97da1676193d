"""Medians, ratios, verdicts, and what survives being saved."""

import pytest

from bench.results import (
    OURS,
    Curve,
    Figure,
    Goal,
    Results,
    Row,
    judge,
    load,
    per_unit,
    ratio,
    save,
)


def row(ours, peer, *goals):
    figures = (Figure(OURS, tuple(ours)), Figure("tcpdump", tuple(peer)))
    return Row("replay", "-R", "s", figures, goals)


@pytest.mark.parametrize(
    ("values", "median"), [((3.0, 1.0, 2.0), 2.0), ((4.0, 1.0, 2.0, 3.0), 2.5), ((), None)]
)
def test_median(values, median):
    assert Figure("x", values).median == median


@pytest.mark.parametrize(
    ("value", "to", "expected"),
    [(1.0, 4.0, 0.25), (None, 4.0, None), (1.0, None, None), (1, 0, None)],
)
def test_ratio(value, to, expected):
    assert ratio(value, to) == expected


def test_a_ratio_goal_compares_medians_not_means():
    found = judge(Goal(0.5, "tcpdump"), row([1.0, 1.0, 90.0], [2.0, 2.0, 2.0]))
    assert (found.value, found.met) == (0.5, True)


@pytest.mark.parametrize(
    ("than", "limit", "met"),
    [
        ("<=", 2.0, True),
        ("<", 2.0, False),
        (">=", 2.0, True),
        ("<=", 1.9, False),
        (">=", 2.1, False),
    ],
)
def test_an_absolute_goal_at_its_limit(than, limit, met):
    assert judge(Goal(limit, than=than), row([2.0], [])).met is met


def test_a_goal_without_values_on_one_side_is_not_judged():
    assert judge(Goal(0.5, "tcpdump"), row([1.0], [])).met is None
    assert judge(Goal(0.5, "dumpcap"), row([1.0], [1.0])).met is None
    assert judge(Goal(0), row([], [1.0])).met is None


def test_no_drops_meet_a_goal_of_no_drops():
    found = judge(Goal(0), row([0.0], [5.0]))
    assert (found.value, found.met) == (0.0, True)


@pytest.mark.parametrize(
    ("goal", "text"),
    [
        (Goal(0.5, "tcpdump"), "<= 0.5 x tcpdump"),
        (Goal(1_000_000, than=">="), ">= 1,000,000"),
        (Goal(0.65, "tcpdump", tool="ours --direct"), "ours --direct: <= 0.65 x tcpdump"),
    ],
)
def test_goal_in_words(goal, text):
    assert goal.text == text


def test_cost_of_one_unit_from_two_runs():
    assert per_unit(longer=3.0, shorter=1.0, units=100) == pytest.approx(0.02)


def test_results_survive_being_saved(tmp_path):
    found = Results({"Kernel": "k"}, {"tcpdump": "4"}, "python -m bench", 5)
    found.add(row([1.0, 2.0], [3.0], Goal(0.5, "tcpdump")))
    found.add(Curve("ring", "t", "x", "y", {OURS: ((10.0, (1.0, 2.0)),)}, log_x=True))
    save(found, tmp_path / "results.json")
    assert load(tmp_path / "results.json") == found


def test_a_row_measured_again_takes_the_place_of_the_earlier_one():
    found = Results()
    found.add(row([1.0], []))
    found.add(Curve("replay", "t", "x", "y", {}))
    found.add(row([2.0], []))
    assert [one.median(OURS) for one in found.rows] == [2.0]
    assert len(found.curves) == 1
