"""What besides the pattern of spikes tells the class."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from .style import MM, PALETTE, WIDE

MARKERS = {"linear": "o", "mlp": "s"}


def draw_audit(audits: dict[str, list[dict]]) -> Figure:
    """Accuracy of both probes on every feature with its 95 % interval; filled where the interval lies above chance.

    Args:
        audits: name of a data set or variant -> records of `lib.data.audit.audit`.
    """
    fig, axes = plt.subplots(
        1, len(audits), figsize=(WIDE, 60 * MM), sharex=True, sharey=True, squeeze=False, layout="constrained"
    )
    for ax, (name, records) in zip(axes[0], audits.items(), strict=True):
        names = list(dict.fromkeys(row["feature"] for row in records))
        for shift, (probe, marker) in zip((-0.15, 0.15), MARKERS.items(), strict=True):
            for row in (row for row in records if row["probe"] == probe):
                place, colour = names.index(row["feature"]) + shift, PALETTE[3 if row["leak"] else 0]
                ax.plot([100 * row["low"], 100 * row["high"]], [place, place], color=colour, lw=1)
                face = colour if row["leak"] else "white"
                ax.plot(100 * row["accuracy"], place, marker, color=colour, mfc=face, ms=4, label=probe)
        ax.axvline(100 * records[0]["chance"], color="grey", ls=":", lw=1)
        ax.set(title=name, xlabel="balanced accuracy (%)", ylim=(len(names) - 0.5, -0.5))
        ax.set_yticks(np.arange(len(names)), names)
    axes[0, 0].set_xlim(left=0)
    handles = [
        ax.plot([], [], marker, color="black", mfc="white", ms=4, label=name)[0] for name, marker in MARKERS.items()
    ]
    handles.append(plt.Line2D([], [], color="grey", ls=":", lw=1, label="chance"))
    fig.legend(handles=handles, loc="outside lower center", ncols=3)
    return fig
