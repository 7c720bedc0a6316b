"""Figures of the synthetic codes."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from ..experiments.arms import COUNT_MLP
from ..experiments.synthetic import ARMS, COUNT_OPTIMUM, LABELS, OBSERVER
from ..tables import at_level, by_seed, select
from .curves import draw_arm, draw_legend, means
from .style import LOOKS, MM, WIDE

DESIGNS = ("paper", "matched", "comparison")
READERS = {OBSERVER: {"color": "black", "lw": 1.2}, COUNT_OPTIMUM: {"color": "grey", "ls": "--", "lw": 1}}
REVERSED_AT = 1.25  # beyond the last level


def draw_levels(rows: list[dict]) -> Figure:
    """Accuracy against f (intervals up to 100 ms) or overlap (coincidence), a column a design and size of network.

    Above, networks trained at the level; below, trained on clean samples, at all levels and (open) played backwards.

    Args:
        rows: of the experiment `isi`, `polychrony` or `coincidence`: a point a seed, lines through their means.
    """
    rows = select(rows, part="test")
    rows = [row for row in rows if row["lag_ms"] in (None, 100)]
    columns = sorted({(row["design"], row["hidden"]) for row in rows if row["hidden"]}, key=_place)
    fig, axes = plt.subplots(
        2, len(columns), figsize=(WIDE, 125 * MM), sharex="row", sharey=True, squeeze=False, layout="constrained"
    )
    for (design, hidden), (above, below) in zip(columns, axes.T, strict=True):
        of_design = _shortest(select(rows, design=design))
        for ax in (above, below):
            _draw_scale(ax, of_design, "tested_level")
        for arm in ARMS:
            networks = select(of_design, arm=arm, hidden=hidden)
            draw_arm(above, at_level(networks), arm, "tested_level", LABELS[arm])
            clean = select(networks, trained="clean")
            forwards = [row for row in clean if row["tested"] != "reverse"]
            draw_arm(below, forwards, arm, "tested_level", LABELS[arm])
            _draw_reversed(below, select(clean, tested="reverse"), arm)
        above.set_title(f"{design} design, {hidden} hidden units")
        below.set_xlabel("overlap λ′ at test" if rows[0]["lag_ms"] is None else "share f of relocated spikes at test")
        below.set_xticks([0, 0.5, 1, REVERSED_AT], ["0", "0.5", "1", "reversed"])
    axes[0, 0].set_ylabel("trained at the level\nbalanced accuracy (%)")
    axes[1, 0].set_ylabel("trained clean\nbalanced accuracy (%)")
    axes[0, 0].set_ylim(25 if rows[0]["lag_ms"] is None else 40, 102)
    draw_legend(fig, axes)
    return fig


def draw_lags(rows: list[dict]) -> Figure:
    """Polychrony against the longest lag: the paper's plane without noise, and two lags among many pairs with noise.

    Args:
        rows: of the experiment `polychrony`.
    """
    rows = select(rows, part="test")
    plane = select(rows, design="paper", trained="clean", tested="clean")
    two_lags = [
        row for row in select(rows, design="matched") if row["duration_ms"] > 2000 and row["tested"] != "reverse"
    ]
    fig, axes = plt.subplots(1, 2, figsize=(WIDE, 75 * MM), sharey=True, squeeze=False, layout="constrained")
    titles = "paper's plane, f = 0", f"two lags, equal counts, f = {two_lags[0]['trained_level']}"
    for ax, chosen, title in zip(axes[0], (plane, two_lags), titles, strict=True):
        _draw_scale(ax, chosen, "lag_ms")
        for arm in ARMS:
            draw_arm(ax, select(chosen, arm=arm), arm, "lag_ms", LABELS[arm])
        ax.set(title=title, xlabel="longest lag (ms)", xlim=(0, 1.05 * max(row["lag_ms"] for row in rows)))
    axes[0, 0].set_ylabel("balanced accuracy (%)")
    axes[0, 0].set_ylim(40, 102)
    draw_legend(fig, axes)
    return fig


def draw_frames(differences: Sequence[float], lag_ms: float, weight: float, tau_ms: float) -> Figure:
    """One neuron with two inputs, of which the second comes `lag_ms` later: its membrane potential during training.

    Args:
        differences: of the two delays (first minus second), ms, one a frame.
        lag_ms, weight, tau_ms: lag, weight of both inputs (thresholds) and membrane time constant.
    """
    fig, axes = plt.subplots(1, len(differences), figsize=(WIDE, 42 * MM), sharey=True, layout="constrained")
    for ax, delay in zip(axes, differences, strict=True):
        arrivals = sorted((delay, lag_ms))
        time = np.sort(np.append(np.linspace(-10, lag_ms + 25, 1401), arrivals))  # peaks are seen whole
        potential = sum(weight * np.where(time >= t, np.exp(-np.maximum(time - t, 0) / tau_ms), 0) for t in arrivals)
        spikes = weight * (1 + np.exp(-(arrivals[1] - arrivals[0]) / tau_ms)) >= 1
        if spikes:
            potential -= np.where(time > arrivals[1], np.exp(-np.maximum(time - arrivals[1], 0) / tau_ms), 0)
        ax.plot(time, potential, color=LOOKS["trained_small"][0])
        ax.axhline(1, color="grey", ls=":", lw=1)
        ax.plot(arrivals, [0, 0], "|", color="black", ms=8)
        ax.set(title=f"{delay:.1f} ms" + (": spike" if spikes else ""), xlabel="time (ms)")
    axes[0].set_ylabel("membrane potential")
    return fig


def draw_delays(delays_ms: np.ndarray, lags: Sequence[float]) -> Figure:
    """Difference of the learnt delays of the two units of each channel, beside the two lags of the data.

    Args:
        delays_ms: (2 * channels,), ms; a channel's first unit comes first.
        lags: ms.
    """
    fig, ax = plt.subplots(figsize=(WIDE, 50 * MM), layout="constrained")
    ax.bar(range(len(delays_ms) // 2), delays_ms[::2] - delays_ms[1::2], color=LOOKS["trained_small"][0], width=0.6)
    for lag in lags:
        ax.axhline(lag, color="black", ls=":", lw=1)
    ax.set(xlabel="channel", ylabel="delay of first minus\ndelay of second unit (ms)")
    return fig


def _place(column: tuple[str, int]) -> tuple[int, int]:
    return DESIGNS.index(column[0]), column[1]


def _shortest(rows: list[dict]) -> list[dict]:
    """Rows of the shortest samples: those of the comparison over f, not of that over lags."""
    durations = {row["duration_ms"] for row in rows}
    return rows if None in durations else select(rows, duration_ms=min(durations))


def _draw_scale(ax: plt.Axes, rows: list[dict], across: str) -> None:
    """What the readers that are no networks reach, and chance."""
    for reader, look in READERS.items():
        ax.plot(*means(select(rows, arm=reader), across), label=LABELS[reader], zorder=0, **look)
    colour, marker = LOOKS[COUNT_MLP]
    ax.plot(*means(select(rows, arm=COUNT_MLP), across), marker, color=colour, ms=4, label=LABELS[COUNT_MLP], zorder=1)
    ax.axhline(100 * rows[0]["chance"], color="grey", ls=":", lw=1, zorder=0, label="chance")


def _draw_reversed(ax: plt.Axes, rows: list[dict], arm: str) -> None:
    colour, marker = LOOKS[arm]
    scores = [100 * score for score in by_seed(rows).values()]
    at = REVERSED_AT + 0.04 * (list(ARMS).index(arm) - 2)
    ax.plot([at] * len(scores), scores, marker, mfc="white", mec=colour, mew=0.8, ms=4)
