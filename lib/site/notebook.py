"""A notebook, with the outputs that are stored in it, as a page."""

from __future__ import annotations

import base64
import html
import io
import re
from pathlib import Path

import nbformat
from nbconvert.filters.ansi import strip_ansi
from PIL import Image

from ..errors import InputError
from .code import highlighted
from .markdown import Resolve, picture, plain, render
from .page import Page

SHOWN_DPI = 96  # of a screen; figures are drawn at more
UNSAFE = re.compile(r"<\s*(script|iframe|object|embed|link)\b|(?:src|href)\s*=\s*[\"']?(?:https?:)?//", re.I)
NOT_RUN = (
    '<p class="note">The outputs of this notebook are not stored. Its figures, where they have been computed, are '
    'among the <a href="figures.html">figures</a>.</p>'
)


def notebook_page(path: Path, resolve: Resolve) -> Page:
    """The page of one notebook.

    Args:
        path: NN_name.ipynb; the page is NN_name.html.
        resolve: where its links lead, see `lib.site.markdown`.

    Raises:
        InputError: the file is no notebook, has no title, or a formula cannot be read.
    """
    try:
        cells = nbformat.read(path, as_version=4).cells
    except (nbformat.reader.NotJSONError, nbformat.ValidationError, AttributeError, UnicodeDecodeError):
        raise InputError(f"{path}: no notebook; restore it, or take it out of the folder") from None
    writer = _Writer(path.stem, resolve)
    try:
        parts = [writer.cell(cell) for cell in cells]
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    title = re.search(r"<h1>(.*?)</h1>", "".join(parts))
    if title is None:
        raise InputError(f"{path}: no title; begin its first cell with a line '# N · Title'")
    ran = any(cell.get("execution_count") for cell in cells)
    about = re.search(r"</h1>\s*<p><em>(.*?)</em></p>", "".join(parts))
    return Page(
        file=f"{path.stem}.html",
        title=plain(title[1]),
        html="\n".join(parts[:1] + ([] if ran else [NOT_RUN]) + parts[1:]),
        images=writer.images,
        about=plain(about[1]) if about else "",
    )


class _Writer:
    """Writes cells one after the other; collects their pictures under names of their own."""

    def __init__(self, stem: str, resolve: Resolve) -> None:
        self.stem, self.resolve = stem, resolve
        self.images: dict[str, bytes] = {}
        self.heading = ""

    def cell(self, cell: nbformat.NotebookNode) -> str:
        """One cell; settings and imports are folded."""
        if cell.cell_type == "markdown":
            text = render(cell.source, self.resolve)
            self.heading = plain((re.findall(r"<h\d>(.*?)</h\d>", text) or [self.heading])[-1])
            return text
        if cell.cell_type != "code" or not cell.source.strip():
            return ""
        code = highlighted(cell.source, "python")
        if "parameters" in cell.metadata.get("tags", []):
            code = f"<details><summary>Settings</summary>{code}</details>"
        elif re.match(r"(import|from) ", cell.source):
            code = f"<details><summary>Imports</summary>{code}</details>"
        return f'<div class="cell">{code}{"".join(map(self.output, _merged(cell.outputs)))}</div>'

    def output(self, output: nbformat.NotebookNode) -> str:
        """The best of an output that needs no script."""
        if output.output_type == "stream":
            return f'<pre class="output">{html.escape(strip_ansi(output.text))}</pre>'
        if output.output_type == "error":
            return f'<pre class="output">{html.escape(f"{output.ename}: {output.evalue}")}</pre>'
        data = output.data
        if "image/png" in data:
            return self.figure(base64.b64decode(data["image/png"]))
        if "text/html" in data and not UNSAFE.search(data["text/html"]):
            return f'<div class="output">{data["text/html"]}</div>'
        if "text/markdown" in data:
            return f'<div class="output">{render(data["text/markdown"], self.resolve)}</div>'
        return f'<pre class="output">{html.escape(data.get("text/plain", ""))}</pre>'

    def figure(self, content: bytes) -> str:
        """A picture, as large as it was meant to be."""
        name = f"{self.stem}-{len(self.images) + 1}.png"
        self.images[name] = content
        with Image.open(io.BytesIO(content)) as image:
            scale = SHOWN_DPI / image.info.get("dpi", (SHOWN_DPI, 0))[0]
            size = tuple(round(scale * n) for n in image.size)
        return picture(f"images/{name}", f"Figure {len(self.images)}: {self.heading}", size)


def _merged(outputs: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """Outputs with the pieces of what was printed put together; empty ones and messages to stderr are left out."""
    merged: list[nbformat.NotebookNode] = []
    for output in outputs:
        if output.output_type == "stream":
            if output.name == "stderr" or not output.text.strip():
                continue
            if merged and merged[-1].output_type == "stream":
                merged[-1] = nbformat.from_dict(merged[-1] | {"text": merged[-1].text + output.text})
                continue
        merged.append(output)
    return merged
