"""Figures show the numbers beside them, say what is missing, and the same numbers give the same bytes."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.text import Text

from lib import __main__ as command_line
from lib import figures, tables
from lib.errors import InputError
from lib.experiments import EXPERIMENTS
from lib.experiments.arms import ARMS, COUNT_MLP, LABELS
from lib.figures import saving
from lib.tables import Table

ROWS = [
    {
        "variant": variant, "part": part, "arm": arm, "seed": seed, "trained": "clean", "trained_level": 0.0,
        "tested": tested, "tested_level": float(tested == "reverse"), "samples": 100, "chance": 0.05, "parameters": 9,
        "accuracy": 0.1 * place + 0.01 * seed if tested == "clean" else 0.05, "failed": None,
    }
    for variant in ("norm", "whole") for part in ("validation", "test")
    for place, arm in enumerate((COUNT_MLP, *ARMS)) for seed in range(3 if variant == "norm" else 1)
    for tested in ("clean", "reverse")
]  # fmt: skip
SOURCE = {"commits": ["abc"], "versions": [{"python": "3.11"}], "devices": ["cpu"], "seeds": [0, 1, 2], "runs": ["k"]}
TABLE = Table("timing_alone", "digits", "quick", ROWS, SOURCE)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Figures and published results go below a folder of the test's."""
    monkeypatch.setattr(saving, "ROOT", tmp_path)
    monkeypatch.setattr(tables, "PUBLISHED", tmp_path / "results" / "published")
    figures.apply_style()
    yield tmp_path
    plt.close("all")


def panel_points(ax) -> list[float]:
    """Heights of all markers."""
    drawn = [line.get_ydata() for line in ax.lines if line.get_marker() not in ("None", "")]
    return sorted(np.concatenate(drawn))


def test_points_are_the_numbers():
    """Every row is a point at its accuracy in per cent, in the panel of its part and variant; chance is drawn."""
    fig = figures.draw_timing_alone(ROWS)
    for row, part in enumerate(("validation", "test")):
        for column, variant in enumerate(("norm", "whole")):
            ax = fig.axes[2 * row + column]
            expected = [100 * r["accuracy"] for r in ROWS if (r["part"], r["variant"]) == (part, variant)]
            np.testing.assert_allclose(panel_points(ax), sorted(expected))
            assert any(list(line.get_ydata()) == [5.0, 5.0] for line in ax.lines)


def test_a_failed_run_is_drawn_as_missing_and_said():
    """No point stands for it, at zero or elsewhere; its place says how many failed, even if all did."""
    rows = [dict(row) for row in ROWS]
    for row in rows:
        if (row["part"], row["variant"], row["arm"]) == ("test", "norm", "fixed_wide") and row["seed"] < 2:
            row.update(accuracy=None, failed="silent")
        if (row["part"], row["variant"], row["arm"]) == ("test", "whole", COUNT_MLP):
            row.update(accuracy=None, chance=None, failed="silent")
    fig = figures.draw_timing_alone(rows)
    said = [[t.get_text() for t in ax.texts if "failed" in t.get_text()] for ax in fig.axes]
    assert said == [[], [], ["2 failed"] * 2, ["1 failed"] * 2]
    left = [row["accuracy"] for row in tables.select(rows, part="test", variant="norm")]
    expected = sorted(100 * accuracy for accuracy in left if accuracy is not None)
    np.testing.assert_allclose(panel_points(fig.axes[2]), expected)


def test_style_is_the_house_s(place):
    """A page wide, all text 7 or 8 pt."""
    fig = figures.draw_timing_alone(ROWS)
    fig.canvas.draw()
    assert fig.get_figwidth() * 25.4 == pytest.approx(178) and figures.NARROW * 25.4 == pytest.approx(85)
    assert {text.get_fontsize() for text in fig.findobj(Text) if text.get_text()} == {7.0, 8.0}


