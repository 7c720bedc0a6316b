"""Figures of the speech experiments."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from ..data.events import Binned
from ..experiments.arms import LABELS
from ..tables import by_seed, select
from .style import LOOKS, MM, SMALL, WIDE


def draw_raster(ax: plt.Axes, data: Binned, sample: int, title: str) -> None:
    """Spikes of one sample: time in ms across, unit upwards."""
    span = slice(data.offsets[sample], data.offsets[sample + 1])
    ax.scatter(data.bins[span] * data.bin_width * 1e3, data.units[span], s=1.5, color="black", linewidths=0)
    ax.set(title=title, xlabel="time (ms)", xlim=(0, None))


def draw_timing_alone(rows: list[dict]) -> Figure:
    """Balanced accuracy of every kind of network, played forwards and backwards, on norm and on whole.

    Args:
        rows: of the experiment `timing_alone`: a point a seed; the line is their mean. Where no seed has a score,
            the place says so.
    """
    arms = {v: [arm for arm in LABELS if select(rows, arm=arm, variant=v)] for v in ("norm", "whole")}
    fig, axes = plt.subplots(
        2, 2, figsize=(WIDE, 130 * MM), sharey=True, sharex="col", layout="constrained",
        width_ratios=[len(arms["norm"]), len(arms["whole"])],
    )  # fmt: skip
    titles = {"norm": "norm: every unit fires the same number of spikes", "whole": "whole: all spikes"}
    parts = {"validation": "validation voices\n(choices were made on them)", "test": "test voices\n(scored once)"}
    chance = 100 * next((row["chance"] for row in rows if row["chance"]), 0.0)
    for row, part in enumerate(parts):
        for column, variant in enumerate(arms):
            ax = axes[row, column]
            _draw_panel(ax, select(rows, part=part, variant=variant), arms[variant])
            ax.axhline(chance, color="grey", ls=":", lw=1, zorder=0)
            ax.annotate("chance", (1, chance), xycoords=("axes fraction", "data"), xytext=(2, 0),
                        textcoords="offset points", va="center", color="grey", fontsize=SMALL)  # fmt: skip
            if row == 0:
                ax.set_title(titles[variant])
        axes[row, 0].set_ylabel(f"{parts[part]}\nbalanced accuracy (%)")
    axes[0, 0].set_ylim(0, 100)
    handles = [plt.Line2D([], [], color="black", marker="o", ls="", mfc=face, label=label)
               for face, label in (("black", "as spoken"), ("white", "reversed in time"))]  # fmt: skip
    axes[0, 0].legend(handles=handles, loc="upper left")
    return fig


def _draw_panel(ax: plt.Axes, rows: list[dict], arms: list[str]) -> None:
    """One panel: filled points as spoken, open points reversed."""
    for place, arm in enumerate(arms):
        colour, marker = LOOKS[arm]
        for shift, tested in ((-0.17, "clean"), (0.17, "reverse")):
            chosen = select(rows, arm=arm, trained="clean", tested=tested)
            scores = 100 * np.array(list(by_seed(chosen).values()))
            if len(scores) < len(chosen):
                _say_missing(ax, place + shift, len(chosen) - len(scores))
            if not len(scores):
                continue
            spread = np.linspace(-0.07, 0.07, len(scores)) if len(scores) > 1 else np.zeros(1)
            face = colour if tested == "clean" else "white"
            ax.plot(place + shift + spread, scores, marker, ms=4, mfc=face, mec=colour, mew=0.8)
            ax.hlines(scores.mean(), place + shift - 0.14, place + shift + 0.14, color=colour, lw=1.2, zorder=0)
    ax.set_xticks(range(len(arms)), [LABELS[arm] for arm in arms], rotation=35, ha="right", rotation_mode="anchor")
    ax.set_xlim(-0.5, len(arms) - 0.5)


def _say_missing(ax: plt.Axes, place: float, runs: int) -> None:
    """Say at the foot of the panel that runs failed, so that nobody takes their absence for a score."""
    ax.annotate(f"{runs} failed", (place, 0), xytext=(0, 3), textcoords="offset points", rotation=90, ha="center",
                va="bottom", color="grey", fontsize=SMALL)  # fmt: skip
