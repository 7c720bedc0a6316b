"""The experiments on synthetic codes: what a run draws, trains and scores, what a table holds, what a figure shows."""

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest

from lib import claims, figures, tables
from lib.data.coincidence import CoincidenceTask
from lib.data.intervals import IntervalTask
from lib.errors import RunFailed
from lib.experiments import EXPERIMENTS, synthetic
from lib.experiments.presets import SYNTHETIC
from lib.experiments.synthetic import ARMS, SyntheticRun, backwards, recipe, samples_of
from lib.runs import Job, Outcome
from lib.tables import Table, select

TASK = IntervalTask("isi", "matched", 500, 100, (10, 20))
POLYCHRONY = IntervalTask("ccisi", "matched", 500, 50, (10, 20))
CODES = ("isi", "polychrony", "coincidence")


def run(task=TASK, arm="no_delays", level=0.0, epochs=1, **changes):
    """A small run; of a network if the arm is one."""
    network, training = recipe(task, arm, 20, epochs) if arm in ARMS else (None, None)
    fields = {"seed": 3, "samples": 40, "tested": 40, "test_levels": (level,)} | changes
    return SyntheticRun(task=task, arm=arm, level=level, network=network, training=training, **fields)


def fake_rows(code, preset="full"):
    """The rows of an experiment whose every score is 0.75."""
    rows = []
    for planned in EXPERIMENTS[code].plan(code, preset):
        parts = [(part, level, False) for part in ("validation", "test") for level in planned.test_levels]
        parts += [("test", planned.level, True)] if planned.network else []
        scores = [{"part": p, "tested": v, "reversed": r, "samples": 9, "accuracy": 0.75} for p, v, r in parts]
        rows += EXPERIMENTS[code].rows(planned, Outcome("k", {"scores": scores, "parameters": 5}, None, {}))
    return rows


def test_all_arms_of_a_seed_see_the_same_samples_and_parts_differ():
    """Samples depend on seed, part and level alone."""
    for task in (TASK, CoincidenceTask(0.0)):
        one = samples_of(run(task), "test", 0.5)
        for other in (run(task, "trained_wide"), run(task, synthetic.OBSERVER, level=1.0)):
            assert np.array_equal(one.bins, samples_of(other, "test", 0.5).bins)
        for other in (samples_of(run(task, seed=4), "test", 0.5), samples_of(run(task, tested=160), "validation", 0.5)):
            assert not np.array_equal(one.bins, other.bins)


def test_relocation_keeps_counts_and_is_drawn_anew_in_every_epoch():
    """Test samples are the same each time; of two epochs' training samples the spikes differ and the counts do not."""
    job = run(level=0.5)
    clean = samples_of(job, "train", 0.0)
    first, second = (synthetic.relocated(job, clean, "train", 0.5, epoch) for epoch in (0, 1))
    assert np.array_equal(first.counts(), clean.counts()) and np.array_equal(second.counts(), clean.counts())
    assert not np.array_equal(first.bins, second.bins)
    assert np.array_equal(samples_of(job, "test", 0.5).bins, samples_of(job, "test", 0.5).bins)


def test_backwards_turns_the_order_of_a_pair():
    """Second minus first spike is the lag forwards and minus the lag backwards."""
    task = IntervalTask("ccisi", "matched", 500, 50, (10, 10))
    data = samples_of(run(task), "test", 0.0)
    for spikes, sign in ((data, 1), (backwards(data), -1)):
        dense = spikes.dense(range(4)).argmax(axis=1).astype(int)  # (4, units): one spike a unit
        assert set(sign * (dense[:, 1::2] - dense[:, ::2]).ravel()) <= {21, 30}


@pytest.mark.parametrize("task", [TASK, CoincidenceTask(0.0, "matched")], ids=["isi", "coincidence"])
def test_readers_that_are_no_networks(task):
    """Clean samples hide nothing from the observer; counts tell nothing in the matched designs, exactly."""
    chance = 1 / 2 if task is TASK else 1 / 3
    (best,) = run(task, synthetic.COUNT_OPTIMUM).perform(Job())["scores"]
    assert best["accuracy"] == pytest.approx(chance)
    seen = run(task, synthetic.OBSERVER, test_levels=(0.0, 1.0)).perform(Job())["scores"]
    clean, noise = (select(seen, part="test", tested=level)[0] for level in (0.0, 1.0))
    assert clean["accuracy"] >= 0.95 and clean["samples"] == 40
    assert noise["accuracy"] == pytest.approx(chance, abs=0.25)


