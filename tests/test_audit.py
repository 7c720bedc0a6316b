"""The audit: it finds planted leaks of both kinds, and the command line knows the variants."""

from dataclasses import replace

import numpy as np
from samples import random_binned

from lib import __main__ as command_line
from lib.data.audit import audit, table
from lib.data.variants import VARIANTS, align


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
