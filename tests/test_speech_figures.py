"""Figures of perturbed speech show the rows that they should: protocol, level, direction, layer, cost."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from lib import figures
from lib.experiments import plans
from lib.experiments.arms import COUNT_MLP, KINDS, LABELS
from lib.experiments.speech import named
from lib.runs import Outcome


def accuracy(arm, trained, trained_level, tested, level):
    """A number that tells where it comes from."""
    return {"no_delays": 0.2, "trained_wide": 0.5, COUNT_MLP: 0.05}.get(arm, 0.4) + 0.001 * (
        len(trained) + 10 * trained_level + 3 * len(tested) + (7 * level if level <= 1 else 0.01 * level)
    )


def rows_of(name):
    """Rows of all runs of an experiment, at smoke size."""
    rows = []
    for run in getattr(plans, name)("digits", "smoke"):
        trained = named(run.train_perturbation)
        scores = []
        for part in run.parts:
            for test in run.tests(part):
                tested = named(test)
                score = {"part": part, "tested": tested[0], "level": tested[1], "samples": 9, "input_spikes": 10.0}
                scores.append(score | {"accuracy": accuracy(run.arm, *trained, *tested), "hidden_rates": [1.0, 0.5]})
        rows += plans.speech_rows(run, Outcome("k", {"n_classes": 20, "scores": scores, "parameters": 7}, None, {}))
    return rows


@pytest.fixture(autouse=True)
def style():
    """House style; nothing stays open."""
    figures.apply_style()
    yield
    plt.close("all")


def line(ax, label):
    """Points of the line with this label, in per cent."""
    found = next(one for one in ax.lines if one.get_label() == label)
    return {round(float(x), 3): y for x, y in zip(*found.get_data(), strict=True)}


def test_relocation_shows_both_protocols_and_the_reversed():
    """Above, trained and tested at f, from the clean network at 0; below, the clean network at all f; dashed, counts."""
    fig = figures.draw_relocation(rows_of("relocation"))
    label = LABELS["trained_wide"]
    for column, variant in enumerate(("norm", "part", "whole")):
        above, below = fig.axes[column], fig.axes[3 + column]
        assert above.get_title() == variant
        expected = {
            0: accuracy("trained_wide", "clean", 0, "clean", 0),
            1: accuracy("trained_wide", "relocate", 1, "relocate", 1),
        }
        assert line(above, label) == pytest.approx({f: 100 * value for f, value in expected.items()})
        clean = line(below, label)
        assert set(clean) == {0, 0.2, 0.3, 0.4, 0.6, 0.8, 1}
        assert clean[0.6] == pytest.approx(100 * accuracy("trained_wide", "clean", 0, "relocate", 0.6))
        backwards = [
            accuracy("trained_wide", "clean", 0, "reverse", 1),
            accuracy("trained_wide", "relocate", 1, "relocate_reversed", 1),
        ]
        dashed = [one.get_ydata() for one in above.lines if one.get_linestyle() == "--" and one.get_marker() == "P"]
        np.testing.assert_allclose(dashed, [[100 * value for value in backwards]])
        assert line(above, LABELS[COUNT_MLP])[0] == pytest.approx(100 * accuracy(COUNT_MLP, "clean", 0, "clean", 0))


def test_robustness_shows_each_perturbation_in_its_column():
    """Trained at 70 ms of jitter stands above; a clean network's five levels and zero below, whatever the column."""
    fig = figures.draw_robustness(rows_of("robustness"))
    label = LABELS["no_delays"]
    assert line(fig.axes[0], label)[70] == pytest.approx(100 * accuracy("no_delays", "jitter", 70, "jitter", 70))
    for column, name in enumerate(("jitter", "jitter_neurons", "delete")):
        clean = line(fig.axes[3 + column], label)
        assert len(clean) == 6
        level = max(clean)
        assert clean[level] == pytest.approx(100 * accuracy("no_delays", "clean", 0, name, level))


def test_reversal_shows_windows_and_directions():
    """From none over four widths to all; and four pairs of directions."""
    fig = figures.draw_reversal(rows_of("robustness"))
    windows = line(fig.axes[0], LABELS["trained_wide"])
    assert windows[200] == pytest.approx(100 * accuracy("trained_wide", "clean", 0, "reverse_windows", 200))
    assert windows[600] == pytest.approx(100 * accuracy("trained_wide", "clean", 0, "reverse", 1))
    places = sorted(one.get_xdata()[0] for one in fig.axes[1].lines if one.get_marker() == "P")
    assert np.round(places, 2).tolist() == [0.12, 1.12, 2.12, 3.12]
    both = next(one for one in fig.axes[1].lines if one.get_marker() == "P" and round(one.get_xdata()[0]) == 3)
    assert both.get_ydata()[0] == pytest.approx(100 * accuracy("trained_wide", "reverse", 1, "reverse", 1))