def test_a_run_scores_every_level_and_repeats():
    """Both parts at all test levels, and backwards at the level of training; the same numbers each time."""
    job = run(POLYCHRONY, "trained_small", test_levels=(0.0, 0.5))
    result = job.perform(Job())
    tests = [(score["part"], score["tested"], score["reversed"], score["samples"]) for score in result["scores"]]
    assert tests == [(p, v, r, n) for p, n in (("validation", 10), ("test", 40)) for v, r in ((0, 0), (0, 1), (0.5, 0))]
    assert result["parameters"] == 20 * 20 + 20 + 2 * 20 + 2 + 20  # weights, time constants, read-out, delays
    assert result == job.perform(Job())


def silent_once(evaluate):
    """An `evaluate` that finds the first network silent."""
    rates = iter([[0.0]])

    def found(network, data):
        evaluation = evaluate(network, data)
        return evaluation._replace(hidden_rates=next(rates, evaluation.hidden_rates))

    return found


def test_runs_side_by_side_give_what_each_gives_alone(monkeypatch):
    """Seeds and levels of one network together: all that is stored has the bits of each alone, a silent one fails alone."""
    first = run(POLYCHRONY, "trained_wide")
    some = [first, replace(first, seed=1), replace(first, level=0.5, test_levels=(0.5,))]
    assert len({one.together for one in some}) == 1 and run(POLYCHRONY, "no_delays").together != first.together
    assert run(POLYCHRONY, synthetic.OBSERVER).together is None
    assert first.perform_together(some, Job()) == [one.perform(Job()) for one in some]
    monkeypatch.setattr(synthetic, "evaluate", silent_once(synthetic.evaluate))
    failed, *others = first.perform_together(some, Job())
    assert str(failed) == "trained_wide, seed 3: the hidden layer is silent"
    monkeypatch.undo()
    assert others == [one.perform(Job()) for one in some[1:]]


def test_a_silent_network_has_no_score():
    """Weights that never excite: the run fails."""
    job = run()
    with pytest.raises(RunFailed, match="silent"):
        replace(job, network=replace(job.network, weight_mean=-1.0, weight_sd=0.0)).perform(Job())


def test_intervals_are_learnt_and_survive_reversal():
    """Short and long intervals are told apart, forwards and backwards; reversed lags are not."""
    clean, back = {}, {}
    for task, arm in ((TASK, "no_delays"), (POLYCHRONY, "trained_wide")):
        job = run(task, arm, samples=1000, tested=400, epochs=12)
        scores = select(job.perform(Job())["scores"], part="test")
        clean[arm], back[arm] = (select(scores, reversed=turned)[0]["accuracy"] for turned in (False, True))
    assert clean["no_delays"] >= 0.8 and abs(back["no_delays"] - clean["no_delays"]) <= 0.06
    assert clean["trained_wide"] >= 0.95 and back["trained_wide"] <= 0.7


def test_arms_differ_in_what_their_names_say():
    """Fixed short memory; learnt, mixed memories without delays; delays fixed, from below 1 ms, from the whole range."""
    networks = {arm: recipe(IntervalTask("ccisi", "paper", 4000, 400), arm, 100, 1)[0] for arm in ARMS}
    short, learnt = networks["no_delays_short"], networks["no_delays"]
    assert (short.tau_ms, short.tau_spread, short.train_tau) == (20, 0, False)
    assert (learnt.tau_ms, learnt.train_tau) == (100, True) and learnt.tau_spread > 0
    assert [networks[arm].delays for arm in ARMS] == ["none", "none", "none", "fixed", "trained", "trained"]
    assert networks["no_delays_long"] == learnt
    starts = {arm: network.delay_init_ms for arm, network in networks.items() if network.delays != "none"}
    assert starts == {"fixed_wide": 400, "trained_small": 1, "trained_wide": 400}
    assert all(network.delay_cap_ms == 400 for network in networks.values())


@pytest.mark.parametrize("code", CODES)
def test_presets_differ_in_size_only(code):
    """Every preset has readers and networks; full has five seeds; nothing is planned twice."""
    for preset, size in SYNTHETIC.items():
        runs = EXPERIMENTS[code].plan(code, preset)
        assert len(set(runs)) == len(runs)
        assert {r.arm for r in runs} >= {"no_delays", "trained_wide", "observer", "count_mlp", "count_optimum"}
        extra = set(range(size.starts)) if code == "coincidence" else set()
        assert {r.seed for r in runs} == set(size.seeds) | extra
    assert len(SYNTHETIC["full"].seeds) >= 5


def test_the_claims_find_their_rows():
    """Every rule of F1 to F4 selects one row a seed in the full tables; with all scores equal, no effect is found."""
    made_up = [Table(code, code, "full", fake_rows(code), {}) for code in CODES]
    judged = claims.judge(claims.load("F1", "F2", "F3", "F4"), made_up)
    assert [verdict.data for verdict in judged] == list(CODES[:1]) * 2 + list(CODES[1:])
    for verdict in judged:
        assert claims.NOTHING not in verdict.effects and not any("of 5 seeds" in text for text in verdict.effects)
    assert [verdict.verdict for verdict in judged][1] == "reproduced"  # no difference is what F2 says


