"""Deleting what can be computed again."""

from __future__ import annotations

import shutil

from .errors import InputError
from .provenance import ROOT


def clean(really: bool) -> str:
    """Delete the folder `build`: stored runs, executed notebooks, smoke figures, caches.

    Args:
        really: delete; else only say what would be deleted.

    Returns:
        What was, or would be, deleted: each folder with its size.

    Raises:
        InputError: this is no checkout.
    """
    build = ROOT / "build"
    if not (ROOT / "pyproject.toml").exists():  # `lib` was copied into a project of another kind
        raise InputError(f"{build}: not of a checkout of this project; delete what you want to delete by hand")
    lines = []
    for folder in sorted(build.glob("*")):
        files = [path for path in folder.rglob("*") if path.is_file()] if folder.is_dir() else [folder]
        size = sum(path.stat().st_size for path in files) / 1e6
        lines.append(f"{folder.relative_to(ROOT)}: {len(files)} files, {size:.1f} MB")
    if not lines:
        return "build: nothing there"
    if really:
        shutil.rmtree(build)
    verdict = "deleted" if really else "would be deleted; add --yes"
    return "\n".join([*lines, verdict])
