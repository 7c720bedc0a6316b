"""Figures: drawn from tables of results, in one style, saved with where their numbers come from."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt

from ..errors import InputError
from ..tables import published
from . import controls, inside, perturbation, speech, synthetic
from .audit import draw_audit
from .comparison import draw_comparison
from .controls import costs, draw_controls
from .inside import draw_confusion, draw_delay_histograms
from .perturbation import draw_inside, draw_relocation, draw_reversal, draw_robustness
from .saving import folder, read_provenance, save_figure
from .speech import draw_raster, draw_timing_alone
from .style import LOOKS, MM, NARROW, PALETTE, WIDE, apply_style
from .synthetic import draw_delays, draw_frames, draw_lags, draw_levels

__all__ = [
    "DRAWERS", "LOOKS", "MM", "NARROW", "PALETTE", "WIDE", "apply_style", "costs", "draw_audit",
    "draw_comparison", "draw_confusion", "draw_controls", "draw_delay_histograms", "draw_delays",
    "draw_frames", "draw_inside", "draw_lags", "draw_levels", "draw_raster", "draw_relocation",
    "draw_reversal", "draw_robustness", "draw_timing_alone", "folder", "read_provenance", "redraw",
    "save_figure",
]  # fmt: skip

# experiment -> name of a figure -> how its rows are drawn
DRAWERS = {
    "timing_alone": {"timing_alone": speech.draw_timing_alone},
    "relocation": {"relocation": perturbation.draw_relocation},
    "robustness": {"robustness": perturbation.draw_robustness, "reversal": perturbation.draw_reversal},
    "controls": {"controls": controls.draw_controls, "delay_histograms": inside.draw_delay_histograms},
    "isi": {"isi": synthetic.draw_levels},
    "polychrony": {"polychrony": synthetic.draw_levels, "polychrony_lags": synthetic.draw_lags},
    "coincidence": {"coincidence": synthetic.draw_levels},
}


def redraw(data: str | None = None, preset: str | None = None) -> list[Path]:
    """Draw every figure from the published results, without computing anything.

    Args:
        data, preset: only these; None: all.

    Returns:
        The files written.

    Raises:
        InputError: there is nothing to draw.
    """
    apply_style()
    matplotlib.use("Agg")
    paths = []
    for table in published():
        if data not in (None, table.data) or preset not in (None, table.preset):
            continue
        for name, draw in DRAWERS[table.experiment].items():
            fig = draw(table.rows)
            paths += save_figure(fig, name, table)
            plt.close(fig)
    if not paths:
        remedy = "compute with ./run_all.sh, then python -m lib publish"
        raise InputError(f"results/published: nothing there for this choice; {remedy}")
    return paths