def test_inside_shows_each_layer():
    """Relocated and reversed in the input, in hidden layer 1, in hidden layer 2."""
    fig = figures.draw_inside(rows_of("relocation"))
    for ax, where in zip(fig.axes, ("", " in hidden layer 1", " in hidden layer 2"), strict=True):
        expected = accuracy("no_delays", "clean", 0, f"relocate{where}", 0.6)
        assert line(ax, LABELS["no_delays"])[0.6] == pytest.approx(100 * expected)


def test_controls_show_accuracy_and_costs():
    """Every kind has a row; costs are computed from spikes and sizes."""
    rows = [
        {"variant": "norm", "part": "test", "trained": "clean", "arm": arm, "seed": 0, "tested": tested, "accuracy": 0.3,
         "chance": 0.05, "input_spikes": 100.0, "hidden_rates": [2.0, 1.0], "hidden": [4, 4], "parameters": 50}
        for arm in (COUNT_MLP, *KINDS) for tested in ("clean", "reverse")
    ]  # fmt: skip
    fig = figures.draw_controls(rows)
    assert [text.get_text() for text in fig.axes[0].get_yticklabels()] == [LABELS[arm] for arm in (COUNT_MLP, *KINDS)]
    spikes, operations, parameters = ([one.get_xdata()[0] for one in ax.lines] for ax in fig.axes[1:])
    assert set(spikes) == {12.0} and set(parameters) == {50} and len(parameters) == len(KINDS)
    assert sorted(set(operations)) == [100 * 4 + 8 * 4 + 4 * 20, 100 * 4 + 8 * 4 + 4 * 20 + 12 * 4]


def test_delay_histograms_hold_all_delays():
    """Left the arms that start below one bin, right the wide ones; in ms, all seeds together; each integrates to 1."""
    base = {"variant": "norm", "part": "test", "trained": "clean", "tested": "clean"}
    spans = {"fixed_small": 1.0, "trained_small": 4.0, "fixed_wide": 20.0, "trained_wide": 30.0}
    rows = [
        base | {"arm": arm, "seed": seed, "delays": [np.linspace(0, span, 50).tolist(), np.linspace(0, span / 2, 9).tolist()]}
        for arm, span in spans.items() for seed in (0, 1)
    ]  # fmt: skip
    fig = figures.draw_delay_histograms(rows + [base | {"arm": "no_delays", "seed": 0}])
    for place, arm in enumerate(("trained_small", "trained_wide", "trained_small", "trained_wide")):
        ax = fig.axes[place]
        assert LABELS[arm] in ax.get_legend_handles_labels()[1]
        corners = ax.patches[-1].get_xy()
        longest = spans[arm] / (1 if place < 2 else 2) * 1400 / 99
        assert corners[:, 0].max() == pytest.approx(longest)
        widths = np.diff(np.unique(corners[:, 0]))
        assert ax.patches[-1].get_xy()[:, 1].max() > 0 and np.allclose(widths, longest / 40)


def test_confusion_shows_shares_words_and_voices():
    """Rows add up to 100 per cent over all seeds, the last column is no answer; a point a word or voice and seed."""
    base = {"variant": "norm", "part": "test", "trained": "clean", "tested": "clean", "accuracy": 0.5}
    base |= {"confusion": [[3, 0, 1], [1, 1, 2]], "by_speaker": {"4": [8, 4]}}
    rows = [base | {"arm": arm, "seed": seed} for arm in ("no_delays", "trained_wide") for seed in (0, 1)]
    fig = figures.draw_confusion(rows, ["one", "two"])
    matrix = fig.axes[0].images[0].get_array()
    np.testing.assert_allclose(matrix, [[75, 0, 25], [25, 25, 50]])
    assert [text.get_text() for text in fig.axes[0].get_xticklabels()] == ["one", "two", "no answer"]
    points = [line.get_ydata() for line in fig.axes[2].lines if line.get_marker() not in ("None", "")]
    assert [list(values) for values in points] == [[75, 75], [25, 25]] * 2
    voices = [line.get_ydata() for line in fig.axes[3].lines if line.get_marker() not in ("None", "")]
    assert [list(values) for values in voices] == [[50, 50]] * 2
