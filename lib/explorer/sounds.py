"""The sounds of the explorer's words: 8 kHz, 8 bits by the mu-law of telephony (ITU-T G.711's continuous form)."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..files import write_atomically

FILE = Path(__file__).parent / "sounds.npz"
SAMPLE_RATE = 8000  # Hz
MU = 255.0


def encode(sound: np.ndarray) -> np.ndarray:
    """A sound between -1 and 1 as bytes, uint8, of its logarithm: 0 is -1, 255 is 1."""
    sound = np.clip(sound, -1, 1)
    compressed = np.sign(sound) * np.log1p(MU * np.abs(sound)) / np.log1p(MU)
    return np.rint((compressed + 1) * 127.5).astype(np.uint8)


def decode(code: np.ndarray) -> np.ndarray:
    """Bytes as a sound between -1 and 1, float64; undoes `encode` but for rounding."""
    compressed = code / 127.5 - 1
    return np.sign(compressed) * np.expm1(np.abs(compressed) * np.log1p(MU)) / MU


def write(path: Path, sounds: list[np.ndarray]) -> None:
    """Write encoded sounds, one after the other."""
    with write_atomically(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, code=np.concatenate(sounds), lengths=np.array([len(sound) for sound in sounds]))


def read(path: Path = FILE) -> list[np.ndarray]:
    """The encoded sounds, in the order of `lib.explorer.samples.examples`.

    Raises:
        InputError: the file is missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return np.split(file["code"], np.cumsum(file["lengths"])[:-1])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        remedy = "restore it with `git checkout -- lib/explorer`"
        raise InputError(f"{path}: cannot be read ({type(error).__name__}); {remedy}") from None
