"""The explorer as a picture, where nothing can be dragged."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from ..data.digits import CLASSES, ENGLISH
from ..data.events import Binned
from ..experiments.arms import LABELS
from ..figures.style import LOOKS, MM, SMALL, WIDE
from .respond import Response

PLACES = (("input", "words"), ("hidden 0", "hidden 1"), ("evidence 0", "evidence 1"))


def language(label: int) -> str:
    """Of a class."""
    return "English" if label < len(ENGLISH) else "German"


def answer(response: Response, label: int) -> str:
    """What a network says of a word, in one line."""
    if response.decision < 0:
        return "no answer"
    right = "right" if response.decision == label else "wrong"
    return f"{CLASSES[response.decision]} ({right}, {100 * response.probabilities[response.decision]:.0f} % sure)"


def draw_responses(word: Binned, responses: dict[str, Response], title: str) -> Figure:
    """Spikes of a word, of both networks' hidden layers, the evidence for every word as it grows, and the answers.

    Args:
        word: one sample, as the networks heard it.
        responses: kind of network -> its response; two.
        title: what was heard.
    """
    fig, axes = plt.subplot_mosaic(PLACES, figsize=(WIDE, 125 * MM), layout="constrained", height_ratios=(1, 1, 1.1))
    label = int(word.labels[0])
    ms = 1e3 * word.bin_width
    end = ms * max(len(response.evidence) for response in responses.values())
    _raster(axes["input"], [word], "black")
    axes["input"].set(ylabel="input unit", xlim=(0, end))
    fig.suptitle(title)
    _words(axes["words"], responses)
    for column, (arm, response) in enumerate(responses.items()):
        hidden, evidence = axes[f"hidden {column}"], axes[f"evidence {column}"]
        _raster(hidden, response.hidden, LOOKS[arm][0])
        hidden.set(title=LABELS[arm], xlim=(0, end))
        _evidence(evidence, response, label, ms, LOOKS[arm][0])
        evidence.set(title=answer(response, label), xlim=(0, end), xlabel="time (ms)")
    axes["hidden 0"].set_ylabel("hidden neuron\n(layer 1 below, 2 above)")
    axes["evidence 0"].set_ylabel("evidence (thresholds)")
    shared = [axes["evidence 0"].get_ylim(), axes["evidence 1"].get_ylim()]
    for column in (0, 1):
        axes[f"evidence {column}"].set_ylim(min(low for low, _ in shared), max(high for _, high in shared))
    return fig


def _words(ax: plt.Axes, responses: dict[str, Response]) -> None:
    """How likely each network holds each word."""
    places = np.arange(len(CLASSES))
    for shift, (arm, response) in zip((-0.2, 0.2), responses.items(), strict=True):
        ax.bar(places + shift, 100 * response.probabilities, 0.4, color=LOOKS[arm][0])
    ax.set_xticks(places, CLASSES, rotation=90, fontsize=SMALL)
    ax.set(ylabel="sure of it (%)", ylim=(0, 100))


def _raster(ax: plt.Axes, layers: list[Binned] | tuple[Binned, ...], colour) -> None:
    """Spikes of one layer, or of two with the second above the first."""
    below = 0
    for layer in layers:
        ax.scatter(1e3 * layer.bin_width * layer.bins, layer.units + below, s=1.5, color=[colour], linewidths=0)
        below += layer.n_units
    for edge in np.cumsum([layer.n_units for layer in layers])[:-1]:
        ax.axhline(edge - 0.5, color="grey", lw=0.5)
    ax.set_ylim(-1, below)


def _evidence(ax: plt.Axes, response: Response, label: int, ms: float, colour) -> None:
    """Evidence for all words in grey; for the spoken one dashed, for the answer in the network's colour."""
    times = ms * np.arange(len(response.evidence))
    ax.plot(times, response.evidence, color="0.8", lw=0.6)
    marked = {response.decision: {"color": colour, "lw": 1.6}} if response.decision >= 0 else {}
    marked[label] = marked.get(label, {"color": "black", "lw": 1.2}) | {"ls": "--"}
    for word, look in marked.items():
        ax.plot(times, response.evidence[:, word], **look)
        ax.annotate(CLASSES[word], (times[-1], response.evidence[-1, word]), (2, 0), textcoords="offset points",
                    fontsize=SMALL, va="center", annotation_clip=False)  # fmt: skip
