"""Accuracy against a level, for several kinds of network: what figures of that kind share."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from ..tables import by_seed, select
from .style import LOOKS, SMALL


def draw_arm(ax: plt.Axes, rows: list[dict], arm: str, across: str, label: str) -> None:
    """A kind of network: means joined by a line, and a small point a seed."""
    colour, marker = LOOKS[arm]
    levels, accuracies = means(rows, across)
    if not len(levels):
        return
    alone = {"mfc": "none", "ms": 7} if len(levels) == 1 else {"ms": 4}  # a single point may lie under others
    ax.plot(levels, accuracies, color=colour, lw=1, marker=marker, label=label, **alone)
    points = [row for row in rows if row["accuracy"] is not None]
    ax.plot([r[across] for r in points], [100 * r["accuracy"] for r in points], ".", color=colour, ms=2.5)


def means(rows: list[dict], across: str) -> tuple[list[float], list[float]]:
    """Values on the axis and mean accuracy (%) over seeds, without failed runs."""
    values = sorted({row[across] for row in rows if row["accuracy"] is not None})
    return values, [100 * float(np.mean(list(by_seed(select(rows, **{across: value})).values()))) for value in values]


def draw_legend(fig: Figure, axes: np.ndarray) -> None:
    """One legend below all panels, of everything that any of them shows."""
    labelled = {}
    for ax in axes.flat:
        handles, labels = ax.get_legend_handles_labels()
        labelled |= dict(zip(labels, handles, strict=True))
    fig.legend(labelled.values(), labelled.keys(), loc="outside lower center", ncols=4, fontsize=SMALL)
