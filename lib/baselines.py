"""What can be read without timing: a multi-layer perceptron on spike counts."""

from __future__ import annotations

import warnings

from .data.events import Binned
from .scores import balanced_accuracy


class CountMLP:
    """A perceptron that sees only how many spikes each unit fired (the paper's rate-only reference).

    Args:
        hidden: hidden units.
        weight_decay: L2 penalty.
        seed: of weights and shuffling.
    """

    def __init__(self, hidden: int, weight_decay: float, seed: int) -> None:
        # Only here: scikit-learn takes as long to import as all else that experiments need, and few runs need it
        from sklearn.neural_network import MLPClassifier
        from sklearn.preprocessing import StandardScaler

        self._scale = StandardScaler()
        self._network = MLPClassifier((hidden,), alpha=weight_decay, random_state=seed, max_iter=200)

    def fit(self, training: Binned) -> CountMLP:
        """Train on the counts of `training`."""
        from sklearn.exceptions import ConvergenceWarning

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # epochs are a setting, not a failure
            self._network.fit(self._scale.fit_transform(training.counts()), training.labels)
        return self

    def score(self, data: Binned) -> float:
        """Balanced accuracy on the counts of `data`."""
        return balanced_accuracy(self._network.predict(self._scale.transform(data.counts())), data.labels)
