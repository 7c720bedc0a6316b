"""Tables of results: the rows that figures draw and claims judge, and where their numbers come from.

`results/published/<experiment>.json.gz` holds one table for each data set and preset. They are written by
`python -m lib publish` and read by figures, claims and documents only: nothing is computed from them, and a run is
never skipped because of them.
"""

from __future__ import annotations

import gzip
import json
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path

from .errors import InputError
from .files import write_atomically
from .provenance import ROOT
from .runs import Outcome, canonical

PUBLISHED = ROOT / "results" / "published"


@dataclass(frozen=True)
class Table:
    """What one experiment gave.

    Attributes:
        experiment, data, preset: which experiment, on which data set, how large.
        rows: one a score. Rows of speech: variant, arm, seed, part, trained, trained_level, tested, tested_level,
            accuracy, samples, chance, parameters, failed (why accuracy is None); of networks also input_spikes,
            hidden_rates, and of clean samples delays (bins), confusion and by_speaker (`lib.experiments.speech`).
        provenance: commits, versions, devices, seeds and keys of the runs (`provenance_of`).
    """

    experiment: str
    data: str
    preset: str
    rows: list[dict]
    provenance: dict


def provenance_of(outcomes: list[Outcome], seeds: list[int], data_checksum: str | None) -> dict:
    """Commits, versions and devices (each that occurs), seeds, checksum of the data, and keys of the runs."""

    def distinct(name: str) -> list:
        return [json.loads(text) for text in sorted({canonical(outcome.about[name]) for outcome in outcomes})]

    return {
        "commits": distinct("commit"),
        "versions": distinct("versions"),
        "devices": distinct("device"),
        "seeds": sorted(set(seeds)),
        "data_checksum": data_checksum,
        "runs": sorted({outcome.key for outcome in outcomes}),
    }


def select(rows: list[dict], **conditions) -> list[dict]:
    """Rows whose fields have these values."""
    return [row for row in rows if all(row.get(name) == value for name, value in conditions.items())]


def at_level(rows: list[dict]) -> list[dict]:
    """Rows of networks that were tested on what they were trained on."""
    return [r for r in rows if (r["trained"], r["trained_level"]) == (r["tested"], r["tested_level"])]


def by_seed(rows: list[dict]) -> dict[int, float]:
    """Seed -> accuracy, without failed runs.

    Raises:
        InputError: a seed occurs twice: the rows were not selected narrowly enough.
    """
    seeds = [row["seed"] for row in rows]
    if len(set(seeds)) < len(seeds):
        raise InputError("rows: a seed occurs twice; select a single variant, arm, part and perturbation")
    return {row["seed"]: row["accuracy"] for row in rows if row["accuracy"] is not None}


def publish(table: Table, folder: Path | None = None) -> Path:
    """Put a table into the published file of its experiment, in place of an older one of its data and preset."""
    path = (folder or PUBLISHED) / f"{table.experiment}.json.gz"
    tables = {(old.data, old.preset): old for old in (_read(path) if path.exists() else [])}
    tables[table.data, table.preset] = table
    text = canonical([asdict(tables[name]) for name in sorted(tables)])
    with write_atomically(path) as temporary:
        temporary.write_bytes(gzip.compress(text.encode(), mtime=0))  # same tables, same bytes
    return path


def published(folder: Path | None = None) -> list[Table]:
    """All published tables, by experiment, data set and preset.

    Raises:
        InputError: a file is damaged.
    """
    return [table for path in sorted((folder or PUBLISHED).glob("*.json.gz")) for table in _read(path)]


def _read(path: Path) -> list[Table]:
    try:
        return [Table(**fields) for fields in json.loads(gzip.decompress(path.read_bytes()))]
    except (OSError, EOFError, zlib.error, ValueError, TypeError, RecursionError):
        raise InputError(f"{path}: damaged; restore it with `git checkout -- {path.name}` in its folder") from None
