"""The paper's claims, judged by machine: `claims.yaml` says what is claimed and by which rule it is judged."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from .errors import InputError
from .files import write_atomically
from .provenance import ROOT
from .runs import canonical
from .scores import retention
from .statistics import FEWEST_SEEDS, estimate, inside, paired_differences
from .tables import Table, by_seed, published, select

CLAIMS = Path(__file__).with_suffix(".yaml")
README = ROOT / "README.md"
START, END = "<!-- claims: made by python -m lib claims --write-readme -->", "<!-- end of claims -->"
VERDICTS = ("reproduced", "weaker", "not reproduced", "opposite", "not tested")  # from good to bad
LARGEST_FIRST = ("paper", "full", "quick")  # smoke results say nothing
NAMES = {"digits": "synthetic digits", "fsdd": "FSDD", "shd": "SHD", "ssc": "SSC", "isi": "ISI"}
NOTHING = "no results"
PERCENT = 100


@dataclass(frozen=True)
class Rule:
    """What a claim says of the results; the fields are explained in `claims.yaml`."""

    measure: str
    of: dict
    than: dict | None = None
    need: float | None = None
    within: tuple[float, float] | None = None
    relative: bool = False


@dataclass(frozen=True)
class Claim:
    """A claim of the paper; the fields are explained in `claims.yaml`."""

    id: str
    claim: str
    figure: str
    paper: str
    data: list[str]
    rules: list[Rule]
    note: str = ""


@dataclass(frozen=True)
class Verdict:
    """How a claim stands on one data set.

    Attributes:
        claim: which.
        data: data set; "" for a claim that none can judge.
        verdict: one of VERDICTS.
        effects: one text a rule: effect and 95 % interval, or why there is none.
    """

    claim: Claim
    data: str
    verdict: str
    effects: list[str]


def load(*ids: str, path: Path = CLAIMS) -> list[Claim]:
    """Read the claims, or those with these ids.

    Raises:
        InputError: the file is not YAML, an entry has an unknown or lacks a field, a rule has not one of need, within.
    """
    try:
        claims = [Claim(**entry | {"rules": [Rule(**rule) for rule in entry["rules"]]}) for entry in
                  yaml.safe_load(path.read_text())]  # fmt: skip
    except (yaml.YAMLError, TypeError, KeyError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: {str(error).splitlines()[0]}; see the head of the file") from None
    for claim in claims:
        if not _is_text(claim.id, claim.claim, claim.figure, claim.paper, claim.note, *_list(claim.data)):
            raise InputError(f"{path}: {claim.id}: a field that is text is something else; see the head of the file")
        if not all(map(_is_sound, claim.rules)):
            raise InputError(f"{path}: {claim.id}: a rule has a known measure, and need or within")
    return [claim for claim in claims if not ids or claim.id in ids]


def _list(value: object) -> list:
    """Itself, or what `_is_text` refuses."""
    return value if isinstance(value, list) else [None]


def _is_text(*values: object) -> bool:
    return all(isinstance(value, str) for value in values)


def _is_sound(rule: Rule) -> bool:
    """Whether the fields of a rule are of their types, with one of need and within."""
    cells = [rule.of, {} if rule.than is None else rule.than]
    bounds = _list(rule.within) if rule.need is None else [rule.need]
    numbers = all(isinstance(bound, (int, float)) for bound in bounds) and len(bounds) == (
        2 if rule.need is None else 1
    )
    known = (
        _is_text(rule.measure)
        and rule.measure in MEASURES
        and all(isinstance(cell, dict) and _is_text(*cell) for cell in cells)
    )
    return known and numbers and (rule.need is None) != (rule.within is None)


def judge(claims: list[Claim], tables: list[Table], part: str = "test") -> list[Verdict]:
    """Every claim on every data set that it applies to, by the results of the largest preset that has any.

    Args:
        claims, tables: what is judged, and by what.
        part: whose voices: "test", or "validation", where only clean and reversed samples are scored.
    """
    rows = cache(lambda data, preset: _rows(tables, data, preset, part))
    verdicts = []
    for claim in claims:
        for data in claim.data or [""]:
            tried = [_judge_on(claim, data, rows(data, preset)) for preset in LARGEST_FIRST]
            tested = [verdict for verdict in tried if has_results(verdict)]
            verdicts.append((tested or tried)[0])
    return verdicts


def has_results(verdict: Verdict) -> bool:
    """Whether there is a number for any rule."""
    return any(text != NOTHING for text in verdict.effects)


def judge_published() -> list[Verdict]:
    """The claims of `claims.yaml` by the published results."""
    return judge(load(), published())


def _rows(tables: list[Table], data: str, preset: str, part: str) -> list[dict]:
    """A part's rows of all experiments on a data set; a run that two experiments share counts once."""
    rows = [row for table in tables if (table.data, table.preset) == (data, preset) for row in table.rows]
    rows = [row for row in rows if row.get("part", "test") == part]
    return list({canonical(row): row for row in rows}.values())


