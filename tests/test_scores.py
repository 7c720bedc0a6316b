"""Scores mean what they say."""

import math

import numpy as np
import pytest

from lib.scores import balanced_accuracy, by_class, by_voice, retention, synaptic_operations


def test_balanced_accuracy_weighs_classes_equally():
    """Nine right of class 0 and one wrong of class 1 is one half, not nine tenths."""
    labels = np.array([0] * 9 + [1])
    assert balanced_accuracy(np.zeros(10, int), labels) == 0.5
    assert balanced_accuracy(labels, labels) == 1.0


def test_a_constant_answer_is_exactly_chance():
    """Twenty classes of any size: always the same answer scores exactly 1/20."""
    labels = np.repeat(np.arange(20), np.random.default_rng(0).integers(1, 9, 20))
    assert balanced_accuracy(np.full(len(labels), 7), labels) == pytest.approx(1 / 20, abs=1e-15)


def test_no_decision_is_wrong():
    """-1 (a tie or a silent output) is never counted as right."""
    assert balanced_accuracy(np.array([-1, 1]), np.array([0, 1])) == 0.5


def test_retention():
    """1 if reversal changes nothing, 0 at chance, negative below, nan where there is nothing to retain."""
    assert retention(0.6, 0.6, 0.05) == 1.0
    assert retention(0.65, 0.05, 0.05) == 0.0
    assert retention(0.45, 0.15, 0.05) == pytest.approx(0.25)
    assert math.isnan(retention(0.05, 0.05, 0.05))


def test_synaptic_operations_by_hand():
    """Two inputs spikes to 3 neurons; 3 x 2 spikes to 4; 4 x 0.5 to 5 classes; recurrent ones to their own layer too."""
    assert synaptic_operations(2.0, [2.0, 0.5], [3, 4], 5) == 2 * 3 + 6 * 4 + 2 * 5
    assert synaptic_operations(2.0, [2.0, 0.5], [3, 4], 5, recurrent=True) == 40 + 6 * 3 + 2 * 4


def test_scores_by_class_and_voice():
    """Shares of right answers, one a row; a class without samples, and a row without a score, are left out."""
    confusion = [[3, 0, 0, 1], [0, 0, 0, 0], [1, 0, 1, 0]]  # the last column: no answer
    scored = {"accuracy": 0.6, "confusion": confusion, "by_speaker": {"4": [4, 3], "7": [2, 1]}}
    failed = scored | {"accuracy": None}
    assert by_class([scored, failed, scored]) == {0: [0.75, 0.75], 2: [0.5, 0.5]}
    assert by_voice([scored, failed]) == {"4": [0.75], "7": [0.5]}
