"""Figures show the numbers beside them, and the same numbers give the same picture."""

import json

import numpy as np
import pytest

from lib import figures
from lib.errors import InputError
from lib.experiments import ARMS, COUNT_MLP, PRESETS, Run, chosen_settings, preset, timing_alone

TABLE = [
    {
        "variant": variant, "part": part, "arm": arm, "seed": seed, "samples": 100,
        "clean": 0.1 * place + 0.01 * seed, "reversed": 0.05,
    }
    for variant in ("norm", "whole") for part in ("validation", "test")
    for place, arm in enumerate((COUNT_MLP, *ARMS)) for seed in range(3 if variant == "norm" else 1)
]  # fmt: skip


def test_points_are_the_numbers():
    """Every record is a point at its accuracy in per cent, in the panel of its part and variant; chance is drawn."""
    fig = figures.draw_timing_alone(TABLE, 20)
    for row, part in enumerate(("validation", "test")):
        for column, variant in enumerate(("norm", "whole")):
            lines = fig.axes[2 * row + column].lines
            drawn = sorted(np.concatenate([line.get_ydata() for line in lines if line.get_marker() not in ("None", "")]))
            records = [r for r in TABLE if (r["part"], r["variant"]) == (part, variant)]
            expected = sorted([100 * r["clean"] for r in records] + [100 * r["reversed"] for r in records])
            np.testing.assert_allclose(drawn, expected)
            assert any(list(line.get_ydata()) == [5.0, 5.0] for line in lines)


def test_saving_and_redrawing_gives_the_same_bytes(tmp_path, monkeypatch):
    """PNG, SVG and JSON are written; `redraw` makes the same PNG and SVG from the JSON; its numbers are the table."""
    monkeypatch.setattr(figures, "ROOT", tmp_path)
    figures.apply_style()
    fig = figures.draw_timing_alone(TABLE, 20)
    png, svg, stored = figures.save_figure(fig, "timing_alone", "digits", "quick", TABLE, n_classes=20)
    assert png.parent == tmp_path / "figures" / "digits" / "quick"
    before = png.read_bytes(), svg.read_bytes()
    written = json.loads(stored.read_text())
    assert written["table"] == TABLE and written["facts"] == {"n_classes": 20}
    assert {"commit", "data", "preset", "versions"} <= written["provenance"].keys()
    png.unlink()
    assert figures.redraw("digits", "quick") == [png, svg]
    assert (png.read_bytes(), svg.read_bytes()) == before
    assert "balanced accuracy" in svg.read_text()  # text stays text


def test_smoke_figures_go_below_build():
    """A smoke figure shows nothing, so it never lands among the results."""
    assert figures.folder("digits", "smoke").parts[-4:] == ("build", "figures", "digits", "smoke")
    assert figures.folder("digits", "quick").parts[-3:] == ("figures", "digits", "quick")


def test_nothing_to_redraw_is_said(tmp_path, monkeypatch):
    """One line with the remedy."""
    monkeypatch.setattr(figures, "ROOT", tmp_path)
    with pytest.raises(InputError, match="no figures there yet"):
        figures.redraw()


def test_every_kind_of_network_has_its_own_colour_and_marker():
    """No two arms look alike, also in grey."""
    assert len(set(figures.COLOURS.values())) == len(set(figures.MARKERS.values())) == len(ARMS) + 1


def test_the_figure_s_runs():
    """Every arm on norm at every seed, four on whole; presets differ in size only; settings are the chosen ones."""
    for name, size in PRESETS.items():
        runs = timing_alone("digits", name)
        on_norm = [(r.arm, r.seed) for r in runs if r.variant == "norm"]
        assert sorted(on_norm) == sorted((a, s) for a in (COUNT_MLP, *ARMS) for s in size.seeds)
        assert len(runs) == len(set(runs)) == len(on_norm) + 4 * len(size.whole_seeds)
        assert all(isinstance(r, Run) and r.settings == chosen_settings()[r.arm] for r in runs)
    with pytest.raises(InputError, match="not a preset"):
        preset("huge")
