"""Human speech: the Free Spoken Digit Dataset, 3,000 recordings of ten English digits by six people.

Jakobovski et al., github.com/Jakobovski/free-spoken-digit-dataset, CC BY-SA 4.0. The recordings are not part of this
project: give the folder or a zip of them. Every file is checked against the manifest beside this module.
"""

from __future__ import annotations

import hashlib
import io
import lzma
import re
import zipfile
import zlib
from pathlib import Path

import joblib
import numpy as np
import soundfile

from ..errors import InputError
from ..files import is_intact, note_checksum, sha256_of
from ..progress import progress
from .digits import ENGLISH
from .digits import VERSION as ENCODER_VERSION
from .events import Events, concatenate, read_shd, write_shd

MANIFEST = Path(__file__).with_suffix(".sha256")
SOURCE = "github.com/Jakobovski/free-spoken-digit-dataset, commit 26eb9aa"
SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
SPEAKERS_OF_PART = {  # numpy.random.default_rng(0).permutation(6), before any network was trained
    "train": ("lucas", "nicolas", "yweweler"),
    "validation": ("theo",),
    "test": ("george", "jackson"),
}
NAME = re.compile(r"(\d)_([a-z]+)_(\d+)\.wav")


def read_manifest(manifest: Path = MANIFEST) -> dict[str, str]:
    """File name -> SHA-256 of the recording."""
    return dict(line.split()[::-1] for line in manifest.read_text().splitlines())


def read_files(path: str | Path, manifest: Path = MANIFEST) -> dict[str, bytes]:
    """Bytes of all recordings of the manifest, from a folder or a zip (whatever folder they lie in), checked.

    Nothing is unpacked to disk.

    Raises:
        InputError: the path is neither, recordings are missing, or some differ from the manifest.
    """
    path, expected = Path(path), read_manifest(manifest)
    if path.is_dir():
        found = {file.name: file.read_bytes() for file in path.rglob("*.wav") if file.name in expected}
    elif path.exists() and zipfile.is_zipfile(path):
        found = _read_zip(path, expected)
    else:
        raise InputError(f"{path}: neither a folder nor a zip; give the recordings of {SOURCE}")
    missing = sorted(expected.keys() - found.keys())
    if missing:
        raise InputError(f"{path}: {len(missing)} recordings are missing ({_some(missing)}); get them from {SOURCE}")
    altered = sorted(name for name, data in found.items() if hashlib.sha256(data).hexdigest() != expected[name])
    if altered:
        raise InputError(f"{path}: {len(altered)} recordings were altered ({_some(altered)}); get them from {SOURCE}")
    return found


def _read_zip(path: Path, expected: dict[str, str]) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = [info for info in archive.infolist() if Path(info.filename).name in expected]
            if any(info.file_size > 10_000_000 for info in members):
                raise InputError(f"{path}: it holds recordings of over 10 MB; get it from {SOURCE}")
            return {Path(info.filename).name: archive.read(info) for info in members}
    except (zipfile.BadZipFile, OSError, EOFError, RuntimeError, ValueError, zlib.error, lzma.LZMAError) as error:
        raise InputError(f"{path}: damaged zip ({error}); get it from {SOURCE}") from None


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def fsdd_events(path: str | Path, cache: Path, jobs: int = -1, manifest: Path = MANIFEST) -> Events:
    """Spikes of all recordings, in the order of speaker, digit, index.

    Made once and kept in `cache`, one file a speaker, so that an interrupted call goes on with the next speaker; a file
    that has changed since is made again. With all files there, the recordings are not opened again.

    Args:
        path: folder or zip with the recordings.
        cache: folder of the event files.
        jobs: processes; -1: one a core.
        manifest: names and checksums of the recordings.

    Raises:
        InputError: see `read_files`.
    """
    folder = cache / f"fsdd-v{ENCODER_VERSION}-{sha256_of(manifest)[:8]}"
    files = [folder / f"{speaker}.h5" for speaker in SPEAKERS]
    missing = [file for file in files if not is_intact(file)]
    if missing:
        sounds = read_files(path, manifest)
        with progress(len(sounds), "human speech through the cochlea", "recording") as bar:
            for number, file in enumerate(files):
                names = sorted((n for n in sounds if _parts(n)[1] == SPEAKERS[number]), key=_parts)
                if file in missing:
                    _convert_speaker({name: sounds[name] for name in names}, number, file, jobs, bar)
                else:
                    bar.update(len(names))
    return concatenate([read_shd(file) for file in files])


def _convert_speaker(sounds: dict[str, bytes], speaker: int, file: Path, jobs: int, bar) -> None:
    tasks = (joblib.delayed(_encode)(name, data) for name, data in sounds.items())
    trains = []
    for train in joblib.Parallel(jobs, return_as="generator")(tasks):
        trains.append(train)
        bar.update(1)
    labels = [_parts(name)[0] for name in sounds]
    write_shd(file, Events.from_list(trains, labels, [speaker] * len(labels), ENGLISH))
    note_checksum(file)


def _parts(name: str) -> tuple[int, str, int]:
    """Digit, speaker and index of a file name."""
    match = NAME.fullmatch(name)
    if not match or match[2] not in SPEAKERS:
        raise InputError(f"{name}: not named digit_speaker_index.wav; get the recordings from {SOURCE}")
    return int(match[1]), match[2], int(match[3])


def _encode(name: str, data: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Spikes of one recording; its seed is its own, whatever is converted beside it."""
    from .cochlea import sound_to_spikes  # only here: it takes a second to import

    sound, sample_rate = soundfile.read(io.BytesIO(data))
    digit, speaker, index = _parts(name)
    return sound_to_spikes(sound, sample_rate, seed=(digit * len(SPEAKERS) + SPEAKERS.index(speaker)) * 1000 + index)
