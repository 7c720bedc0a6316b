"""Files that are never half-written, and their checksums: none is trusted that has changed."""

from __future__ import annotations

import hashlib
import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def write_atomically(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` on success, delete it on failure.

    The temporary name keeps the suffix of `path`, so that writers which look at it behave the same.
    Missing parent folders are made. A reader sees the old file or the whole new one, never a part.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp makes files private
        temporary.replace(path)
    except OSError as error:  # above all, a full disk
        if error.errno is None:  # not of the system: what is being written could not be made
            raise
        raise OSError(error.errno, error.strerror, str(path)) from None
    finally:
        temporary.unlink(missing_ok=True)


def sha256_of(path: str | Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes, read in pieces."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def note_checksum(path: Path) -> None:
    """Put the SHA-256 of a file that is kept for later beside it, as `sha256sum` writes it."""
    with write_atomically(_note_of(path)) as temporary:
        temporary.write_text(_line(path))


def is_intact(path: Path) -> bool:
    """Whether a file is there, and as it was when its checksum was noted.

    If none was, then who made the file was stopped just after: it is taken as it is, and noted now.
    """
    if not path.exists():
        return False
    note = _note_of(path)
    if not note.exists():
        with suppress(OSError):  # a folder of which we may only read
            note_checksum(path)
    elif note.read_bytes() != _line(path).encode():
        warnings.warn(f"{path}: damaged, it has to be made again", stacklevel=2)
        return False
    return True


def _line(path: Path) -> str:
    return f"{sha256_of(path)}  {path.name}\n"


def _note_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")
