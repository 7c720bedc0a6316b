"""Figures of speech networks whose spikes are moved, deleted or played backwards."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from ..experiments.arms import ARMS, COUNT_MLP, LABELS
from ..tables import by_seed, select
from .curves import draw_arm, draw_legend, means
from .style import LOOKS, MM, WIDE

VARIANTS = ("norm", "part", "whole")
PROTOCOLS = ("trained at the level", "trained clean")
LEVELS = {
    "jitter": "s.d. of every spike's jitter (ms)",
    "jitter_neurons": "s.d. of every unit's shift (ms)",
    "delete": "share of deleted spikes",
}
PLACES = {"input": "", "hidden 1": " in hidden layer 1", "hidden 2": " in hidden layer 2"}


def draw_relocation(rows: list[dict]) -> Figure:
    """Accuracy against the share f of relocated spikes, a column a variant; above, trained at f, and reversed (open).

    Args:
        rows: of the experiment `relocation`: small points seeds, lines means.
    """
    rows = select(rows, part="test")
    fig, axes = plt.subplots(2, len(VARIANTS), figsize=(WIDE, 120 * MM), sharex=True, sharey=True, layout="constrained")
    for variant, column in zip(VARIANTS, axes.T, strict=True):
        of_variant = select(rows, variant=variant)
        _draw_protocols(column, of_variant, "relocate")
        for arm in _arms(of_variant):
            backwards = _against(select(of_variant, arm=arm), "relocate_reversed", "reverse")
            colour, marker = LOOKS[arm]
            levels, accuracies = means(backwards, "tested_level")
            column[0].plot(levels, accuracies, marker, ls="--", lw=0.8, color=colour, mfc="white", ms=5)
        column[0].plot([], [], "o--", lw=0.8, color="grey", mfc="white", ms=5, label="the same, reversed")
        column[0].set_title(variant)
        column[1].set_xlabel("share f of relocated spikes")
    _finish(fig, axes)
    return fig


def draw_robustness(rows: list[dict]) -> Figure:
    """Accuracy on norm against jitter of spikes, shift of units, and deletion, trained at the level or clean.

    Args:
        rows: of the experiment `robustness`: small points seeds, lines means.
    """
    rows = select(rows, part="test", variant="norm")
    fig, axes = plt.subplots(2, len(LEVELS), figsize=(WIDE, 120 * MM), sharex="col", sharey=True, layout="constrained")
    for (name, label), column in zip(LEVELS.items(), axes.T, strict=True):
        _draw_protocols(column, rows, name)
        column[1].set_xlabel(label)
    _finish(fig, axes)
    return fig


def draw_reversal(rows: list[dict]) -> Figure:
    """Accuracy on norm when stretches of a test sample are reversed, and of networks trained forwards or backwards.

    Args:
        rows: of the experiment `robustness`: small points seeds, lines means.
    """
    rows = select(rows, part="test", variant="norm")
    fig, axes = plt.subplots(1, 2, figsize=(WIDE, 75 * MM), sharey=True, squeeze=False, layout="constrained")
    for arm in _arms(rows):
        clean = select(rows, arm=arm, trained="clean")
        windows = select(clean, tested="reverse_windows") + select(clean, tested="clean")
        longest = max((row["tested_level"] for row in windows), default=0)
        whole = [row | {"tested_level": 1.5 * longest} for row in select(clean, tested="reverse")]
        draw_arm(axes[0, 0], windows + whole, arm, "tested_level", LABELS[arm])
    for ax in axes[0]:
        _draw_scale(ax, rows)
    widths = sorted({row["tested_level"] for row in select(rows, tested="reverse_windows")})
    axes[0, 0].set_xticks([0, *widths, 1.5 * widths[-1]], ["none", *(f"{width:g}" for width in widths), "all"])
    axes[0, 0].set_xlabel("reversed stretches (ms)")
    cases = [(trained, tested) for trained in ("clean", "reverse") for tested in ("clean", "reverse")]
    for place, (trained, tested) in enumerate(cases):
        for arm in _arms(rows):
            scores = [100 * score for score in by_seed(select(rows, arm=arm, trained=trained, tested=tested)).values()]
            at = place + 0.12 * (1 if arm == "trained_wide" else -1)
            axes[0, 1].plot([at] * len(scores), scores, LOOKS[arm][1], color=LOOKS[arm][0], ms=4)
    said = {"clean": "forwards", "reverse": "backwards"}
    names = [f"{said[trained]},\n{said[tested]}" for trained, tested in cases]
    axes[0, 1].set_xticks(range(len(cases)), names)
    axes[0, 1].set_xlabel("trained, tested")
    _finish(fig, axes)
    return fig


def draw_inside(rows: list[dict]) -> Figure:
    """Accuracy on norm when spikes are relocated or reversed in the input, or in a hidden layer of the trained network.

    Args:
        rows: of clean-trained networks: small points seeds, lines means.
    """
    rows = select(rows, part="test", variant="norm", trained="clean")
    fig, axes = plt.subplots(1, len(PLACES), figsize=(WIDE, 70 * MM), sharey=True, squeeze=False, layout="constrained")
    for ax, (place, where) in zip(axes[0], PLACES.items(), strict=True):
        _draw_scale(ax, rows)
        for arm in _arms(rows):
            of_arm = select(rows, arm=arm)
            moved = select(of_arm, tested=f"relocate{where}") + select(of_arm, tested="clean")
            draw_arm(ax, moved, arm, "tested_level", LABELS[arm])
            scores = [100 * score for score in by_seed(select(of_arm, tested=f"reverse{where}")).values()]
            ax.plot([1.2] * len(scores), scores, LOOKS[arm][1], mec=LOOKS[arm][0], mfc="white", ms=5)
        ax.set(title=place, xlabel="share f of relocated spikes")
        ax.set_xticks([0, 0.5, 1, 1.2], ["0", "0.5", "1", "rev."])
    _finish(fig, axes)
    return fig


def _draw_protocols(column: np.ndarray, rows: list[dict], name: str) -> None:
    """Above, networks trained at each level of a perturbation; below, trained clean and tested at each level."""
    for ax in column:
        _draw_scale(ax, rows)
    for arm in _arms(rows):
        of_arm = select(rows, arm=arm)
        draw_arm(column[0], _against(of_arm, name, "clean"), arm, "tested_level", LABELS[arm])
        clean = select(of_arm, trained="clean")
        draw_arm(
            column[1], select(clean, tested=name) + select(clean, tested="clean"), arm, "tested_level", LABELS[arm]
        )


def _against(rows: list[dict], tested: str, at_zero: str) -> list[dict]:
    """Rows of networks tested at the level that they were trained at; at level 0 the clean-trained on `at_zero`."""
    same = [row for row in select(rows, tested=tested) if row["trained_level"] == row["tested_level"] > 0]
    clean = select(rows, trained="clean", tested=at_zero)
    return [row | {"tested_level": 0.0} for row in clean] + [row for row in same if row["trained"] != "clean"]


def _arms(rows: list[dict]) -> list[str]:
    return [arm for arm in ARMS if select(rows, arm=arm)]


def _draw_scale(ax: plt.Axes, rows: list[dict]) -> None:
    """Chance, and what the perceptron on counts reaches; relocation and jitter keep counts."""
    chance = next((row["chance"] for row in rows if row["chance"]), 0.0)
    ax.axhline(100 * chance, color="grey", ls=":", lw=1, zorder=0, label="chance")
    counts = by_seed(select(rows, arm=COUNT_MLP, tested="clean"))
    if counts:
        look = {"color": LOOKS[COUNT_MLP][0], "ls": "--", "lw": 1}
        ax.axhline(100 * np.mean(list(counts.values())), zorder=0, label=LABELS[COUNT_MLP], **look)


def _finish(fig: Figure, axes: np.ndarray) -> None:
    """Labels, and one legend for all."""
    for protocol, ax in zip(PROTOCOLS if len(axes) > 1 else ("",), axes[:, 0], strict=True):
        ax.set_ylabel(f"{protocol}\nbalanced accuracy (%)".strip())
    axes[0, 0].set_ylim(0, 100)
    draw_legend(fig, axes)
