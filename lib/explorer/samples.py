"""The words that the explorer offers: of every test voice the first recording of each word, right or wrong."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ..data import speech
from ..data.digits import CLASSES
from ..data.events import Binned
from ..data.variants import norm

SEED = 0  # of the spikes that survive in norm
WEB_WORDS = ("one", "two", "three", "eins", "zwei", "drei")  # on the web page: the first that count, in both languages


@dataclass(frozen=True)
class Examples:
    """Samples of *norm*, one a test voice and word.

    Attributes:
        data: in order of voice, then word.
        recordings: which recording of its voice each is: 0, 1, ... in the order in which the voice spoke.
    """

    data: Binned
    recordings: np.ndarray

    def find(self, word: str, voice: int) -> int:
        """Number of a sample; ValueError if there is none."""
        (found,) = np.flatnonzero((self.data.labels == CLASSES.index(word)) & (self.data.speakers == voice))
        return int(found)


@lru_cache(maxsize=1)
def examples() -> Examples:
    """The first recording of each word by each test voice; if it has too few spikes for *norm*, the next one.

    Nothing is chosen by how a network answers.
    """
    everything = speech.load("digits", "test")
    fits = speech.minimum("digits").enough(everything)
    chosen = [
        np.flatnonzero(fits & (everything.speakers == voice) & (everything.labels == label))[0]
        for voice in np.unique(everything.speakers)
        for label in range(len(CLASSES))
    ]
    firsts = {voice: np.flatnonzero(everything.speakers == voice)[0] for voice in np.unique(everything.speakers)}
    recordings = [number - firsts[everything.speakers[number]] for number in chosen]
    rng = np.random.default_rng(SEED)
    data = norm(everything.select(np.array(chosen)), speech.minimum("digits"), rng)
    return Examples(data, np.array(recordings))
