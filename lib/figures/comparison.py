"""Figure of our results against the authors'."""

from __future__ import annotations

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from ..comparison import Cell
from ..experiments.arms import LABELS
from .curves import draw_legend
from .style import LOOKS, MM, WIDE

VARIANTS = ("norm", "part", "whole")


def draw_comparison(cells: list[Cell], chance: float) -> Figure:
    """Every condition as a point: the authors' accuracy across, ours upwards; open: reversed at test.

    Args:
        cells: of `lib.comparison.compare`; bars are 95 % intervals over seeds.
        chance: of both.
    """
    fig, axes = plt.subplots(1, len(VARIANTS), figsize=(WIDE, 75 * MM), sharex=True, sharey=True, squeeze=False,
                             layout="constrained")  # fmt: skip
    for ax, variant in zip(axes[0], VARIANTS, strict=True):
        ax.plot([0, 100], [0, 100], color="grey", lw=0.8, zorder=0, label="equal")
        for line in (ax.axhline, ax.axvline):
            line(100 * chance, color="grey", ls=":", lw=1, zorder=0)
        for cell in cells:
            if cell.variant != variant or cell.authors is None or cell.ours is None:
                continue
            colour, marker = LOOKS[cell.arm]
            face = "white" if cell.perturbation == "relocate_reversed" else colour
            low, high = (cell.ours.mean, cell.ours.mean) if cell.ours.low is None else (cell.ours.low, cell.ours.high)
            ax.vlines(cell.authors, low, high, color=colour, lw=0.8)
            ax.plot(cell.authors, cell.ours.mean, marker, color=colour, mfc=face, ms=4)
        ax.set(title=variant, xlabel="the authors' accuracy on SHD (%)", xlim=(0, 100), ylim=(0, 100))
    for arm in dict.fromkeys(cell.arm for cell in cells):
        axes[0, 0].plot([], [], LOOKS[arm][1], color=LOOKS[arm][0], ms=4, label=LABELS[arm])
    axes[0, 0].plot([], [], "o", color="grey", mfc="white", ms=4, label="reversed at test")
    axes[0, 0].set_ylabel("balanced accuracy here (%)\ndotted: chance")
    draw_legend(fig, axes)
    return fig
