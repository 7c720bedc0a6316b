"""SHD and SSC: spoken digits and commands as the spikes of an inner-ear model (Cramer et al. 2022, CC BY 4.0).

From a folder that holds the files (as they are, .zip or .gz), or downloaded into it: by https alone (tonic's own
download goes on by http where https fails), and kept only if the MD5 is the published one.
"""

from __future__ import annotations

import errno
import gzip
import hashlib
import lzma
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from functools import lru_cache
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import h5py
import numpy as np

from ..errors import InputError
from ..files import sha256_of, write_atomically
from ..progress import progress
from .events import Events, read_shd_chunks

MIRRORS = ("https://zenkelab.org/datasets/", "https://compneuro.net/datasets/")
MD5 = {  # of the zips; the same in tonic 1.7
    "shd_train.h5.zip": "f3252aeb598ac776c1b526422d90eecb",
    "shd_test.h5.zip": "1503a5064faa34311c398fb0a1ed0a6f",
    "ssc_train.h5.zip": "d102be95e7144fcc0553d1f45ba94170",
    "ssc_valid.h5.zip": "b4eee3516a4a90dd0c71a6ac23a8ae43",
    "ssc_test.h5.zip": "a35ff1e9cffdd02a20eb850c17c37748",
}
FILES = {
    "shd": {"train": "shd_train.h5", "validation": "shd_train.h5", "test": "shd_test.h5"},
    "ssc": {"train": "ssc_train.h5", "validation": "ssc_valid.h5", "test": "ssc_test.h5"},
}
N_VALIDATION_VOICES = 2  # of SHD's training file, which has no validation part
PATIENCE = 60.0  # s without a byte, after which a mirror is given up
PIECE = 1 << 20  # bytes
REMEDY = "put the files into a folder and give --data-dir"


def chunks(data: str, part: str, folder: str | Path) -> Iterator[tuple[Events, np.ndarray]]:
    """Some samples at a time of "train", "validation" or "test" of "shd" or "ssc", and their numbers in the file.

    SSC has an official validation file. SHD has none: `validation_voices` of its training file are set aside.

    Raises:
        InputError: the file is missing or damaged, or SHD's training file has too few voices.
    """
    path = find(FILES[data][part], Path(folder))
    voices = None
    if data == "shd" and part != "test":
        voices = validation_voices(np.concatenate([chunk.speakers for chunk in read_shd_chunks(path)]))
    first = 0
    for chunk in read_shd_chunks(path):
        rows = np.arange(len(chunk))
        if voices is not None:
            rows = np.flatnonzero(np.isin(chunk.speakers, voices) == (part == "validation"))
        yield chunk.select(rows), first + rows
        first += len(chunk)


def validation_voices(speakers: np.ndarray) -> np.ndarray:
    """Two voices drawn from those of SHD's training file, by a seed fixed before any network was trained on SHD.

    Raises:
        InputError: there are fewer than three voices.
    """
    voices = np.unique(speakers)
    if len(voices) <= N_VALIDATION_VOICES:
        raise InputError(f"shd_train.h5: it has {len(voices)} voices, three or more are needed; {REMEDY}")
    return np.sort(np.random.default_rng(0).choice(voices, N_VALIDATION_VOICES, replace=False))


def find(name: str, folder: Path) -> Path:
    """Path of an HDF5 file in `folder`, unpacked there first if only its .zip or .gz is there.

    Raises:
        InputError: neither is there, or the archive is damaged or holds no such file.
        OSError: it cannot be written, for example on a full disk.
    """
    path = folder / name
    packed = [folder / f"{name}{suffix}" for suffix in (".zip", ".gz") if (folder / f"{name}{suffix}").exists()]
    if path.exists():
        return path
    if not packed:
        raise InputError(f"{path}: no such file, nor its .zip or .gz; {REMEDY}")
    try:
        with write_atomically(path) as temporary, temporary.open("wb") as unpacked:
            if packed[0].suffix == ".gz":
                with gzip.open(packed[0]) as source:
                    shutil.copyfileobj(source, unpacked)
            else:
                with zipfile.ZipFile(packed[0]) as archive, archive.open(name) as source:
                    shutil.copyfileobj(source, unpacked)
            unpacked.flush()
            if not h5py.is_hdf5(temporary):
                raise RuntimeError("it holds no HDF5 file")
    except (zipfile.BadZipFile, KeyError, EOFError, OSError, zlib.error, lzma.LZMAError, RuntimeError) as error:
        if isinstance(error, OSError) and error.errno not in (
            None,
            errno.EINVAL,
        ):  # above all, a full disk: the archive
            raise  # may be good; EINVAL: it told to read where nothing is
        raise InputError(f"{packed[0]}: damaged archive ({error}); delete it and {REMEDY}") from None
    return path


def checksum(data: str, folder: str | Path) -> str:
    """SHA-256 of the list of the files of "shd" or "ssc" in `folder`: names and contents as they are read.

    Raises:
        InputError: a file is missing or its archive damaged.
    """
    paths = [find(name, Path(folder)) for name in sorted(set(FILES[data].values()))]
    lines = [f"{_sha256(path, path.stat().st_size, path.stat().st_mtime_ns)}  {path.name}\n" for path in paths]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


@lru_cache(maxsize=16)
def _sha256(path: Path, size: int, mtime_ns: int) -> str:
    """Of a file's bytes; hashed again only if size or time has changed, for a plan asks hundreds of times."""
    return sha256_of(path)


def download(data: str, folder: str | Path, mirrors: tuple[str, ...] = MIRRORS, md5: dict[str, str] = MD5) -> None:
    """Fetch the files of "shd" or "ssc" that `folder` lacks; mirrors are tried in order.

    Raises:
        InputError: no mirror gives a file with the right MD5 (truncated, altered, a web page); nothing bad is kept.
    """
    for name in dict.fromkeys(FILES[data].values()):
        if not any((Path(folder) / f"{name}{suffix}").exists() for suffix in ("", ".zip", ".gz")):
            _fetch(f"{name}.zip", Path(folder), mirrors, md5)
        find(name, Path(folder))


def _fetch(name: str, folder: Path, mirrors: tuple[str, ...], md5: dict[str, str]) -> None:
    reasons = []
    for mirror in mirrors:
        try:
            with write_atomically(folder / name) as temporary:
                _retrieve(mirror + name, temporary, md5[name])
            return
        except (OSError, ValueError, RuntimeError, HTTPException) as error:
            reasons.append(f"{mirror}: {str(error).splitlines()[0] if str(error) else type(error).__name__}")
    raise InputError(f"{name}: not downloaded ({'; '.join(reasons)}); {REMEDY}")


def _retrieve(url: str, path: Path, md5: str) -> None:
    """Write what is at an address. Raises ValueError if its MD5 differs, or if a redirection leaves https."""
    found = hashlib.md5(usedforsecurity=False)
    with urlopen(Request(url, headers={"User-Agent": "beyond-rate-coding"}), timeout=PATIENCE) as response:
        if urlsplit(response.url).scheme != urlsplit(url).scheme:
            raise ValueError(f"redirected to {response.url}, which is not https")
        size = int(response.headers.get("Content-Length") or 0)
        with path.open("wb") as file, progress(max(1, size // PIECE), urlsplit(url).path, "MB") as bar:
            while piece := response.read(PIECE):
                file.write(piece)
                found.update(piece)
                bar.update(1)
    if found.hexdigest() != md5:
        raise ValueError("its MD5 is not the published one")
