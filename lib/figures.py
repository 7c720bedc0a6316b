"""Figures: one style, fixed colours, saved as PNG and SVG with the numbers and where they come from."""

from __future__ import annotations

import json
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.figure import Figure

from .data.events import Binned
from .errors import InputError
from .experiments import ARMS, COUNT_MLP, Run
from .files import write_atomically

ROOT = Path(__file__).parents[1]
MM = 1 / 25.4  # inches
WIDE = 178 * MM  # a page's width
LABELS = {COUNT_MLP: "spike counts (MLP)"} | {name: arm.label for name, arm in ARMS.items()}
COLOURS = dict(zip(LABELS, sns.color_palette("colorblind", len(LABELS)), strict=True))
MARKERS = dict(zip(LABELS, "Xovs^DP", strict=True))
STYLE = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "svg.fonttype": "none",  # text stays text
    "pdf.fonttype": 42,
    "svg.hashsalt": "beyond-rate-coding",  # same figure, same bytes
    "figure.dpi": 120,
}


def apply_style() -> None:
    """Use the house style for all figures drawn from now on."""
    sns.set_theme(style="ticks", context="paper", rc=STYLE)


def folder(data: str, preset: str) -> Path:
    """Where the figures of a data set and preset are kept; smoke figures are no results and go below `build/`."""
    base = ROOT / "build" / "figures" if preset == "smoke" else ROOT / "figures"
    return base / data / preset


def records(runs: list[Run], results: list[dict]) -> list[dict]:
    """One record a run and part: the plotted numbers, with what they belong to."""
    rows = []
    for run, result in zip(runs, results, strict=True):
        for part in ("validation", "test"):
            scores = {key: result[part][key] for key in ("clean", "reversed", "samples")}
            rows.append({"variant": run.variant, "arm": run.arm, "seed": run.seed, "part": part} | scores)
    return rows


def draw_raster(ax: plt.Axes, data: Binned, sample: int, title: str) -> None:
    """Spikes of one sample: time in ms across, unit upwards."""
    span = slice(data.offsets[sample], data.offsets[sample + 1])
    ax.scatter(data.bins[span] * data.bin_width * 1e3, data.units[span], s=1.5, color="black", linewidths=0)
    ax.set(title=title, xlabel="time (ms)", xlim=(0, None))


def draw_timing_alone(table: list[dict], n_classes: int) -> Figure:
    """Balanced accuracy of every kind of network, played forwards and backwards, on norm and on whole.

    Args:
        table: records (`records`): a point a seed; the line is their mean.
        n_classes: chance is 1 / n_classes.
    """
    arms = {v: [a for a in LABELS if any(r["arm"] == a and r["variant"] == v for r in table)] for v in ("norm", "whole")}
    widths = [len(arms["norm"]), len(arms["whole"])]
    fig, axes = plt.subplots(
        2, 2, figsize=(WIDE, 130 * MM), sharey=True, sharex="col", width_ratios=widths, layout="constrained"
    )
    titles = {"norm": "norm: every unit fires the same number of spikes", "whole": "whole: all spikes"}
    parts = {"validation": "validation voices\n(settings were chosen on them)", "test": "test voices\n(scored once)"}
    for row, part in enumerate(parts):
        for column, variant in enumerate(arms):
            ax = axes[row, column]
            _draw_panel(ax, [r for r in table if r["part"] == part and r["variant"] == variant], arms[variant])
            ax.axhline(100 / n_classes, color="grey", ls=":", lw=1, zorder=0)
            ax.annotate("chance", (1, 100 / n_classes), xycoords=("axes fraction", "data"), ha="right", va="bottom",
                        color="grey", fontsize=7)
            if row == 0:
                ax.set_title(titles[variant])
        axes[row, 0].set_ylabel(f"{parts[part]}\nbalanced accuracy (%)")
    axes[0, 0].set_ylim(0, 100)
    handles = [plt.Line2D([], [], color="black", marker="o", ls="", mfc=face, label=label)
               for face, label in (("black", "as spoken"), ("white", "reversed in time"))]
    axes[0, 0].legend(handles=handles, loc="upper left")
    return fig


def _draw_panel(ax: plt.Axes, rows: list[dict], arms: list[str]) -> None:
    """One panel: filled points as spoken, open points reversed."""
    for place, arm in enumerate(arms):
        for shift, way in ((-0.17, "clean"), (0.17, "reversed")):
            scores = np.array([100 * r[way] for r in rows if r["arm"] == arm])
            face = COLOURS[arm] if way == "clean" else "white"
            spread = np.linspace(-0.07, 0.07, len(scores)) if len(scores) > 1 else np.zeros(len(scores))
            ax.plot(place + shift + spread, scores, MARKERS[arm], ms=4, mfc=face, mec=COLOURS[arm], mew=0.8)
            ax.hlines(scores.mean(), place + shift - 0.14, place + shift + 0.14, color=COLOURS[arm], lw=1.2, zorder=0)
    ax.set_xticks(range(len(arms)), [LABELS[arm] for arm in arms], rotation=35, ha="right", rotation_mode="anchor")
    ax.set_xlim(-0.5, len(arms) - 0.5)


def provenance(data: str, preset: str) -> dict:
    """Commit, data, preset and versions that a figure was made with."""

    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True)
        return done.stdout.strip()

    versions = {name: version(name) for name in ("torch", "numpy", "numba", "scikit-learn", "matplotlib")}
    return {
        "commit": git("rev-parse", "HEAD") or "not a git checkout",
        "changed_since": bool(git("status", "--porcelain", "--", "lib")),
        "data": data,
        "preset": preset,
        "versions": versions | {"python": platform.python_version()},
    }


def save_figure(fig: Figure, name: str, data: str, preset: str, table: list[dict], **facts) -> list[Path]:
    """Write `name`.png, .svg and .json (plotted numbers and provenance); returns their paths.

    Args:
        fig: the figure.
        name: file name without ending.
        data, preset: what it shows; decides the folder (`folder`).
        table: the plotted numbers, from which `redraw` can draw it again.
        facts: whatever else is needed to draw it.
    """
    numbers = folder(data, preset) / f"{name}.json"
    written = {"facts": facts, "table": table, "provenance": provenance(data, preset)}
    with write_atomically(numbers) as temporary:
        temporary.write_text(json.dumps(written, indent=1) + "\n")
    return [*_write_pictures(fig, numbers), numbers]


def _write_pictures(fig: Figure, numbers: Path) -> list[Path]:
    """PNG and SVG beside the file of numbers; without a date, so that the same numbers give the same bytes."""
    paths = [numbers.with_suffix(".png"), numbers.with_suffix(".svg")]
    for path, metadata in zip(paths, (None, {"Date": None}), strict=True):
        with write_atomically(path) as temporary:
            fig.savefig(temporary, dpi=200, metadata=metadata)
    return paths


DRAWERS = {"timing_alone": draw_timing_alone}


def redraw(data: str | None = None, preset: str | None = None) -> list[Path]:
    """Draw figures again from their stored numbers, without training.

    Args:
        data, preset: only these; None: all.

    Raises:
        InputError: there is nothing to redraw.
    """
    apply_style()
    matplotlib.use("Agg")
    paths = []
    for source in sorted((ROOT / "figures").glob(f"{data or '*'}/{preset or '*'}/*.json")):
        stored = json.loads(source.read_text())
        fig = DRAWERS[source.stem](stored["table"], **stored["facts"])
        paths += _write_pictures(fig, source)
        plt.close(fig)
    if not paths:
        raise InputError(f"figures/{data or '*'}/{preset or '*'}: no figures there yet; make them with ./run_all.sh")
    return paths
