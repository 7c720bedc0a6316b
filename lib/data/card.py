"""The data card of an exported data set."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np

from . import audit
from .speech import PARTS
from .variants import ALIGNED_S

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
spikes each keeps is decided on the training part: a unit survives if it fires at least twice in every training
sample, but for a few samples that are set aside. A sample of any part with fewer spikes is left out of all variants,
and counted below.""",
    "paper": """The authors' construction to the letter, for comparison only: all files merged, minima over all samples,
part and norm balanced by separate draws, contiguous parts, a tenth never used. The test part has voices, of part and
norm also utterances' neighbours, that training has heard. Spikes after 1.4 s are in the last bin.""",
}
POOREST = {"strict": "training sample", "paper": "sample"}
LAYOUT = """| field | what |
|---|---|
| `spikes/times` | a train a sample, float32, seconds: the middle of a bin, in order of time |
| `spikes/units` | the unit of each spike, uint16, from 0 to the attribute `n_units` - 1 |
| `labels`, `extra/keys` | class of every sample, uint16; names of the classes |
| `extra/speaker` | speaker of every sample, uint16, as numbered in the source |
| `extra/unit_map` | original number of every unit (strict protocol) |
| `extra/original_sample` | place of every sample in the source's file of the part, from 0 (strict protocol) |

The attributes of a file say data set, variant, part, protocol, seed, number of units and bins, bin width, and the
source's checksum."""
LOADING = """```python
import h5py

with h5py.File("{name}") as file:
    times, units, label = file["spikes/times"][0], file["spikes/units"][0], file["labels"][0]
    word, n_units = file["extra/keys"][label].decode(), file.attrs["n_units"]
```"""


def card(record: dict, folder: Path, audits: dict[str, list[dict]]) -> str:
    """Markdown: source, licence, construction, layout, files, what was left out, and what else tells of the class.

    Args:
        record: as in export.json.
        folder: holds the files.
        audits: of each variant, see `lib.data.audit.audit`.
    """
    data, variants, protocol = record["data"], record["variants"], record["protocol"]
    made = f"made by the Beyond Rate Coding companion {record['version']}, protocol *{protocol}*, seed {record['seed']}"
    described = {
        "whole": "has all spikes, at most one a unit and bin",
        "part": "has all spikes of the surviving units",
        "norm": f"has as many of each unit's spikes as the poorest {POOREST[protocol]} has, drawn at random, so that "
        "counts say nothing of the class. The file is one such draw: other seeds give others",
        "norm_aligned": f"is norm, shifted and stretched to {ALIGNED_S:.2f} s, so that every sample begins and ends in the "
        "same bins",
    }
    lines = [f"# {data}: {', '.join(variants)}", "", SOURCES[data], "", f"Timing-only construction: {PAPER}; {made}."]
    lines += ["", "## Construction", "", CONSTRUCTION[protocol], ""]
    lines += [f"- *{name}* {described[name]}." for name in variants]
    lines += ["", f"Bins are {1e3 * record['bin_width_s']:.2f} ms wide.", "", "## Layout", "", LAYOUT, ""]
    files = [folder / f"{data}_{variant}_{part}.h5" for variant in variants for part in PARTS]
    lines += [
        LOADING.format(name=files[0].name),
        "",
        "`sha256sum -c checksums.sha256` checks the files.",
        "",
        "## Files",
        "",
    ]
    lines += ["| file | samples | units | spikes a sample | events merged by binning |", "|---|---|---|---|---|"]
    lines += [_row(path) for path in files]
    lines += ["", _classes(files[0]), "", "## Left out", ""]
    lines += (
        _left_out(files[:3]) if protocol == "strict" else [_unused(files[i : i + 3]) for i in range(0, len(files), 3)]
    )
    lines += ["", "## Voices", "", *_voices(files[:3])]
    lines += ["", "## What tells of the class besides the pattern", ""]
    lines += ["Two probes, trained on samples of the training part and scored on samples of validation."]
    for variant, records in audits.items():
        lines += ["", f"*{variant}*", "", "```", audit.table(records), "```"]
    return "\n".join(lines) + "\n"


def _row(path: Path) -> str:
    with h5py.File(path) as file:
        n, units = len(file["labels"]), file.attrs["n_units"]
        merged = file.attrs.get("merged_by_binning", "not counted")
        sizes = np.array([len(file["spikes/units"][i]) for i in np.linspace(0, n - 1, min(n, 1000)).astype(int)])
    spread = f"{sizes.mean():.0f} ± {sizes.std():.0f}" if n else "-"
    return f"| {path.name} | {n} | {units} | {spread} | {merged} |"


def _classes(path: Path) -> str:
    with h5py.File(path) as file:
        return "Classes: " + ", ".join(f"{i} {key.decode()}" for i, key in enumerate(file["extra/keys"])) + "."


def _left_out(paths: list[Path]) -> list[str]:
    """Samples with too few spikes, by part, class and speaker."""
    lines = ["Samples with too few spikes, of all variants:", ""]
    for part, path in zip(PARTS, paths, strict=True):
        with h5py.File(path) as file:
            dropped, kept = json.loads(file.attrs["dropped"]), len(file["labels"])
        n = sum(dropped["by_class"].values())
        listed = {
            kind: ", ".join(f"{value}: {found[value]}" for value in sorted(found, key=int)) or "-"
            for kind, found in dropped.items()
        }
        lines.append(f"- {part}: {n} of {n + kept}; by class {listed['by_class']}; by speaker {listed['by_speaker']}")
    return lines


def _unused(paths: list[Path]) -> str:
    """How many samples of the source are in no part of a variant."""
    used = 0
    for path in paths:
        with h5py.File(path) as file:
            used, n, variant = used + len(file["labels"]), file.attrs["source_samples"], file.attrs["variant"]
    return f"- {variant}: {used} of the {n} samples of the source are in one of the parts"


def _voices(paths: list[Path]) -> list[str]:
    """Voices of every part, and how many samples are of voices that the training part has too."""
    speakers = []
    for path in paths:
        with h5py.File(path) as file:
            speakers.append(file["extra/speaker"][:])
    lines = []
    for part, found in zip(PARTS, speakers, strict=True):
        heard = int(np.isin(found, speakers[0]).sum())
        known = "" if part == "train" else f"; {heard} of {len(found)} samples are of voices that training has heard"
        lines.append(f"- {part}: {len(np.unique(found))} voices{known}")
    return lines
