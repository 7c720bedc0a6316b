"""Published tables come back as they were, are read by nobody as a cache, and damaged ones are said."""

import gzip
from dataclasses import replace

import pytest
from toy import ToyRun

from lib import __main__ as command_line
from lib import experiments, runs, tables
from lib.errors import InputError
from lib.experiments import EXPERIMENTS, Experiment, arms, compute, plans, presets, stored
from lib.experiments.speech import REVERSED, SpeechRun
from lib.runs import Outcome
from lib.tables import Table, publish, published, select

TABLE = Table("timing_alone", "digits", "quick", [{"arm": "a", "accuracy": 0.1 + 0.2, "failed": None}], {"seeds": [0]})


def test_published_tables_come_back_as_they_were(tmp_path):
    """Every digit; one file an experiment; a newer table replaces the older one of its data and preset only."""
    path = publish(TABLE, tmp_path)
    publish(replace(TABLE, preset="full"), tmp_path)
    publish(replace(TABLE, experiment="other"), tmp_path)
    newer = replace(TABLE, rows=[])
    assert publish(newer, tmp_path) == path == tmp_path / "timing_alone.json.gz"
    assert published(tmp_path) == [replace(TABLE, experiment="other"), replace(TABLE, preset="full"), newer]


def test_same_tables_same_bytes(tmp_path):
    """Order of publishing and time do not matter."""
    other = replace(TABLE, preset="full")
    for order, folder in (((TABLE, other), "one"), ((other, TABLE), "two")):
        for table in order:
            path = publish(table, tmp_path / folder)
    assert path.read_bytes() == (tmp_path / "one" / path.name).read_bytes()


@pytest.mark.parametrize("content", [b"", b"x", gzip.compress(b"[{", mtime=0), gzip.compress(b'[{"a": 1}]', mtime=0)])
def test_damaged_published_table_is_said(tmp_path, content):
    """One line that names the file."""
    (tmp_path / "timing_alone.json.gz").write_bytes(content)
    with pytest.raises(InputError, match="timing_alone.json.gz: damaged"):
        published(tmp_path)


def test_runs_of_the_entry_figure():
    """Every arm on norm at every seed, four on whole, three on part; presets differ in size only; settings are the chosen ones."""
    for name, size in presets.SPEECH.items():
        planned = plans.timing_alone("digits", name)
        on_norm = [(r.arm, r.seed) for r in planned if r.variant == "norm"]
        assert sorted(on_norm) == sorted((a, s) for a in (arms.COUNT_MLP, *arms.ARMS) for s in size.seeds)
        assert len(planned) == len(set(planned)) == len(on_norm) + (4 + 3) * len(size.whole_seeds)
        assert all(r.settings == arms.chosen_settings()[r.arm] for r in planned)
        assert {(r.epochs, r.samples, r.hidden) for r in planned} == {(size.epochs, size.samples, size.hidden)}


SCORES = [
    {"part": "test", "tested": "clean", "level": 0.0, "samples": 9, "accuracy": 0.5, "hidden_rates": [1.0, 2.0]},
    {"part": "test", "tested": "reverse", "level": 1.0, "samples": 9, "accuracy": None, "hidden_rates": [1.0, 0.0]},
]


def test_rows_of_a_speech_run():
    """One row a score, with what it belongs to; a silent or failed score is None and says why."""
    run = SpeechRun("digits", "norm", "fixed_wide", 3, arms.Settings(60.0, 1.0, 2e-3), 1, 9, (8, 8), parts=("test",))
    good = plans.speech_rows(run, Outcome("k", {"n_classes": 20, "scores": SCORES, "parameters": 7}, None, {}))
    bad = plans.speech_rows(run, Outcome("k", None, "diverged", {}))
    assert [(r["tested"], r["accuracy"], r["failed"]) for r in good] == [
        ("clean", 0.5, None), ("reverse", None, "a hidden layer is silent"),
    ]  # fmt: skip
    assert [(r["tested"], r["accuracy"], r["failed"]) for r in bad] == [
        ("clean", None, "diverged"), ("reverse", None, "diverged"),
    ]  # fmt: skip
    for row in good + bad:
        assert select([row], variant="norm", arm="fixed_wide", seed=3, part="test", trained="clean") == [row]
    assert {row["chance"] for row in good} == {1 / 20} and {row["parameters"] for row in good} == {7}
    assert good[0].keys() - bad[0].keys() == {"hidden_rates"}


