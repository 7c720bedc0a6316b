"""One style for all figures: two widths, 7 to 8 pt, and a fixed colour and marker for every kind of network."""

from __future__ import annotations

import seaborn as sns

MM = 1 / 25.4  # inches
NARROW, WIDE = 85 * MM, 178 * MM  # one column, a page
PALETTE = sns.color_palette("colorblind", 10)
DARK = [sns.set_hls_values(colour, l=0.25) for colour in PALETTE]  # of the controls, beside what they are compared with
# Fixed by name, so that no figure's order matters; the markers tell them apart without colour
LOOKS = {
    "count_mlp": (PALETTE[0], "X"),
    "no_delays_short": (PALETTE[1], "o"),
    "no_delays": (PALETTE[2], "v"),
    "no_delays_long": (PALETTE[7], "<"),
    "fixed_small": (PALETTE[3], "s"),
    "trained_small": (PALETTE[4], "^"),
    "fixed_wide": (PALETTE[5], "D"),
    "trained_wide": (PALETTE[9], "P"),
    "no_delays_learnt": (DARK[2], ">"),
    "no_delays_large": (DARK[1], "h"),
    "recurrent": (PALETTE[8], "p"),
    "trained_input": (DARK[9], "d"),
    "trained_hidden": (DARK[4], "*"),
    "srm_no_delays": (PALETTE[6], "H"),
    "srm_trained": (DARK[6], "8"),
}
SMALL, NORMAL = 7, 8  # pt
STYLE = {
    "font.size": NORMAL,
    "axes.titlesize": NORMAL,
    "axes.labelsize": NORMAL,
    "figure.titlesize": NORMAL,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "legend.fontsize": SMALL,
    "legend.title_fontsize": SMALL,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.fonttype": "none",  # text stays text
    "pdf.fonttype": 42,
    "svg.hashsalt": "beyond-rate-coding",  # same figure, same bytes
    "figure.dpi": 120,
}


def apply_style() -> None:
    """Use the house style for all figures drawn from now on."""
    sns.set_theme(style="ticks", context="paper", rc=STYLE)
