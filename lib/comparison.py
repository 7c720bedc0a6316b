"""Our results beside the numbers of the authors, cell by cell: `authors.yaml` holds theirs, with the source."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml
from scipy.stats import spearmanr

from .errors import InputError
from .statistics import Estimate, estimate
from .tables import Table, by_seed, select

AUTHORS = Path(__file__).with_name("authors.yaml")
SILENT = "silent"


@dataclass(frozen=True)
class Cell:
    """One condition.

    Attributes:
        perturbation: of training and test; "relocate_reversed": trained relocated, tested relocated and reversed.
        variant, arm, level: as in tables of results.
        authors: their accuracy on SHD, %; None: their network was silent.
        ours: accuracy on test voices, %, over seeds; None: not computed, or no seed has a score.
    """

    perturbation: str
    variant: str
    arm: str
    level: float
    authors: float | None
    ours: Estimate | None = None


def compare(tables: list[Table], path: Path = AUTHORS) -> list[Cell]:
    """Every number of the authors, with ours from the tables of one data set and preset.

    Raises:
        InputError: the file is damaged, or the tables are of several data sets or presets.
    """
    kinds = {(table.data, table.preset) for table in tables}
    if len(kinds) > 1:
        raise InputError(f"tables: of several data sets or presets, {sorted(kinds)}; give those of one")
    rows = list({str(row): row for table in tables for row in table.rows if row.get("part") == "test"}.values())
    cells = []
    for cell in _authors(path):
        scores = by_seed(_rows_of(cell, rows))
        ours = estimate([100 * score for score in scores.values()]) if scores else None
        cells.append(Cell(cell.perturbation, cell.variant, cell.arm, cell.level, cell.authors, ours))
    return cells


def _authors(path: Path) -> list[Cell]:
    """The authors' cells."""
    try:
        return [
            Cell(perturbation, variant, arm, float(level), None if value == SILENT else float(value))
            for perturbation, variants in yaml.safe_load(path.read_text()).items()
            for variant, arms in variants.items()
            for arm, levels in arms.items()
            for level, value in levels.items()
        ]
    except (yaml.YAMLError, AttributeError, TypeError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: {str(error).splitlines()[0]}; see the head of the file") from None


def _rows_of(cell: Cell, rows: list[dict]) -> list[dict]:
    """Our rows of the same condition; at f = 0 the clean-trained network's."""
    rows = select(rows, variant=cell.variant, arm=cell.arm)
    if cell.level == 0:
        return select(rows, trained="clean", tested="reverse" if cell.perturbation == "relocate_reversed" else "clean")
    trained = "relocate" if cell.perturbation == "relocate_reversed" else cell.perturbation
    at = {"trained_level": cell.level, "tested_level": cell.level}
    return select(rows, trained=trained, tested=cell.perturbation, **at)


def markdown(cells: list[Cell]) -> str:
    """A table: one line a perturbation, variant and level; the authors' number, ours and its 95 % interval."""
    lines = ["| | level | no delays: authors | ours | trained delays: authors | ours |", "|---|---|---|---|---|---|"]
    kinds = list(dict.fromkeys((cell.perturbation, cell.variant) for cell in cells))
    places = {(kinds.index((cell.perturbation, cell.variant)), cell.level) for cell in cells}
    for place in [(*kinds[kind], level) for kind, level in sorted(places)]:
        at = [cell for cell in cells if (cell.perturbation, cell.variant, cell.level) == place]
        pairs = [next((cell for cell in at if cell.arm == arm), None) for arm in ("no_delays", "trained_wide")]
        texts = [text for cell in pairs for text in (_text_of_authors(cell), _text_of_ours(cell))]
        lines.append(f"| {place[0].replace('_', ' ')}, {place[1]} | {place[2]:g} | {' | '.join(texts)} |")
    return "\n".join(lines)


def _text_of_authors(cell: Cell | None) -> str:
    if cell is None:
        return ""
    return SILENT if cell.authors is None else f"{cell.authors:.1f}"


def _text_of_ours(cell: Cell | None) -> str:
    if cell is None or cell.ours is None:
        return ""
    spread = "" if cell.ours.low is None else f" [{cell.ours.low:.1f}, {cell.ours.high:.1f}]"
    return f"{cell.ours.mean:.1f}{spread}"


def rank_agreement(cells: list[Cell]) -> float:
    """Spearman's rank correlation of the authors' accuracies and ours, over the cells that have both."""
    both = [(cell.authors, cell.ours.mean) for cell in cells if cell.authors is not None and cell.ours is not None]
    return float(spearmanr(*zip(*both, strict=True)).statistic) if len(both) > 2 else float("nan")