def test_every_kind_of_network_has_its_own_colour_and_marker():
    """No two look alike, also in grey; every arm has a look."""
    assert set(LABELS) <= set(figures.LOOKS)
    for part in zip(*figures.LOOKS.values(), strict=True):
        assert len(set(part)) == len(figures.LOOKS)


def test_redrawing_gives_the_same_bytes(place):
    """PNG, SVG and JSON from published results equal those of the run, byte for byte, also in another process."""
    files = figures.save_figure(figures.draw_timing_alone(ROWS), "timing_alone", TABLE)
    assert [f.name for f in files] == ["timing_alone.png", "timing_alone.svg", "timing_alone.json"]
    assert files[0].parent == place / "figures" / "digits" / "quick"
    before = [file.read_bytes() for file in files]
    tables.publish(TABLE)
    for file in files:
        file.unlink()
    program = (
        "import sys; from pathlib import Path; from lib import figures, tables; from lib.figures import saving\n"
        "saving.ROOT = Path(sys.argv[1]); tables.PUBLISHED = saving.ROOT / 'results' / 'published'; figures.redraw()"
    )
    root = Path(__file__).parents[1]
    subprocess.run([sys.executable, "-c", program, str(place)], cwd=root, check=True)
    assert [file.read_bytes() for file in files] == before


def test_text_stays_text(place):
    """An SVG's words can be edited."""
    _, svg, _ = figures.save_figure(figures.draw_timing_alone(ROWS), "timing_alone", TABLE)
    assert ">as spoken</text>" in svg.read_text() or "as spoken" in svg.read_text().split("<defs")[-1]


def test_provenance_is_in_every_file_and_shown(place, capsys):
    """`provenance FILE` prints experiment, data, preset, commits, seeds, versions and keys, from each of the three."""
    expected = {"experiment": "timing_alone", "data": "digits", "preset": "quick"} | SOURCE
    for file in figures.save_figure(figures.draw_timing_alone(ROWS), "timing_alone", TABLE):
        assert command_line.main(["provenance", str(file)]) == 0
        assert json.loads(capsys.readouterr().out) == expected


@pytest.mark.parametrize("name", ["a.png", "a.svg", "a.json", "a.txt"])
def test_files_without_provenance_are_said(tmp_path, name):
    """Missing, or not ours: one line."""
    with pytest.raises(InputError, match="no such file"):
        figures.read_provenance(tmp_path / name)
    (tmp_path / name).write_text("<svg/>" if name == "a.svg" else "[]")
    with pytest.raises(InputError, match="carries no provenance"):
        figures.read_provenance(tmp_path / name)


def test_a_nest_of_brackets_is_said(tmp_path):
    """A text that is too deep for its reader is a file without provenance."""
    (tmp_path / "deep.json").write_text("[" * 200_000)
    with pytest.raises(InputError, match="deep.json: it carries no provenance"):
        figures.read_provenance(tmp_path / "deep.json")


def test_smoke_figures_go_below_build():
    """A smoke figure shows nothing, so it never lands among the results."""
    assert figures.folder("digits", "smoke").parts[-4:] == ("build", "figures", "digits", "smoke")
    assert figures.folder("digits", "quick").parts[-3:] == ("figures", "digits", "quick")


def test_figures_command_says_that_it_redraws(place, capsys):
    """`figures` draws every published table of the choice, and says where they come from."""
    for table in (TABLE, replace(TABLE, data="fsdd"), replace(TABLE, preset="full")):
        tables.publish(table)
    assert command_line.main(["figures", "--preset", "quick"]) == 0
    first, *paths = capsys.readouterr().out.splitlines()
    assert first == "Redrawing from the published results (results/published); nothing is trained."
    assert [Path(p).parent.parent.name for p in paths] == ["digits"] * 3 + ["fsdd"] * 3
    assert command_line.main(["figures", "--preset", "paper"]) == 2
    assert "nothing there for this choice" in capsys.readouterr().err


def test_every_experiment_has_figures():
    """What is computed and published can be drawn."""
    assert set(figures.DRAWERS) == set(EXPERIMENTS)
