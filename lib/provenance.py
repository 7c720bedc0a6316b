"""Where numbers come from: the commit and the versions that made them."""

from __future__ import annotations

import platform
import subprocess
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("torch", "numpy", "numba", "scipy", "scikit-learn")  # that decide numbers


@lru_cache(maxsize=1)
def commit() -> str:
    """The checkout's commit, with "+changes" if `lib` differs from it."""

    def git(*words: str) -> str:
        try:
            return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True).stdout.strip()
        except OSError:  # no git here
            return ""

    top, name = git("rev-parse", "--show-toplevel"), git("rev-parse", "HEAD")
    if not name or Path(top).resolve() != ROOT.resolve():  # unpacked within another repository
        return "not a git checkout"
    return name + ("+changes" if git("status", "--porcelain", "--", "lib") else "")


@lru_cache(maxsize=1)
def versions() -> dict[str, str]:
    """Package (and Python) -> version."""
    return {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}
