"""The licences of what is installed: `python tests/licences.py` writes LICENCES.md from requirements.lock."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOCK, OUTPUT = ROOT / "requirements.lock", ROOT / "LICENCES.md"
IN_FILES = {  # where the packages' own words say nothing
    "espeakng-loader": "GPL-3.0-or-later (it holds eSpeak NG)",
    "expelliarmus": "GPL-2.0 (its file LICENSE)",
}
HEAD = """# Licences of the packages in requirements.lock

Written by `python tests/licences.py` from what the packages say of themselves. This project's own licence is in
[LICENSE](LICENSE); what GPL-3.0 and LGPL mean here is in the README, section Licences.

| package | version | licence |
|---|---|---|
"""


def pins() -> list[tuple[str, str]]:
    """Package and version, in the order of the lock."""
    lines = [line.split(";")[0].strip() for line in LOCK.read_text().splitlines() if line[:1] not in ("#", "")]
    return [tuple(line.split("==")) for line in lines]


def licence(name: str) -> str | None:
    """What an installed package says; None if it is not installed."""
    try:
        said = metadata(name)
    except PackageNotFoundError:
        return None
    classified = [line.split(" :: ")[-1] for line in said.get_all("Classifier", []) if line.startswith("License ::")]
    first = next((line.strip() for line in (said.get("License") or "").splitlines() if line.strip()), "")
    free = first if len(first) < 60 else ""
    if name in IN_FILES:
        return IN_FILES[name]
    return (
        said.get("License-Expression")
        or ", ".join(c for c in classified if c != "OSI Approved")
        or free
        or "see its files"
    )


def known() -> dict[str, str]:
    """Line of the written file -> licence, by package and version."""
    if not OUTPUT.exists():
        return {}
    return {
        (name, version): text
        for name, version, text in re.findall(r"^\| (\S+) \| (\S+) \| (.+) \|$", OUTPUT.read_text(), re.M)
    }


def text() -> str:
    """The file; a package that this system does not need keeps the line that it has."""
    lines = [f"| {n} | {v} | {licence(n) or known().get((n, v), 'not installed here')} |\n" for n, v in pins()]
    return HEAD + "".join(lines)


if __name__ == "__main__":
    OUTPUT.write_text(text())
