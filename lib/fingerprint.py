"""Has code changed that decides numbers? A guard against old results under new code.

`lib/fingerprint.json` holds the results version and a hash of every source that decides numbers. When such a source
changes, a test fails until its author has said which it is:

- numbers can change: raise RESULTS_VERSION in `lib/runs.py`, then `python -m lib.fingerprint`;
- they cannot: `python -m lib.fingerprint --waive "why"`, which records the new hashes with the reason.

A hash is of the syntax tree without docstrings, so comments, docstrings and layout may change freely.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import sys
from pathlib import Path

from .errors import InputError
from .files import write_atomically
from .provenance import ROOT
from .runs import RESULTS_VERSION

RECORD = Path(__file__).with_suffix(".json")
SOURCES = (
    "lib/kernels/**/*.py",
    "lib/data/**/*.py",
    "lib/experiments/arms.py",  # the others say which runs there are, and runs are named by their fields
    "lib/experiments/speech.py",
    "lib/experiments/synthetic*.py",
    "lib/*network.py",
    "lib/neurons.py",
    "lib/surrogate.py",
    "lib/train.py",
    "lib/inside.py",
    "lib/perturb.py",
    "lib/observers.py",
    "lib/baselines.py",
    "lib/scores.py",
)


def source_hash(text: str) -> str:
    """SHA-256 of a module's syntax tree without docstrings; the same for every version of Python."""
    return hashlib.sha256(_written(ast.parse(text)).encode()).hexdigest()


def _written(node: object) -> str:
    """A syntax tree as text; empty fields are left out, for newer versions of Python have more of them."""
    if isinstance(node, list):
        return "[" + ",".join(map(_written, node)) + "]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = dict(ast.iter_fields(node))
    if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and ast.get_docstring(node):
        fields["body"] = fields["body"][1:]
    kept = [f"{name}={_written(value)}" for name, value in fields.items() if value is not None and value != []]
    return f"{type(node).__name__}({','.join(kept)})"


def current(root: Path = ROOT) -> dict[str, str]:
    """Source that decides numbers -> its hash now."""
    paths = sorted({path for pattern in SOURCES for path in root.glob(pattern)})
    return {path.relative_to(root).as_posix(): source_hash(path.read_text()) for path in paths}


def changed(now: dict[str, str], recorded: dict) -> list[str]:
    """Sources that were changed, added or removed since the record."""
    before = recorded["sources"]
    return sorted(name for name in now.keys() | before.keys() if now.get(name) != before.get(name))


def refresh(now: dict[str, str], recorded: dict, version: int, why: str | None) -> dict:
    """The record brought up to date.

    Args:
        now: `current()`.
        recorded: the old record: version, sources, waivers (sources, hashes and reasons since that version).
        version: RESULTS_VERSION.
        why: reason why numbers cannot have changed; None if the version was raised.

    Raises:
        InputError: sources that were there before have changed, and neither version nor reason is given.
    """
    if version != recorded["version"]:
        return {"version": version, "sources": now, "waivers": []}
    touched = changed(now, recorded)
    old = [name for name in touched if name in recorded["sources"]]
    if old and not why:
        text = "raise RESULTS_VERSION in lib/runs.py, or say why numbers cannot change: --waive WHY"
        raise InputError(f"{', '.join(old)}: changed, but the results version is still {version}; {text}")
    waived = [{"source": name, "hash": now.get(name), "why": why} for name in old]
    return {"version": version, "sources": now, "waivers": recorded["waivers"] + waived}


def main(words: list[str] | None = None) -> int:
    """`python -m lib.fingerprint`: bring the record up to date. 0 if it worked, else 2."""
    parser = argparse.ArgumentParser("python -m lib.fingerprint", description="Record the code that decides numbers.")
    parser.add_argument("--waive", metavar="WHY", help="why results cannot have changed, in one line")
    args = parser.parse_args(words)
    recorded = json.loads(RECORD.read_text())
    try:
        new = refresh(current(), recorded, RESULTS_VERSION, args.waive)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    with write_atomically(RECORD) as temporary:
        temporary.write_text(json.dumps(new, indent=1) + "\n")
    print(f"{RECORD.name}: version {new['version']}, {len(new['sources'])} sources")
    return 0


if __name__ == "__main__":
    sys.exit(main())
