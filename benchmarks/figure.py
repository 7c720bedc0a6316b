"""The figure of the README, from the stored numbers."""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, ScalarFormatter

from lib.figures import MM, WIDE, apply_style
from lib.files import write_atomically

from .harness import ratios

TITLES = {
    "S": "speech: 700-128-128-20, batch 128",
    "D": "speech, delays to 25 bins",
    "C": "intervals: 20-100-2, batch 32",
    "CD": "intervals, delays to 25 bins",
}
LABELS = {
    "ours": "this repository",
    "ours_compact": "this repository, compact",
    "expert": "sparse torch, by hand",
    "spyx": "spyx (JAX)",
    "brainstate": "brainstate (JAX)",
    "spikingjelly": "SpikingJelly",
    "snntorch": "snnTorch",
    "dcls": "DCLS + SpikingJelly",
    "torch_loop": "torch loop",
}
MARKERS = {100: "o", 250: "s", 1000: "D"}  # by time steps
OURS, OTHERS = "#0173b2", "#444444"


def draw(results: dict) -> Figure:
    """Time of a training step on a logarithmic axis, one panel a task; numbers are ratios to this repository.

    Args:
        results: as stored by `python -m benchmarks`.
    """
    fig, axes = plt.subplots(2, 2, figsize=(WIDE, 125 * MM), height_ratios=(8, 5), layout="constrained")
    for ax, (shape, title) in zip(axes[:, ::1].T.flat, TITLES.items(), strict=True):
        _draw_panel(ax, {n: results["tasks"][f"{shape} {n}"] for n in MARKERS if f"{shape} {n}" in results["tasks"]})
        ax.set_title(title)
    for ax in axes[1]:
        ax.set_xlabel("CPU ms of a training step, one core")
    handles = [plt.Line2D([], [], marker=m, ls="", ms=4, color=OTHERS, label=str(n)) for n, m in MARKERS.items()]
    fig.legend(
        handles=handles,
        loc="outside upper center",
        ncols=3,
        title="time steps; numbers: times the time of this repository",
    )
    return fig


def _draw_panel(ax: plt.Axes, by_duration: dict[int, dict]) -> None:
    """One task: a row a contestant, a point a duration."""
    names = [name for name in LABELS if any(name in found for found in by_duration.values())]
    for n, found in by_duration.items():
        for name, ratio in ratios({name: row["ms"] for name, row in found.items()}).items():
            place, ms = names.index(name), found[name]["ms"]
            ax.plot(ms, place, MARKERS[n], ms=4, color=OURS if name.startswith("ours") else OTHERS)
            if name != "ours":
                times = f"{ratio:.1f}" if ratio < 10 else f"{ratio:.0f}"
                ax.annotate(times, (ms, place), (0, 4), textcoords="offset points", ha="center", fontsize=6)
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter(ScalarFormatter())
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_yticks(range(len(names)), [LABELS[name] for name in names])
    ax.set_ylim(len(names) - 0.5, -0.7)
    ax.grid(axis="x", color="0.9")
    ax.set_axisbelow(True)


def write_figure(stored: Path) -> None:
    """Draw the numbers in `stored` as PNG and SVG beside it."""
    apply_style()
    fig = draw(json.loads(stored.read_text()))
    for suffix, metadata in ((".png", None), (".svg", {"Date": None})):
        with write_atomically(stored.with_suffix(suffix)) as temporary:
            fig.savefig(temporary, dpi=200, metadata=metadata)
    plt.close(fig)
