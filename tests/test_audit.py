"""The audit: it finds planted leaks of both kinds, and the command line knows the variants."""

from dataclasses import replace

import numpy as np
import pytest
from samples import random_binned

from lib import __main__ as command_line
from lib.data import audit as audit_module
from lib.data.audit import audit, audit_file, table
from lib.data.events import Events, write_shd
from lib.data.variants import VARIANTS, align
from lib.errors import InputError


def leaking(seed: int):
    """Samples of 4 classes whose durations tell odd from even classes, by short and long or middling ones."""
    data = random_binned(seed, n_samples=200, n_units=6, rate=0.3, n_bins=20)
    middling = data.labels % 2 == 0
    length = np.where(middling, 60, np.where(np.arange(200) // 4 % 2, 30, 90))
    sample = np.repeat(np.arange(200), np.diff(data.offsets))
    return replace(data, bins=(data.bins.astype(int) * length[sample] // 20).astype(np.uint16), n_bins=90)


def test_audit_finds_what_only_a_perceptron_reads_and_alignment_removes_it():
    """A duration that is no linear cue is found by the MLP; after alignment onset, offset, duration tell nothing."""
    records = {(row["feature"], row["probe"]): row for row in audit(leaking(0), leaking(1))}
    assert records["duration", "mlp"]["leak"] and records["duration", "mlp"]["accuracy"] > 0.4
    aligned = audit(align(leaking(0), 60), align(leaking(1), 60))
    for row in aligned:
        if row["feature"] in ("first spike", "last spike", "duration"):
            assert row["accuracy"] == row["chance"] == 0.25 and not row["leak"]
    assert "LEAK" in table(list(records.values()))


def test_command_line_knows_the_variants():
    """The command line's choices are the variants there are."""
    assert command_line.VARIANTS == VARIANTS


def few_voices(tmp_path, n_voices, n=120, labels=lambda i: i % 4):
    """A file with so many voices."""
    rng = np.random.default_rng(0)
    trains = [(np.sort(rng.random(30)), rng.integers(0, 5, 30)) for _ in range(n)]
    keys = [f"word {k}" for k in range(4)]
    path = tmp_path / "few.h5"
    write_shd(path, Events.from_list(trains, [labels(i) for i in range(n)], np.arange(n) * n_voices // max(n, 1), keys))
    return path


def test_a_file_of_two_voices_is_audited(tmp_path):
    """One is held out; its samples are said."""
    records = audit_file(few_voices(tmp_path, 2))
    assert {row["samples"] for row in records} == {(60, 60)} and {row["classes"] for row in records} == {4}
    assert "60 samples trained on, 60 scored, 4 classes" in table(records)


@pytest.mark.parametrize(
    ("voices", "n", "label", "said"),
    [(1, 60, 0, "it has one voice"), (3, 60, 0, "share 1 classes"), (3, 0, 0, "it has no samples")],
)
def test_files_that_cannot_be_audited_are_said(tmp_path, voices, n, label, said):
    """One line with the file's name."""
    with pytest.raises(InputError, match=f"few.h5: .*{said}|few.h5: {said}"):
        audit_file(few_voices(tmp_path, voices, n, lambda i: label))


def test_a_class_that_is_not_held_out_does_not_spoil_chance():
    """The commonest training class is missing in the held-out part: constant features are still exactly at chance."""
    training, held_out = leaking(0), leaking(1)
    training = training.select(np.concatenate([np.arange(200), np.repeat(np.arange(3, 200, 4), 3)]))
    held_out = held_out.select(np.flatnonzero(held_out.labels != 3))
    constant = tuple({"constant": np.ones((len(data), 1))} for data in (training, held_out))
    records = [row for row in audit(training, held_out, constant) if row["feature"] == "constant"]
    assert [(row["accuracy"], row["chance"], row["leak"]) for row in records] == [(1 / 3, 1 / 3, False)] * 2


def test_large_files_are_sampled_across_classes(tmp_path, monkeypatch):
    """Labels that go round do not fall in step with what is drawn."""
    monkeypatch.setattr(audit_module, "AT_MOST", 30)
    records = audit_file(few_voices(tmp_path, 3, n=240))
    assert {row["classes"] for row in records} == {4} and max(records[0]["samples"]) <= 30
