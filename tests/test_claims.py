"""Verdicts follow from numbers by the written rules, and the README shows those of the published results."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nbformat
import pytest

from lib import __main__ as command_line
from lib import claims, tables
from lib.claims import Claim, Rule, judge, load, markdown
from lib.errors import InputError
from lib.tables import Table, select

SPREAD = (-0.01, 0.01, 0.0, -0.005, 0.005)  # between seeds; mean 0


def rows(arm: str, accuracy: float, seeds: int = 5, **fields) -> list[dict]:
    """Test rows of an arm on norm, one a seed."""
    base = {
        "variant": "norm", "part": "test", "trained": "clean", "trained_level": 0.0, "tested": "clean",
        "tested_level": 0.0, "chance": 0.05, "samples": 1000, "parameters": 1000, "failed": None,
    }  # fmt: skip
    return [base | {"arm": arm, "seed": s, "accuracy": accuracy + SPREAD[s % 5]} | fields for s in range(seeds)]


def table(*several: list[dict], preset: str = "full", data: str = "digits") -> Table:
    """A table of these rows."""
    return Table("timing_alone", data, preset, [row for some in several for row in some], {})


def verdict(rule: Rule, *tables_: Table) -> tuple[str, str]:
    """Verdict and effect of a claim with one rule on the digits."""
    (judged,) = judge([Claim("X", "a claim", "E", "many", ["digits"], [rule])], list(tables_))
    return judged.verdict, judged.effects[0]


A_OVER_B = Rule("accuracy", {"variant": "norm", "arm": "a"}, {"variant": "norm", "arm": "b"}, need=10)


@pytest.mark.parametrize(
    ("a", "word"),
    [(0.55, "reproduced"), (0.501, "reproduced"), (0.45, "weaker"), (0.395, "opposite"), (0.25, "opposite")],
)
def test_a_difference_is_judged_by_size_and_interval(a, word):
    """b is at 40 %, pairs differ by the same in all seeds: at least 10 points, fewer, below zero."""
    gain = f"{100 * a - 40:.1f}"
    assert verdict(A_OVER_B, table(rows("a", a), rows("b", 0.4))) == (word, f"{gain} [{gain}, {gain}]")


def test_a_difference_inside_its_interval_is_not_reproduced():
    """Two points of difference with a standard error of two."""
    noisy = rows("a", 0.42)
    for row, shift in zip(noisy, (0.05, -0.05, 0.05, -0.05, 0.0), strict=True):
        row["accuracy"] += shift
    word, text = verdict(A_OVER_B, table(noisy, rows("b", 0.4)))
    assert word == "not reproduced" and text.startswith("2.0 [-4.") and text.endswith(", 8.2]")


@pytest.mark.parametrize(
    ("a", "word"),
    [
        (0.401, "reproduced"), (0.412, "reproduced"), (0.413, "not reproduced"), (0.415, "not reproduced"),
        (0.5, "opposite"), (0.3, "opposite"),
    ],
)  # fmt: skip
def test_no_difference_is_judged_by_equivalence(a, word):
    """Band of 2 points, seeds differ by about 1: inside with p < 0.05 (at 1.2 points p is 0.043, at 1.3 0.059);
    perhaps; surely outside, either side."""
    rule = Rule("over_chance", {"variant": "norm", "arm": "a"}, within=[33, 37])
    assert verdict(rule, table(rows("a", a)))[0] == word


def test_on_the_edge_nothing_is_claimed():
    """All seeds exactly at a bound of the band, or without any difference: neither reproduced nor opposite."""
    half = [row | {"accuracy": 0.5} for row in rows("a", 0.5)]
    for band in ([50, 60], [40, 50]):
        rule = Rule("accuracy", {"variant": "norm", "arm": "a"}, within=band)
        assert verdict(rule, table(half)) == ("not reproduced", "50.0 [50.0, 50.0]")
    same = [row | {"arm": "b"} for row in half]
    assert verdict(A_OVER_B, table(half, same)) == ("not reproduced", "0.0 [0.0, 0.0]")


def test_few_seeds_have_no_verdict():
    """Four pairs, though each is far above the bound: not tested; so with no results at all."""
    assert verdict(A_OVER_B, table(rows("a", 0.9, seeds=4), rows("b", 0.4))) == (
        "not tested", "4 of 5 seeds: 50.0, 50.0, 50.0, 50.0",
    )  # fmt: skip
    assert verdict(A_OVER_B, table(rows("a", 0.9))) == ("not tested", "no results")


def test_failed_runs_are_not_counted():
    """One of five seeds failed: four are left, too few."""
    some = rows("a", 0.9)
    some[2] |= {"accuracy": None, "failed": "silent", "chance": None}
    assert verdict(A_OVER_B, table(some, rows("b", 0.4)))[1].startswith("4 of 5 seeds: ")


REVERSED = {"tested": "reverse", "tested_level": 1.0}


@pytest.mark.parametrize(("measure", "value"), [("accuracy", 15), ("over_chance", 10), ("drop", 30), ("kept", 25)])
def test_measures(measure, value):
    """Clean 45 %, reversed 15 %, chance 5 %: a quarter of what was above chance is kept."""
    ways = ((0.45, {}), (0.15, REVERSED))
    flat = [row | {"accuracy": accuracy} | change for accuracy, change in ways for row in rows("a", 0)]
    rule = Rule(measure, {"variant": "norm", "arm": "a"} | REVERSED, need=1)
    assert verdict(rule, table(flat)) == ("reproduced", f"{value:.1f} [{value:.1f}, {value:.1f}]")


def test_of_nothing_nothing_is_kept():
    """Where the clean score is at chance, there is no share to tell."""
    rule = Rule("kept", {"variant": "norm", "arm": "a"} | REVERSED, need=1)
    assert verdict(rule, table(rows("a", 0.0), rows("a", 0.1, **REVERSED))) == ("not tested", "no results")


def test_parameters_are_compared_in_per_cent():
    """1,000 and 1,004 parameters: 0.4 %."""
    rule = Rule("parameters", {"arm": "a"}, {"arm": "b"}, within=[0, 0.5], relative=True)
    more = table(rows("a", 0.5, parameters=1004), rows("b", 0.5))
    assert verdict(rule, more) == ("reproduced", "0.4 [0.4, 0.4]")


def test_largest_preset_and_test_voices_count():
    """Full before quick; smoke never; validation voices never; other data sets never; shared runs count once."""
    good, bad = table(rows("a", 0.9), rows("b", 0.4)), table(rows("a", 0.1), rows("b", 0.4), preset="quick")
    assert verdict(A_OVER_B, bad, good)[0] == "reproduced"
    assert verdict(A_OVER_B, bad, good, replace(good, experiment="other"))[0] == "reproduced"
    assert verdict(A_OVER_B, bad)[0] == "opposite"
    for other in ({"preset": "smoke"}, {"data": "fsdd"}):
        assert verdict(A_OVER_B, replace(good, **other))[0] == "not tested"
    validation = [row | {"part": "validation"} for row in good.rows]
    assert verdict(A_OVER_B, table(validation))[0] == "not tested"
    claim = Claim("X", "a claim", "E", "many", ["digits"], [A_OVER_B])
    assert judge([claim], [table(validation)], part="validation")[0].verdict == "reproduced"


def test_a_claim_is_as_good_as_its_worst_rule():
    """Reproduced and opposite is opposite; any part that is not tested leaves it untested."""
    results = [table(rows("a", 0.9), rows("b", 0.4))]
    opposite, missing = replace(A_OVER_B, of=A_OVER_B.than, than=A_OVER_B.of), replace(A_OVER_B, of={"arm": "c"})
    for rules, word in (([A_OVER_B, opposite], "opposite"), ([opposite, missing], "not tested")):
        (judged,) = judge([Claim("X", "", "", "", ["digits"], rules)], results)
        assert judged.verdict == word and len(judged.effects) == 2


# The committed claims


def test_all_claims_are_there():
    """F1 to F17, each with the paper's numbers; every measure and field is known (or loading fails)."""
    assert [claim.id for claim in load()] == [f"F{n}" for n in range(1, 18)]
    assert all(claim.paper and (claim.rules or claim.note) for claim in load())
    on = {data for claim in load() for data in claim.data}
    assert on == {"isi", "polychrony", "coincidence", "digits", "fsdd", "shd", "ssc"}


