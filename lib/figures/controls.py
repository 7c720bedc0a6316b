"""Every kind of network on speech, side by side: what it reads, and at which price."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

from ..experiments.arms import COUNT_MLP, KINDS, LABELS
from ..scores import synaptic_operations
from ..tables import by_seed, select
from .style import LOOKS, MM, WIDE


def draw_controls(rows: list[dict]) -> Figure:
    """Accuracy forwards and backwards, spikes, synaptic operations and parameters of all kinds of network on norm.

    Args:
        rows: of the experiment `controls`: a point a seed, on test voices.
    """
    rows = select(rows, part="test", variant="norm", trained="clean")
    arms = [arm for arm in LABELS if select(rows, arm=arm)]
    fig, axes = plt.subplots(
        1, 4, figsize=(WIDE, (12 + 7 * len(arms)) * MM), sharey=True, layout="constrained", width_ratios=(2.2, 1, 1, 1)
    )
    for place, arm in enumerate(arms):
        colour, marker = LOOKS[arm]
        clean = select(rows, arm=arm, tested="clean")
        for tested, face in (("reverse", "white"), ("clean", colour)):
            scores = [100 * score for score in by_seed(select(rows, arm=arm, tested=tested)).values()]
            axes[0].plot(scores, [place] * len(scores), marker, color=colour, mfc=face, ms=5)
        if arm == COUNT_MLP:
            continue
        alive = [row for row in clean if row["accuracy"] is not None]
        prices = [costs(row) for row in alive]
        for ax, values in zip(axes[1:], np.array(prices).reshape(len(alive), 3).T, strict=True):
            ax.plot(values, [place] * len(values), marker, color=colour, ms=4)
    chance = next((row["chance"] for row in rows if row["chance"]), 0.0)
    axes[0].axvline(100 * chance, color="grey", ls=":", lw=1, zorder=0)
    axes[0].set_yticks(range(len(arms)), [LABELS[arm] for arm in arms])
    axes[0].set(
        xlabel="balanced accuracy (%)\nopen: backwards, dotted: chance", xlim=(0, 100), ylim=(len(arms) - 0.5, -0.5)
    )
    for ax, label in zip(
        axes[1:], ("hidden spikes\na sample", "synaptic operations\na sample", "trained\nparameters"), strict=True
    ):
        ax.set(xlabel=label, xlim=(0, None))
        ax.xaxis.set_major_locator(MaxNLocator(3))
        ax.xaxis.set_major_formatter(EngFormatter(sep=""))
    return fig


def costs(row: dict) -> tuple[float, float, float]:
    """Hidden spikes and synaptic operations of a sample, and trained parameters."""
    spikes = sum(rate * n for rate, n in zip(row["hidden_rates"], row["hidden"], strict=True))
    recurrent = KINDS[row["arm"]].recurrent
    n_classes = round(1 / row["chance"])
    operations = synaptic_operations(row["input_spikes"], row["hidden_rates"], row["hidden"], n_classes, recurrent)
    return spikes, operations, row["parameters"]
