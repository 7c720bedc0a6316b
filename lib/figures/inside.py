"""Figures of what trained networks are like inside, and of what they confuse."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from ..data.events import BIN_WIDTH_PAPER
from ..experiments.arms import LABELS
from ..scores import by_class, by_voice
from ..tables import select
from .curves import draw_legend
from .style import LOOKS, MM, SMALL, WIDE

DELAYED = ("fixed_small", "trained_small", "fixed_wide", "trained_wide")
COMPARED = ("no_delays", "trained_wide")


def draw_delay_histograms(rows: list[dict]) -> Figure:
    """Delays of the inputs and of the first hidden layer, drawn at random (filled) and after training (lines).

    Args:
        rows: of the experiment `controls`: all neurons of all seeds together, networks trained clean on norm.
    """
    rows = select(rows, part="test", variant="norm", trained="clean", tested="clean")
    fig, axes = plt.subplots(2, 2, figsize=(WIDE, 95 * MM), sharex="col", layout="constrained")
    for line, (fixed, trained) in zip(
        axes.T, (("fixed_small", "trained_small"), ("fixed_wide", "trained_wide")), strict=True
    ):
        for layer, (ax, axons) in enumerate(zip(line, ("inputs", "first hidden layer"), strict=True)):
            delays = {arm: _delays(select(rows, arm=arm), layer) for arm in (fixed, trained)}
            longest = max((values.max() for values in delays.values() if len(values)), default=1.0)
            for arm, how in (
                (fixed, {"histtype": "stepfilled", "alpha": 0.4}),
                (trained, {"histtype": "step", "lw": 1.2}),
            ):
                ax.hist(
                    delays[arm],
                    np.linspace(0, longest, 41),
                    density=True,
                    color=LOOKS[arm][0],
                    label=LABELS[arm],
                    **how,
                )
            ax.set(title=axons, ylabel="density (1/ms)")
        line[-1].set_xlabel("delay (ms)")
    draw_legend(fig, axes)
    return fig


def _delays(rows: list[dict], layer: int) -> np.ndarray:
    """Delays of one layer, ms, of all rows together."""
    found = [row["delays"][layer] for row in rows if row.get("delays")]
    return np.concatenate(found) * BIN_WIDTH_PAPER * 1e3 if found else np.empty(0)


def draw_confusion(rows: list[dict], words: list[str]) -> Figure:
    """Which word is taken for which, without delays and with trained ones, and accuracy by word and by voice.

    Args:
        rows: of the experiment `controls`: all seeds together, networks trained clean on norm, test voices.
        words: of the classes.
    """
    rows = select(rows, part="test", variant="norm", trained="clean", tested="clean")
    fig, axes = plt.subplot_mosaic([["left", "right"], ["words", "voices"]], figsize=(WIDE, 150 * MM),
                                   layout="constrained", height_ratios=(2, 1))  # fmt: skip
    for ax, arm in zip((axes["left"], axes["right"]), COMPARED, strict=True):
        counts = sum(np.array(row["confusion"]) for row in select(rows, arm=arm) if row["accuracy"] is not None)
        shares = 100 * counts / counts.sum(1, keepdims=True)
        image = ax.imshow(shares, cmap="cividis", vmin=0, vmax=100, aspect="auto")
        ax.set_xticks(range(len(words) + 1), [*words, "no answer"], rotation=90, fontsize=SMALL)
        ax.set_yticks(range(len(words)), words, fontsize=SMALL)
        ax.set(title=LABELS[arm], xlabel="taken for", ylabel="spoken" if arm == COMPARED[0] else None)
    fig.colorbar(image, ax=(axes["left"], axes["right"]), label="share of the spoken word (%)", shrink=0.8)
    chance = 100 / len(words)
    for name, scores_of in (("words", by_class), ("voices", by_voice)):
        scores = {arm: scores_of(select(rows, arm=arm)) for arm in COMPARED}
        places = sorted(scores[COMPARED[0]], key=lambda group: (len(str(group)), group))  # 2 before 10
        for arm, found in scores.items():
            for place, group in enumerate(places):
                values = [100 * score for score in found.get(group, [])]
                axes[name].plot([place] * len(values), values, LOOKS[arm][1], color=LOOKS[arm][0], ms=3)
        axes[name].axhline(chance, color="grey", ls=":", lw=1, zorder=0)
        labels = [words[group] for group in places] if name == "words" else places
        axes[name].set_xticks(range(len(places)), labels, rotation=90 if name == "words" else 0, fontsize=SMALL)
        axes[name].set(ylim=(0, 100), xlabel={"words": "word", "voices": "voice"}[name])
    axes["words"].set_ylabel("right answers (%)\ndotted: chance")
    return fig
