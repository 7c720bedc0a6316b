"""The explorer as a web page of its own: networks, six words by four voices and their sounds inside."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np

from ..data.digits import CLASSES, ENGLISH
from ..experiments.arms import LABELS
from ..files import write_atomically
from . import sounds
from .networks import DELAY_STEP, WEIGHT_STEP, load, read
from .samples import WEB_WORDS, examples

WEB = Path(__file__).parent / "web"
PLACE = "<!-- explorer -->"  # in the frame of the page
START = "three"  # the word that is shown first


def export(output: str | Path) -> Path:
    """Write the page; returns its path. It can be opened from anywhere, without a server and without a network."""
    frame = (WEB / "alone.html").read_text()
    with write_atomically(output) as temporary:
        temporary.write_text(frame.replace(PLACE, fragment()))
    return Path(output)


def fragment() -> str:
    """The explorer as a piece of HTML with its style, script and data, for a page that has a title."""
    style, body = ((WEB / name).read_text() for name in ("explorer.css", "explorer.html"))
    code = "".join((WEB / name).read_text() for name in ("network.js", "explorer.js"))
    script = f"const DATA = {json.dumps(content(), ensure_ascii=False)};\n{code}"
    return f'<style>\n{style}</style>\n{body}<script type="module">\n{script}</script>\n'


def content() -> dict:
    """Everything that the page knows: numbers as base64 of int16 (weights, delays, units) or bytes (bins, sounds)."""
    arrays, about = read()
    networks = [_network(arm, arrays, about[arm], network) for arm, network in load().items()]
    found, recorded = examples(), sounds.read()
    words = []
    for voice in sorted(set(found.data.speakers.tolist())):
        for word in WEB_WORDS:
            number = found.find(word, voice)
            span = slice(*found.data.offsets[number : number + 2])
            words.append(
                {
                    "word": word, "label": CLASSES.index(word), "voice": voice,
                    "bins": _base64(found.data.bins[span].astype(np.uint8)),
                    "units": _base64(found.data.units[span].astype("<i2")),
                    "sound": _base64(recorded[number]),
                }
            )  # fmt: skip
    return {
        "classes": CLASSES, "english": len(ENGLISH), "start": START, "sampleRate": sounds.SAMPLE_RATE,
        "binMs": 1e3 * found.data.bin_width, "nBins": found.data.n_bins, "nUnits": found.data.n_units,
        "weightStep": WEIGHT_STEP, "delayStep": DELAY_STEP, "networks": networks, "words": words,
    }  # fmt: skip


def _network(arm: str, arrays: dict[str, np.ndarray], about: dict, network) -> dict:
    kinds = {
        kind: [arrays[name] for name in sorted(arrays) if name.startswith(f"{arm}/{kind}/")]
        for kind in ("weights", "delays")
    }
    return {
        "arm": arm, "label": LABELS[arm], "test": about["test"],
        "decay": network.decay, "readoutDecay": network.readout_decay,
    } | {kind: [_base64(array.astype("<i2")) for array in found] for kind, found in kinds.items()}  # fmt: skip


def _base64(array: np.ndarray) -> str:
    return base64.b64encode(array.tobytes()).decode()
