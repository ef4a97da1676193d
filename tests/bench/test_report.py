"""The tables: cells, verdicts in words, and the README's markers."""

import pytest

from bench.report import (
    BEGIN,
    END,
    curve_section,
    document,
    number,
    put_between_markers,
    row_section,
    snippet,
    table,
    write,
)
from bench.results import OURS, Curve, Figure, Goal, Results, Row

ROW = Row(
    "replay",
    "replay of all",
    "s",
    (
        Figure(OURS, (0.2, 0.1, 0.3), "daemonlogger -R x"),
        Figure("tcpdump", (0.4, 0.5, 0.6), "tcpdump -r x"),
        Figure("cp", (), note="not installed"),
    ),
    (Goal(0.5, "tcpdump"), Goal(0.1, "cp")),
    measured="2026-01-01",
)
CURVE = Curve(
    "ring", "one roll-over", "files", "us", {OURS: ((10, (1.0, 2.0, 9.0)), (100, ()))}, measured="d"
)


def test_a_table_escapes_bars_and_line_ends():
    assert table(["a", "b"], [["x|y", "p\nq"]]) == "| a | b |\n| --- | --- |\n| x\\|y | p q |"


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (None, "s", "-"),
        (0.1234, "s", "0.123 s"),
        (43.21, "ms", "43.2 ms"),
        (155828.0, "packets", "155,828"),
        (0.0, "packets", "0"),
        (1234.5, "", "1,234"),
    ],
)
def test_number(value, unit, text):
    assert number(value, unit) == text


def test_a_row_shows_figures_ratio_and_verdicts():
    section = row_section(ROW)
    assert "| ours | 0.200 s | 0.100 s to 0.300 s | 3 | 1.00 | `daemonlogger -R x` |" in section
    assert "| tcpdump | 0.500 s | 0.400 s to 0.600 s | 3 | 0.40 |" in section
    assert "| cp | - | - | 0 |  |  | not installed |" in section
    assert "| <= 0.5 x tcpdump | 0.40 x | met |" in section
    assert "| <= 0.1 x cp | - | not measured |" in section


def test_a_goal_that_is_missed_says_so():
    missed = Row("r", "t", "ms", (Figure(OURS, (90.0,)),), (Goal(80),))
    assert "| <= 80 | 90 | **not met** |" in row_section(missed)


def test_a_curve_shows_medians_and_leaves_gaps_empty():
    section = curve_section(CURVE)
    assert "| 10 | 2.000 |" in section
    assert "| 100 | - |" in section


def test_the_report_names_machine_versions_and_command():
    found = Results(
        {"Kernel": "Linux 6"}, {"tcpdump": "4.99"}, "python -m bench", 5, [ROW], [CURVE]
    )
    text = document(found)
    for words in ("`python -m bench`", "| Kernel | Linux 6 |", "| tcpdump | 4.99 |", "(ring.png)"):
        assert words in text


def test_only_what_is_between_the_markers_is_replaced():
    text = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    once = put_between_markers(text, "new")
    assert once == f"before\n{BEGIN}\nnew\n{END}\nafter\n"
    assert put_between_markers(once, "new") == once


@pytest.mark.parametrize("text", ["no markers", f"{BEGIN} only", f"only {END}"])
def test_without_both_markers_nothing_changes(text):
    assert put_between_markers(text, "new") == text


def test_write_puts_the_table_into_the_readme(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(f"{BEGIN}\n{END}\n")
    write(Results(rounds=5, rows=[ROW]), tmp_path / "out", readme)
    assert snippet(Results(rounds=5, rows=[ROW])) in readme.read_text()
    assert (tmp_path / "out" / "results.md").exists()


def test_a_run_with_another_out_leaves_the_readme_alone(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib", reason="the bench extra is not installed")
    from bench import __main__ as command

    readme = tmp_path / "README.md"
    readme.write_text(f"{BEGIN}\n{END}\n")
    monkeypatch.setattr(command, "ROOT", tmp_path)
    monkeypatch.setattr(command, "PUBLISHED", tmp_path / "docs" / "bench")
    found = Results(rounds=5, rows=[ROW])
    command.publish(found, command.arguments(["--out", str(tmp_path / "trial")]))
    assert readme.read_text() == f"{BEGIN}\n{END}\n"
    command.publish(found, command.arguments([]))
    assert snippet(found) in readme.read_text()
