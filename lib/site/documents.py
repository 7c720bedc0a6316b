"""The pages that are no notebooks: the start, the claims, the figures, and the project's other texts."""

from __future__ import annotations

import html
import re
from pathlib import Path

from PIL import Image

from .. import claims
from ..errors import InputError
from ..experiments.presets import PRESETS
from ..figures.saving import read_provenance
from .markdown import Resolve, picture, render
from .page import Page

# file in the repository -> page, title
TEXTS = {
    "notebooks/README.md": ("glossary.html", "Map and glossary"),
    "EXTEND.md": ("extend.html", "Extend it"),
    "CONTRIBUTING.md": ("contributing.html", "Contributing"),
}
EXPLORER, ALONE = "explorer.html", "timing-alone-explorer.html"
TO_EXPLORER = (
    f'<p class="note"><a href="{EXPLORER}"><strong>Try it in your browser</strong></a>: hear a word, move its spikes, '
    "play it backwards, and watch a network with delays and one without.</p>"
)
SEEN, CLAIMS = "What you will see", "The paper's claims"  # sections of the README


def sections_of(text: str) -> dict[str, str]:
    """Markdown by its headings of the second level; "" is what stands before the first."""
    pieces = re.split(r"^## +(.+)\n", text, flags=re.M)
    return {"": pieces[0]} | {title: body for title, body in zip(pieces[1::2], pieces[2::2], strict=True)}


def start_page(readme: Path, resolve: Resolve) -> Page:
    """The README as a start page: the notebooks before how to run them, and the claims on a page of their own.

    Args:
        readme: the project's.
        resolve: where its links lead.

    Raises:
        InputError: the README lacks a section that is moved.
    """
    sections = sections_of(readme.read_text())
    missing = [title for title in (SEEN, CLAIMS) if title not in sections]
    if missing:
        raise InputError(f"{readme}: no section {missing[0]!r}; name it so, or change lib/site/documents.py")
    order = [SEEN, *(title for title in sections if title not in ("", SEEN, CLAIMS))]
    rest = "".join(f"## {title}\n{sections[title]}" for title in order)
    return Page("index.html", "Start", render(sections[""], resolve) + TO_EXPLORER + render(rest, resolve))


def explorer_page(fragment: str) -> Page:
    """The explorer inside the site, with a link to the same as one file."""
    about = "Pick a word, move its spikes, and watch two networks answer."
    alone = f'<p>The same as <a href="{ALONE}">one file</a>, to save or to pass on: it needs nothing else.</p>'
    return Page(EXPLORER, "Try it", f"<h1>Try it</h1>\n{fragment}\n{alone}", about=about)


def claims_page(readme: Path, resolve: Resolve) -> Page:
    """The README's words about the claims, and the table as the published results give it now."""
    before = sections_of(readme.read_text())[CLAIMS].partition(claims.START)[0]
    table = claims.markdown(claims.judge_published())
    page = render(f"# {CLAIMS}\n{before}\n{table}\n", resolve)
    for verdict in claims.VERDICTS:
        kind = "good" if verdict == "reproduced" else "open" if verdict == "not tested" else "other"
        page = page.replace(f"<strong>{verdict}</strong>", f'<strong class="{kind}">{verdict}</strong>')
    return Page("claims.html", CLAIMS, page, about="What stands, what is weaker here, what is not, and by how much.")


def text_page(path: Path, file: str, title: str, resolve: Resolve) -> Page:
    """Another text of the project."""
    return Page(file, title, render(path.read_text(), resolve))


def figures_page(folder: Path) -> Page:
    """Every stored figure, of each data set in its largest preset, with where its numbers come from."""
    page = Page("figures.html", "Figures", "<h1>Figures</h1>", about="All figures, drawn from the published results.")
    page.html += (
        "<p>Drawn from the published results; of every figure the largest preset is shown. A figure opens large.</p>"
    )
    sizes = {preset: place for place, preset in enumerate(PRESETS)}
    found = sorted(folder.glob("*/*/[!.]*.png"), key=lambda path: (path.stem, sizes.get(path.parts[-2], -1)))
    found.sort(key=lambda path: (path.parts[-3] != "digits", path.parts[-3]))  # what the entry shows first
    largest = {(path.parts[-3], path.stem): path for path in found}
    data = ""
    for (of, name), path in largest.items():
        if of != data:
            data = of
            name_of_data = claims.NAMES.get(data, data)
            page.html += f"<h2>{html.escape(name_of_data[0].upper() + name_of_data[1:])}</h2>"
        page.images[f"{data}-{name}.png"] = path.read_bytes()
        page.html += _figure(path, f"images/{data}-{name}.png", name.replace("_", " "))
    return page


def _figure(path: Path, url: str, name: str) -> str:
    """A figure with its provenance."""
    source = read_provenance(path)
    with Image.open(path) as image:
        size = tuple(round(n * 96 / 200) for n in image.size)
    words = f"{name.capitalize()}: experiment {source['experiment']}, preset {source['preset']}"
    if commits := source.get("commits"):
        words += f", commit {', '.join(commit[:8] for commit in commits)}"
    caption = f"<figcaption>{html.escape(words)}.</figcaption>"
    return f"<h3>{html.escape(name.capitalize())}</h3><figure>{picture(url, words, size)}{caption}</figure>"
