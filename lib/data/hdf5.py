"""Writing HDF5 files: whole or not at all, also when the disk is full."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from ..files import write_atomically


@contextmanager
def writing_hdf5(path: str | Path) -> Iterator[h5py.File]:
    """An HDF5 file that appears at `path` when it is whole.

    Raises:
        OSError: it cannot be written, above all on a full disk; said when it is closed.
    """
    with write_atomically(path) as temporary, _File(temporary, "w+") as raw:
        try:
            with h5py.File(raw, "w") as file:
                yield file
        except Exception:
            if raw.error is None:
                raise
        if raw.error is not None:
            raise raw.error


class _File(io.FileIO):
    """A file whose failed writes the HDF5 library is not told of, for then it crashes.

    Attributes:
        error: the first failure. After it nothing is right in the file, and zeros are read where nothing is.
    """

    error: OSError | None = None

    def write(self, data) -> int:
        """All of the data, or none that counts."""
        left = memoryview(data).cast("B")
        try:
            while len(left) and self.error is None:
                left = left[super().write(left) :]
        except OSError as error:
            self.error = error
        return len(data)

    def truncate(self, size: int | None = None) -> int:
        """To this size, or to none that counts."""
        try:
            return super().truncate(size)
        except OSError as error:
            self.error = self.error or error
            return size or 0

    def readinto(self, buffer) -> int:
        """As much as is asked for."""
        view = memoryview(buffer).cast("B")
        n = super().readinto(view)
        view[n:] = bytes(len(view) - n)
        return len(view)