def _judge_on(claim: Claim, data: str, rows: list[dict]) -> Verdict:
    if not claim.rules:
        return Verdict(claim, data, "not tested", [claim.note])
    judged = [_judge_rule(rule, rows) for rule in claim.rules]
    return Verdict(claim, data, max((word for word, _ in judged), key=VERDICTS.index), [text for _, text in judged])


def _judge_rule(rule: Rule, rows: list[dict]) -> tuple[str, str]:
    """Verdict and effect of one rule."""
    values = _values(rule, rows)
    if len(values) < FEWEST_SEEDS:
        points = ", ".join(f"{value:.1f}" for value in values)
        return "not tested", f"{len(values)} of {FEWEST_SEEDS} seeds: {points}" if values else NOTHING
    effect = estimate(values)
    text = f"{effect.mean:.1f} [{effect.low:.1f}, {effect.high:.1f}]"
    if rule.within is not None:
        low, high = rule.within
        if inside(values, low, high) < 0.05:
            return "reproduced", text
        return ("opposite" if effect.high < low or effect.low > high else "not reproduced"), text
    if effect.low > 0:
        return ("reproduced" if effect.mean >= rule.need else "weaker"), text
    return ("opposite" if effect.high < 0 else "not reproduced"), text


def _values(rule: Rule, rows: list[dict]) -> list[float]:
    """The effect, one value a seed, in the order of seeds."""
    of = _measured(rule.measure, rule.of, rows)
    if rule.than is None:
        return [of[seed] for seed in sorted(of)]
    than = _measured(rule.measure, rule.than, rows)
    if rule.relative:
        of = {seed: PERCENT * value / than[seed] for seed, value in of.items() if seed in than}
        than = dict.fromkeys(of, PERCENT)
    return paired_differences(of, than)


def _measured(measure: str, cell: dict, rows: list[dict]) -> dict[int, float]:
    """Seed -> value of a measure in the rows of a cell; conditions that it does not name are clean, level 0."""
    unperturbed = {"trained": "clean", "trained_level": 0.0, "tested": "clean", "tested_level": 0.0}
    chosen = select(rows, **unperturbed | cell)
    clean = by_seed(select(rows, **cell | unperturbed))
    values = {
        row["seed"]: MEASURES[measure](row["accuracy"], row, clean.get(row["seed"], math.nan))
        for row in chosen
        if row["seed"] in by_seed(chosen)
    }
    return {seed: value for seed, value in values.items() if not math.isnan(value)}


# Measure -> (accuracy, row, accuracy of the same network trained and tested on clean samples) -> value, or nan: none
MEASURES = {
    "accuracy": lambda accuracy, row, clean: PERCENT * accuracy,
    "over_chance": lambda accuracy, row, clean: PERCENT * (accuracy - row["chance"]),
    "drop": lambda accuracy, row, clean: PERCENT * (clean - accuracy),
    "kept": lambda accuracy, row, clean: PERCENT * retention(clean, accuracy, row["chance"]),
    "parameters": lambda accuracy, row, clean: float(row["parameters"]),
}


def markdown(verdicts: list[Verdict]) -> str:
    """A table: one row a claim, with its verdict on each data set."""
    lines = ["| | the paper claims | the paper's numbers | here |", "|---|---|---|---|"]
    for claim in {verdict.claim.id: verdict.claim for verdict in verdicts}.values():
        own = [verdict for verdict in verdicts if verdict.claim.id == claim.id]
        cells = [_cell(verdict) for verdict in own if has_results(verdict)]
        untested = [NAMES.get(verdict.data, verdict.data) for verdict in own if not has_results(verdict)]
        cells += [f"{', '.join(untested)}: not tested"] if untested else []
        lines.append(f"| {claim.id} | {claim.claim} ({claim.figure}) | {claim.paper} | {'<br>'.join(cells)} |")
    return "\n".join(lines)


def _cell(verdict: Verdict) -> str:
    """One data set's verdict with its effects."""
    where = f"{NAMES.get(verdict.data, verdict.data)}: " if verdict.data else ""
    return f"{where}**{verdict.verdict}** ({'; '.join(verdict.effects)})"


def write_readme(table: str, path: Path | None = None) -> None:
    """Put the table between the two marks of the README.

    Raises:
        InputError: the marks are not there.
    """
    path = path or README
    text = path.read_text()
    if text.count(START) != 1 or text.count(END) != 1:
        raise InputError(f"{path}: the marks of the claims table are not there; add the lines {START} and {END}")
    before, _, rest = text.partition(START)
    with write_atomically(path) as temporary:
        temporary.write_text(f"{before}{START}\n{table}\n{END}{rest.partition(END)[2]}")
