"""Our results stand beside the authors' numbers of the same condition, and only of that."""

from dataclasses import replace

import matplotlib.pyplot as plt
import pytest

from lib import comparison, figures
from lib.comparison import compare, markdown, rank_agreement
from lib.errors import InputError
from lib.tables import Table

FILE = """
relocate: {norm: {no_delays: {0.0: 23.0, 0.6: 9.0, 1.0: silent}, trained_wide: {0.6: 24.0}}}
relocate_reversed: {norm: {no_delays: {0.0: 17.0, 0.6: 8.0}}}
"""
BASE = {"variant": "norm", "part": "test", "arm": "no_delays", "trained_level": 0.0, "tested_level": 0.0}


def row(seed, accuracy, trained="clean", tested="clean", level=0.0, **more):
    """A row of a table; trained and tested at the same level."""
    about = {"seed": seed, "accuracy": accuracy, "trained": trained, "tested": tested}
    return BASE | about | {"trained_level": level if trained != "clean" else 0.0, "tested_level": level} | more


ROWS = [
    *(row(seed, 0.5 + 0.01 * seed) for seed in range(5)),
    *(row(seed, 0.9, part="validation") for seed in range(5)),
    *(row(seed, 0.3, tested="reverse", level=1.0) for seed in range(5)),
    *(row(seed, 0.2, "relocate", "relocate", 0.6) for seed in range(5)),
    *(row(seed, 0.1, "relocate", "relocate_reversed", 0.6) for seed in range(2)),
    *(row(seed, 0.7, tested="relocate", level=0.6) for seed in range(5)),  # clean-trained: another protocol
    row(0, 0.05, "relocate", "relocate", 1.0),
]
TABLE = Table("relocation", "digits", "full", ROWS, {})


@pytest.fixture
def file(tmp_path):
    """A file of authors' numbers."""
    path = tmp_path / "authors.yaml"
    path.write_text(FILE)
    return path


def test_cells_hold_the_same_condition(file):
    """Mean and interval of the seeds trained and tested at the level; at 0 the clean-trained; test voices alone."""
    cells = {(c.perturbation, c.arm, c.level): c for c in compare([TABLE, TABLE], file)}
    clean = cells["relocate", "no_delays", 0.0]
    assert clean.authors == 23.0 and clean.ours.mean == pytest.approx(52) and clean.ours.low < 52 < clean.ours.high
    assert cells["relocate", "no_delays", 0.6].ours.mean == pytest.approx(20)
    assert cells["relocate_reversed", "no_delays", 0.0].ours.mean == pytest.approx(30)
    few = cells["relocate_reversed", "no_delays", 0.6].ours
    assert few.mean == pytest.approx(10) and few.low is None  # two seeds: no interval
    assert cells["relocate", "no_delays", 1.0].authors is None
    assert cells["relocate", "trained_wide", 0.6].ours is None


def test_the_table_says_all_of_it(file):
    """By level; silent networks and conditions that were not computed are said as such."""
    lines = markdown(compare([TABLE], file)).splitlines()[2:]
    assert [line.split(" | ")[:3] for line in lines] == [
        ["| relocate, norm", "0", "23.0"], ["| relocate, norm", "0.6", "9.0"], ["| relocate, norm", "1", "silent"],
        ["| relocate reversed, norm", "0", "17.0"], ["| relocate reversed, norm", "0.6", "8.0"],
    ]  # fmt: skip
    assert "24.0 |  |" in lines[1] and "10.0 |" in lines[4] and "[" not in lines[4]


def test_rank_agreement_over_cells_that_both_have(file):
    """1 where the order is the same, -1 where it is turned; nothing to say of two cells."""
    cells = [cell for cell in compare([TABLE], file) if cell.ours and cell.authors]
    assert rank_agreement(cells) == pytest.approx(1)
    turned = [replace(cell, authors=-cell.authors) for cell in cells]
    assert rank_agreement(turned) == pytest.approx(-1)
    assert rank_agreement(cells[:2]) != rank_agreement(cells[:2])  # nan


def test_damaged_files_and_mixed_tables_are_said(file):
    """One line that names the file; tables of two presets are refused."""
    for text in ("relocate: [", "relocate: 3", "relocate: {norm: {no_delays: {0.0: many}}}", "3"):
        file.write_text(text)
        with pytest.raises(InputError, match="authors.yaml"):
            compare([TABLE], file)
    with pytest.raises(InputError, match="several data sets or presets"):
        compare([TABLE, replace(TABLE, preset="quick")])


def test_the_committed_numbers_are_read_and_drawn():
    """Accuracies in per cent; at f = 1 both networks on norm were silent; every finished cell is a point."""
    cells = compare([TABLE])
    assert all(5 < cell.authors < 100 for cell in cells if cell.authors is not None) and len(cells) > 40
    assert {c.arm for c in cells if c.authors is None and c.level == 1.0} == {"no_delays", "trained_wide"}
    figures.apply_style()
    fig = figures.draw_comparison(cells, chance=0.05)
    drawn = [line for line in fig.axes[0].lines if len(line.get_xdata()) == 1 and line.get_xdata()[0] > 5]
    both = [c for c in cells if c.variant == "norm" and c.authors is not None and c.ours is not None]
    assert sorted(line.get_ydata()[0] for line in drawn) == pytest.approx(sorted(c.ours.mean for c in both))
    plt.close(fig)
    assert comparison.AUTHORS.name == "authors.yaml"
