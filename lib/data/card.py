"""The data card of an exported data set."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np

from . import audit
from .speech import PARTS

CRAMER = "Cramer, Stradmann, Schemmel, Zenke 2022, IEEE Trans. Neural Netw. Learn. Syst. 33, 2744"
PAPER = "Yu, Sun, Akarca, Goodman 2026, Neuromorph. Comput. Eng. 6, 014016 (arXiv 2507.16043)"
SOURCES = {
    "digits": "Synthetic spoken digits (eSpeak NG through SHD's inner ear), of the Beyond Rate Coding companion; CC BY 4.0.",
    "fsdd": "Derived from the Free Spoken Digit Dataset (Z. Jackson et al.), CC BY-SA 4.0, and under the same licence.",
    "shd": f"Derived from the Spiking Heidelberg Digits ({CRAMER}), CC BY 4.0; changed as described below.",
    "ssc": f"Derived from the Spiking Speech Commands ({CRAMER}), CC BY 4.0; changed as described below.",
}
CONSTRUCTION = {
    "strict": """Official parts (of SHD, two voices of its training file validate). Which units stay and how many
spikes each keeps is decided on the training voices: a unit survives if it fires at least twice in every training
sample, but for a few samples that are set aside. A sample of any part with fewer spikes is left out of all variants,
and counted below.""",
    "paper": """The authors' construction to the letter, for comparison only: training and test files merged, minima over
all samples, part and norm balanced by separate draws, contiguous parts, a tenth never used. Test voices are not unseen
voices.""",
}
VARIANTS = """*whole* has all spikes; *part* all spikes of the surviving units; *norm* as many of each unit's spikes as the poorest
training sample has, drawn at random, so that counts say nothing of the class; *norm_aligned* is norm, shifted and
stretched so that every sample begins and ends in the same bins."""


def card(record: dict, folder: Path, audits: dict[str, list[dict]]) -> str:
    """Markdown: source, licence, construction, files, what was left out, and what else tells of the class.

    Args:
        record: as in export.json.
        folder: holds the files.
        audits: of each variant, see `lib.data.audit.audit`.
    """
    made = f"made by the Beyond Rate Coding companion {record['version']}, protocol *{record['protocol']}*"
    lines = [f"# {record['data']}: {', '.join(record['variants'])}", "", SOURCES[record["data"]], ""]
    lines += [f"Timing-only construction: {PAPER}; {made}, seed {record['seed']}."]
    lines += ["", "## Construction", "", CONSTRUCTION[record["protocol"]], "", VARIANTS, ""]
    lines += [f"A time is the middle of a bin of {1e3 * record['bin_width_s']:.2f} ms, in seconds, float32; the rest is as in SHD."]
    lines += ["`extra/original_sample` and `extra/unit_map` lead back to the source (strict protocol)."]
    lines += ["`sha256sum -c checksums.sha256` checks the files.", "", "## Files", ""]
    lines += ["| file | samples | units | spikes a sample | events merged by binning |", "|---|---|---|---|---|"]
    lines += [_row(path) for path in sorted(folder.glob("*.h5"))]
    if record["protocol"] == "strict":
        lines += ["", "## Left out", "", "Samples with too few spikes, of all variants."]
        lines += [_left_out(folder, record, part) for part in PARTS]
    lines += ["", "## What tells of the class besides the pattern", ""]
    lines += ["Two probes, trained on the training part and scored on validation (at most 5,000 samples of each)."]
    for variant, records in audits.items():
        lines += ["", f"*{variant}*", "", "```", audit.table(records), "```"]
    return "\n".join(lines) + "\n"


def _row(path: Path) -> str:
    with h5py.File(path) as file:
        n, merged = len(file["labels"]), file.attrs["merged_by_binning"]
        units = len(file["extra/unit_map"]) if "extra/unit_map" in file else "-"
        sizes = np.array([len(file["spikes/units"][i]) for i in np.linspace(0, n - 1, min(n, 1000)).astype(int)])
    spread = f"{sizes.mean():.0f} ± {sizes.std():.0f}" if n else "-"
    return f"| {path.name} | {n} | {units} | {spread} | {merged} |"


def _left_out(folder: Path, record: dict, part: str) -> str:
    with h5py.File(folder / f"{record['data']}_{record['variants'][0]}_{part}.h5") as file:
        dropped, kept = json.loads(file.attrs["dropped"]), len(file["labels"])
    n = sum(dropped["by_class"].values())
    said = {kind: {int(value): count for value, count in found.items()} for kind, found in dropped.items()}
    listed = {kind: ", ".join(f"{value}: {found[value]}" for value in sorted(found)) for kind, found in said.items()}
    return (
        f"\n- {part}: {n} of {n + kept}; by class {listed['by_class'] or '-'}; by speaker {listed['by_speaker'] or '-'}"
    )