def test_runs_of_the_controls():
    """Every kind of network on norm; the paper's neurons relocated too, where the preset says so."""
    for name, size in presets.SPEECH.items():
        planned = plans.controls("digits", name)
        clean = [(r.arm, r.seed) for r in planned if r.train_perturbation is None]
        expected = [(a, s) for a in (arms.COUNT_MLP, *arms.ARMS) for s in size.seeds]
        expected += [(a, s) for a in arms.CONTROLS for s in size.whole_seeds]
        assert sorted(clean) == sorted(expected) and {r.variant for r in planned} == {"norm"}
        moved = [(r.arm, r.train_perturbation.level, r.seed) for r in planned if r.train_perturbation]
        assert sorted(moved) == sorted(
            (a, f, s) for a in ("srm_no_delays", "srm_trained") for f in size.srm_fractions for s in size.whole_seeds
        )
        assert all(r.settings == arms.chosen_settings()[r.arm] for r in planned)
        tests = {r.arm: r.test_perturbations for r in planned if r.train_perturbation is None}
        assert all(tests[a] == (REVERSED,) for a in arms.CONTROLS)
        asked = {
            a: {*plans.INSIDE, *(plans.TESTS if size.undrawn or a in plans.COMPARED else plans.DRAWN)}
            for a in arms.ARMS
        }
        assert all(set(tests[a]) == asked[a] for a in arms.ARMS)


@pytest.mark.parametrize("preset", presets.PRESETS)
def test_no_network_is_trained_twice(preset):
    """Over all experiments on a data set: runs that train the same network are one run, with all of its tests."""
    planned = {run for name in plans.__all__ for run in getattr(plans, name)("digits", preset)}
    trained = {replace(run, test_perturbations=(), parts=()) for run in planned}
    assert len(trained) == len(planned) > 10


@pytest.fixture
def toy(monkeypatch, tmp_path):
    """An experiment of two toy runs, with a store and published results of its own."""

    def rows(run, outcome):
        return [{"seed": run.seed, "accuracy": outcome.result["accuracy"][-1]}]

    plan = lambda data, preset: [ToyRun(seed, epochs=1) for seed in (0, 1)]  # noqa: E731
    monkeypatch.setitem(EXPERIMENTS, "toy", Experiment(("digits",), plan, rows))
    monkeypatch.setattr(runs, "STORE", tmp_path / "store")
    monkeypatch.setattr(tables, "PUBLISHED", tmp_path / "published")


def test_an_experiment_is_computed_then_stored_then_published(toy, capsys):
    """Before it is computed there is nothing to publish; afterwards the same table, with its provenance."""
    assert command_line.main(["publish"]) == 0 and published() == []
    with pytest.raises(InputError, match="2 of 2 runs are not in the store; compute them with `python -m lib run toy"):
        stored("toy", "digits", "quick")
    table = compute("toy", "digits", "quick", jobs=1)
    assert [row["seed"] for row in table.rows] == [0, 1]
    assert table.provenance["seeds"] == [0, 1] and len(table.provenance["runs"]) == 2
    assert table.provenance["data_checksum"] == "abc" and len(table.provenance["versions"]) == 1
    assert stored("toy", "digits", "quick") == table
    assert command_line.main(["publish", "--preset", "quick"]) == 0
    assert published() == [table]
    said = capsys.readouterr().out.splitlines()
    assert any(line.startswith(f"{tables.PUBLISHED / 'toy.json.gz'}: digits, quick") for line in said)
    assert any(line.startswith("left out: timing_alone: 28 of 28 runs are not in the store") for line in said)


def test_published_results_are_no_cache(toy, tmp_path, monkeypatch):
    """With published results but an empty store, everything is computed."""
    publish(compute("toy", "digits", "quick", jobs=1))
    monkeypatch.setattr(runs, "STORE", tmp_path / "empty")
    compute("toy", "digits", "quick", jobs=1)
    assert len(list((tmp_path / "empty").iterdir())) == 2


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("fly", "digits", "quick"), "'fly'"),
        (("toy", "fsdd", "quick"), "'fsdd'"),
        (("toy", "digits", "huge"), "'huge'"),
    ],
)
def test_unknown_words_are_said(toy, words, named):
    """Experiment, data set, preset: one line each."""
    with pytest.raises(InputError, match=named):
        compute(*words)
    assert experiments.PRESETS == tuple(presets.SPEECH)