PAPER = {  # norm: (without delays, with delays, counts), as the authors report
    "clean": (0.2332, 0.4786, 0.05), "reverse": (0.1661, 0.1270, 0.05),
}  # fmt: skip


def authors_table(change: float = 0.0) -> Table:
    """The authors' numbers on norm as if of five seeds; `change` is added to all clean scores with delays."""
    arms = ("no_delays", "trained_wide", "count_mlp")
    several = [
        rows(arm, accuracy + (change if arm == "trained_wide" and tested == "clean" else 0), tested=tested,
             tested_level=float(tested == "reverse"))
        for tested, accuracies in PAPER.items() for arm, accuracy in zip(arms, accuracies, strict=True)
    ]  # fmt: skip
    return table(*several)


def test_the_authors_own_numbers_reproduce_their_claims():
    """F6, F7 and the norm part of F13 hold for the numbers of the paper."""
    on_norm = [replace(c, rules=[r for r in c.rules if r.of["variant"] == "norm"]) for c in load("F6", "F7", "F13")]
    judged = {v.claim.id: v.verdict for v in judge(on_norm, [authors_table()]) if v.data == "digits"}
    assert judged == {"F6": "reproduced", "F7": "reproduced", "F13": "reproduced"}


@pytest.mark.parametrize(("change", "word"), [(-0.25, "weaker"), (-0.428, "not reproduced"), (-0.45, "opposite")])
def test_numbers_edited_to_be_false_turn_the_verdict(change, word):
    """The score with delays lowered step by step to below counts: F7 turns weaker, not reproduced, opposite."""
    (claim,) = load("F7")
    edited = authors_table(change)
    if word == "not reproduced":  # at chance within the spread of seeds
        for row in select(edited.rows, arm="trained_wide", tested="clean"):
            row["accuracy"] += (0.02, -0.02, 0.02, -0.02, 0.0)[row["seed"]]
    (judged,) = [v for v in judge([claim], [edited]) if v.data == "digits"]
    assert judged.verdict == word