def above_ideal(rows):
    """Networks whose mean over seeds is above the ideal observer's, on the same samples, beyond chance: (where, z).

    An observer is ideal for coincidence and for polychrony with two lags or in the comparison design.
    """
    found = []
    rows = [r for r in select(rows, part="test") if r["tested"] != "reverse" and r["accuracy"] is not None]
    for row in {(r["design"], r["lag_ms"], r["duration_ms"], r["tested_level"]): r for r in rows}.values():
        where = {name: row[name] for name in ("design", "lag_ms", "duration_ms", "tested_level")}
        ideal = {r["seed"]: r for r in select(rows, arm="observer", **where)}
        networks = [r for r in select(rows, **where) if r["hidden"] and r["seed"] in ideal]
        for kind in {(r["arm"], r["hidden"], r["trained_level"]) for r in networks}:
            pairs = [(r["accuracy"], ideal[r["seed"]]["accuracy"], r["samples"]) for r in networks
                     if (r["arm"], r["hidden"], r["trained_level"]) == kind]  # fmt: skip
            excess = np.mean([network - best for network, best, _ in pairs])
            error = np.sqrt(sum((1 - network + 1 - best) / n for network, best, n in pairs)) / len(pairs)
            if excess > 4 * error:  # hundreds are compared, so three errors would happen by luck
                found.append((*where.values(), *kind, excess, error))
    return found


def test_no_published_network_is_above_an_ideal_observer():
    """Not beyond four standard errors; a made-up network that is, is found."""
    compared = []
    for table in tables.published():
        if table.experiment in ("coincidence", "polychrony"):
            exact = [
                r for r in table.rows if table.experiment == "coincidence" or r["design"] in ("matched", "comparison")
            ]
            assert above_ideal(exact) == []
            compared += exact
    assert sum(r["arm"] == "trained_wide" for r in compared) > 100
    noise = [r for r in select(compared, trained_level=1.0, tested_level=1.0) if r["design"] == "matched"]
    assert above_ideal([r | {"accuracy": 0.7} if r["arm"] == "trained_wide" else r for r in noise]) != []


def test_a_failed_run_gives_rows_without_scores():
    """They say why, and by name which run it was."""
    rows = EXPERIMENTS["isi"].rows(run(test_levels=(0.0, 0.5)), Outcome("k", None, "silent", {}))
    assert [(r["tested"], r["tested_level"], r["accuracy"], r["failed"]) for r in rows] == [
        ("clean", 0.0, None, "silent"),
        ("relocate", 0.5, None, "silent"),
    ]


@pytest.mark.parametrize("code", CODES)
def test_figures_show_the_numbers(code):
    """Every test row of a network at 100 ms is a point in the figure of levels, reversed ones are open."""
    rows = fake_rows(code, "quick")
    for number, row in enumerate(rows):
        row["accuracy"] = 0.5 + number / 4 / len(rows)
    fig = figures.draw_levels(rows)
    points = {round(y, 9) for ax in fig.axes for line in ax.lines if line.get_marker() == "." for y in line.get_ydata()}
    back = {
        round(y, 9)
        for ax in fig.axes
        for line in ax.lines
        if line.get_markerfacecolor() == "white"
        for y in line.get_ydata()
    }
    lags = [r for r in rows if r["part"] == "test" and r["hidden"] and r["lag_ms"] in (None, 100)]
    clean = [r for r in lags if r["tested"] != "reverse"]
    assert points == {round(100 * r["accuracy"], 9) for r in clean}
    assert back == {round(100 * r["accuracy"], 9) for r in lags if r["tested"] == "reverse" and r["trained"] == "clean"}
    plt.close(fig)


def test_lags_are_drawn_for_both_designs():
    """The paper's plane without noise, two lags with noise; every network of them is a point."""
    rows = fake_rows("polychrony", "full")
    fig = figures.draw_lags(rows)
    assert "f = 0" in fig.axes[0].get_title() and "f = 0.3" in fig.axes[1].get_title()
    for ax, n_arms in zip(fig.axes, (5, 4), strict=True):
        drawn = [sorted(set(line.get_xdata())) for line in ax.lines if line.get_marker() == "."]
        assert drawn.count([50, 100, 200, 300, 500]) == n_arms and len(drawn) - n_arms == (ax is fig.axes[1])
    long = [r for r in rows if r["arm"] == "no_delays_long"]
    assert {(r["lag_ms"], r["design"], r["trained_level"]) for r in long} == {(500, "matched", 0.3)}
    plt.close(fig)
