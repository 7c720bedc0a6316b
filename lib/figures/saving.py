"""Figures as files: PNG, SVG and their numbers; each carries where the numbers come from."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

from matplotlib.figure import Figure
from PIL import Image

from ..errors import InputError
from ..files import write_atomically
from ..provenance import ROOT
from ..tables import Table

DESCRIPTION = "{http://purl.org/dc/elements/1.1/}description"

# What the readers of pictures and texts raise at a file that is damaged, hostile or of another maker
UNREADABLE = (
    OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError,
    ElementTree.ParseError, Image.DecompressionBombError,
)  # fmt: skip


def folder(data: str, preset: str) -> Path:
    """Where the figures of a data set and preset are kept; smoke figures are no results and go below `build/`."""
    base = ROOT / "build" / "figures" if preset == "smoke" else ROOT / "figures"
    return base / data / preset


def save_figure(fig: Figure, name: str, table: Table) -> list[Path]:
    """Write `name`.png, .svg and .json (the plotted table); returns their paths.

    Provenance is embedded in all three. There is no date: the same table gives the same bytes.
    """
    source = {"experiment": table.experiment, "data": table.data, "preset": table.preset} | table.provenance
    base = folder(table.data, table.preset) / name
    text = json.dumps(source, sort_keys=True)
    pictures = {".png": {"Description": text}, ".svg": {"Description": text, "Date": None}}
    for suffix, metadata in pictures.items():
        with write_atomically(base.with_suffix(suffix)) as temporary:
            fig.savefig(temporary, dpi=200, metadata=metadata)
    with write_atomically(base.with_suffix(".json")) as temporary:
        temporary.write_text(json.dumps({"provenance": source, "rows": table.rows}, indent=1, sort_keys=True) + "\n")
    return [base.with_suffix(suffix) for suffix in (*pictures, ".json")]


def read_provenance(path: str | Path) -> dict:
    """What `save_figure` embedded in a PNG, SVG or JSON file.

    Raises:
        InputError: no such file, or it carries no provenance.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such file; give a figure's .png, .svg or .json")
    try:
        if path.suffix == ".png":
            with Image.open(path) as image:
                return json.loads(image.info["Description"])
        if path.suffix == ".svg":
            return json.loads(ElementTree.parse(path).find(f".//{DESCRIPTION}").text)
        return json.loads(path.read_text())["provenance"]
    except UNREADABLE:
        raise InputError(f"{path}: it carries no provenance; give a figure that this project made") from None
