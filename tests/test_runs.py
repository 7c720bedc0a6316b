"""Every run is computed once, stored whole, and named by everything that decides its numbers."""

import json
from dataclasses import replace

import pytest

from lib import runs
from lib.experiments import Run, Settings
from lib.runs import key_of, run_all

RUN = Run("digits", "norm", "no_delays", 0, Settings(60.0, 1.0, 2e-3), 1, 100, (8, 8))


@pytest.mark.parametrize(
    "changed",
    [{"seed": 1}, {"variant": "whole"}, {"settings": Settings(60.0, 1.0, 1e-3)}, {"epochs": 2}, {"hidden": (8, 9)}],
)
def test_any_change_gives_another_name(changed):
    """A run that would give other numbers has another key; scoring test or not too."""
    assert key_of(replace(RUN, **changed), True) != key_of(RUN, True)
    assert key_of(RUN, False) != key_of(RUN, True)
    assert key_of(replace(RUN), True) == key_of(RUN, True)


def test_results_version_is_part_of_the_name(monkeypatch):
    """Raising the results version makes every stored result old."""
    before = key_of(RUN, True)
    monkeypatch.setattr(runs, "RESULTS_VERSION", runs.RESULTS_VERSION + 1)
    assert key_of(RUN, True) != before


@pytest.fixture
def counted(monkeypatch):
    """Replace training by a function that counts its calls."""
    calls = []

    def perform(run, data_dir, device, score_test):
        calls.append(run.seed)
        return {"validation": {"clean": run.seed / 10}}

    monkeypatch.setattr(runs, "perform", perform)
    return calls


def test_a_run_is_computed_once(tmp_path, counted):
    """The second call reads the store; a new run beside old ones is the only one computed; order is kept."""
    some = [replace(RUN, seed=s) for s in (3, 1, 2)]
    first = run_all(some, jobs=1, store=tmp_path)
    assert [r["validation"]["clean"] for r in first] == [0.3, 0.1, 0.2] and sorted(counted) == [1, 2, 3]
    again = run_all([replace(RUN, seed=4), *some], jobs=1, store=tmp_path)
    assert again[1:] == first and sorted(counted) == [1, 2, 3, 4]


@pytest.mark.parametrize("damage", ["", '{"result": {"valid', "{}", "\x00\x01"])
def test_a_damaged_result_is_said_and_made_again(tmp_path, counted, damage):
    """A truncated or empty file gives one warning and is computed again, whole."""
    run_all([RUN], jobs=1, store=tmp_path)
    path = tmp_path / f"{key_of(RUN, True)}.json"
    path.write_text(damage)
    with pytest.warns(UserWarning, match="damaged"):
        result = run_all([RUN], jobs=1, store=tmp_path)
    assert result == [{"validation": {"clean": 0.0}}] and counted == [0, 0]
    assert json.loads(path.read_text())["result"] == result[0]


def test_finished_runs_survive_a_failing_one(tmp_path, monkeypatch):
    """When a run fails, those before it stay stored and nothing half-written is left."""

    def perform(run, data_dir, device, score_test):
        if run.seed == 2:
            raise FloatingPointError("diverged")
        return {"seed": run.seed}

    monkeypatch.setattr(runs, "perform", perform)
    with pytest.raises(FloatingPointError):
        run_all([replace(RUN, seed=s) for s in (0, 1, 2)], jobs=1, store=tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        f"{key_of(replace(RUN, seed=s), True)}.json" for s in (0, 1)
    )