def test_table_has_a_row_for_every_claim():
    """Seventeen rows; what is judged shows effect and interval; data sets without results are named."""
    lines = markdown(judge(load(), [authors_table()])).splitlines()
    assert len(lines) == 2 + 17 and all(line.count("|") == 5 for line in lines)
    (f7,) = [line for line in lines if line.startswith("| F7 ")]
    judged = "synthetic digits: **reproduced** (18.3 [18.3, 18.3]; 42.9 [42.9, 42.9])"
    assert f"{judged}<br>FSDD, SHD, SSC: not tested |" in f7
    (f16,) = [line for line in lines if line.startswith("| F16 ")]
    assert "**not tested** (needs listeners)" in f16


def test_readme_shows_the_published_verdicts():
    """The table in README.md is the one that the published results give: python -m lib claims --write-readme."""
    text = claims.README.read_text()
    shown = text.split(claims.START)[1].split(claims.END)[0].strip()
    assert shown == markdown(claims.judge_published())


def test_the_notebook_of_claims_shows_the_published_verdicts():
    """Stored outputs of notebook 10: the README's table, and the same of the validation voices."""
    notebook = nbformat.read(claims.ROOT / "notebooks" / "10_claims.ipynb", as_version=4)
    outputs = [output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", [])]
    shown = [data["text/markdown"].strip() for data in outputs if "text/markdown" in data]
    assert markdown(claims.judge_published()).strip() in shown
    validation = judge(load("F6", "F7", "F13"), tables.published(), part="validation")
    assert markdown(validation).strip() in shown


def test_writing_the_readme_changes_the_table_only(tmp_path, monkeypatch, capsys):
    """Everything outside the marks stays; without marks, one line says so and nothing is written."""
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{claims.START}\nold\n{claims.END}\nafter\n")
    monkeypatch.setattr(claims, "README", readme)
    monkeypatch.setattr(tables, "PUBLISHED", tmp_path)
    assert command_line.main(["claims", "--write-readme"]) == 0
    printed = capsys.readouterr().out
    assert readme.read_text() == f"before\n{claims.START}\n{printed}{claims.END}\nafter\n"
    for text in ("no marks", f"only {claims.START}", f"only {claims.END}"):
        readme.write_text(text)
        assert command_line.main(["claims", "--write-readme"]) == 2
        assert "marks of the claims table are not there" in capsys.readouterr().err and readme.read_text() == text


@pytest.mark.parametrize(
    "text",
    [
        "- id: [",
        "- {id: F1}",
        "- {id: F1, claim: a, figure: b, paper: c, data: [], rules: [], colour: red}",
        "- {id: F1, claim: a, figure: b, paper: c, data: [], rules: [{measure: speed, of: {}, need: 1}]}",
        "- {id: F1, claim: a, figure: b, paper: c, data: [], rules: [{measure: drop, of: {}}]}",
        "- {id: F1, claim: a, figure: b, paper: c, data: [], rules: [{measure: drop, of: 5, need: 1}]}",
        "- {id: F1, claim: a, figure: b, paper: c, data: [], rules: [{measure: drop, of: {}, within: [1]}]}",
        "- {id: F1, claim: a, figure: b, paper: c, data: [], rules: [{measure: drop, of: {}, within: [1, high]}]}",
        "- {id: F1, claim: a, figure: 7, paper: c, data: [], rules: []}",
        "- {id: F1, claim: a, figure: b, paper: c, data: 5, rules: []}",
    ],
)
def test_damaged_claims_are_said(tmp_path: Path, text):
    """Not YAML, fields missing or unknown, unknown measure, no bound: one line with the file."""
    (tmp_path / "claims.yaml").write_text(text)
    with pytest.raises(InputError, match="claims.yaml: ") as said:
        load(path=tmp_path / "claims.yaml")
    assert "\n" not in str(said.value)
