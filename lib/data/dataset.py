"""Our data in the form of tonic's data sets, so that tonic's transforms, caches and loaders apply."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from .events import Binned, Events

EVENT = np.dtype([("t", np.int64), ("x", np.int64), ("p", np.int64)])  # as of tonic.datasets.SHD


class TimingDataset:
    """Samples by number: `data[i]` is (events, target). tonic itself is not needed.

    Attributes:
        sensor_size: (units, 1, 1).
        dtype, ordering: of an event: t in whole microseconds, x the unit, p always 1.
        classes: names of the classes.
        speaker: int64 (n_samples,).
    """

    dtype, ordering = EVENT, EVENT.names

    def __init__(
        self,
        spikes: Events | Binned,
        transform: Callable | None = None,
        target_transform: Callable | None = None,
    ) -> None:
        """Wrap spikes.

        Args:
            spikes: of any data set (`lib.data.speech.load`), variant (`lib.data.variants`) or file (`read_shd`). A
                binned spike is dated in the middle of its bin, so that rounding to microseconds keeps it there.
            transform, target_transform: applied to the events and to the target of every sample.
        """
        if isinstance(spikes, Binned):
            events = spikes.events()
            spikes = replace(events, times=events.times + spikes.bin_width / 2)
        self._events = spikes
        self.transform, self.target_transform = transform, target_transform
        self.sensor_size = (self._events.n_units, 1, 1)
        self.classes, self.speaker = self._events.keys, self._events.speakers

    def __len__(self) -> int:
        return len(self._events)

    def __getitem__(self, sample: int) -> tuple:
        """Events, a structured array of `dtype` in order of time, and target; both transformed.

        Raises:
            IndexError: there is no such sample.
        """
        if not -len(self) <= sample < len(self):
            raise IndexError(f"sample {sample}: there are {len(self)}")
        sample %= len(self)
        times, units = self._events[sample]
        events = np.empty(len(times), EVENT)
        events["t"], events["x"], events["p"] = np.rint(times * 1e6), units, 1
        target = int(self._events.labels[sample])
        return (
            self.transform(events) if self.transform else events,
            self.target_transform(target) if self.target_transform else target,
        )
