"""Building the site: `./run_all.sh site`, `python -m lib site`."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from pathlib import Path

import jinja2

from ..errors import InputError
from ..explorer import page as explorer
from ..files import write_atomically
from ..notebooks import ordered
from ..provenance import ROOT, commit
from . import documents
from .code import stylesheet
from .markdown import is_outside, path_of, plain
from .notebook import notebook_page
from .page import Page, Section

HERE = Path(__file__).parent
MARK = "made-by-python-m-lib-site"  # an empty file: only a folder that holds it is replaced
FILES = "files"  # folder of the site with the repository's files that pages link to
HEADING = re.compile(r"<h([1-6])>(.*?)</h\1>", re.S)


def build(output: str | Path | None = None, root: Path = ROOT) -> Path:
    """Write all pages from the notebooks' stored outputs; nothing is run, and no network is needed.

    The new site takes the place of an old one only when it is complete.

    Args:
        output: folder; default `build/site`.
        root: the repository.

    Returns:
        The start page.

    Raises:
        InputError: `output` holds something else than a site, or a source cannot be read.
    """
    output = Path(output or root / "build" / "site").absolute()
    if output.exists() and not (output / MARK).exists() and (output.is_file() or any(output.iterdir())):
        raise InputError(f"--output: {output} is not a folder with a site; give another, or an empty one")
    output.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix=f".{output.name}-", dir=output.parent))
    try:
        _write(new, root)
        new.chmod(0o755)  # mkdtemp makes folders private
        if output.exists():
            old = new.with_name(new.name + "-old")
            output.rename(old)
            try:
                new.rename(output)
            except BaseException:
                old.rename(output)
                raise
            shutil.rmtree(old)
        else:
            new.rename(output)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return output / "index.html"


def _write(folder: Path, root: Path) -> None:
    links = Links(root, ordered([], root / "notebooks"))
    notebooks = [notebook_page(path, links.of(path)) for path in links.notebooks]
    readme = root / "README.md"
    others = [documents.claims_page(readme, links.of(readme)), documents.figures_page(root / "figures")]
    explorer.export(folder / documents.ALONE)
    for name, (file, title) in documents.TEXTS.items():
        if (root / name).exists():
            others.append(documents.text_page(root / name, file, title, links.of(root / name)))
    first = [documents.start_page(readme, links.of(readme)), documents.explorer_page(explorer.fragment())]
    pages = [*first, *notebooks, *others]
    template = _template()
    for place, page in enumerate(pages):
        page.html, page.sections = with_anchors(page.html)
        near = {
            "before": pages[place - 1] if place else None,
            "after": pages[place + 1] if place + 1 < len(pages) else None,
        }
        shown = {"page": page, "first": first, "notebooks": notebooks, "others": others, "commit": commit()}
        _put(folder / page.file, template.render(**shown, **near))
        for name, content in page.images.items():
            _put(folder / "images" / name, content)
    for name, source in links.copied.items():
        _put(folder / name, source.read_bytes())
    _put(folder / "search.js", f"window.SEARCH = {json.dumps(search_index(pages), ensure_ascii=False)};\n")
    _put(folder / "site.css", (HERE / "site.css").read_text() + stylesheet())
    _put(folder / "site.js", (HERE / "site.js").read_text())
    _put(folder / MARK, "")


def _put(path: Path, content: str | bytes) -> None:
    with write_atomically(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def _template() -> jinja2.Template:
    loader = jinja2.FileSystemLoader(HERE)
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    return environment.get_template("page.html")


class Links:
    """Where the links of the project's texts lead in the site.

    Attributes:
        notebooks: the notebooks, in order.
        copied: file in the site -> file of the repository, of all that have been asked for.
    """

    def __init__(self, root: Path, notebooks: list[Path]) -> None:
        self.root, self.notebooks = root, notebooks
        self.copied: dict[str, Path] = {}
        self._pages = {path: f"{path.stem}.html" for path in notebooks}
        self._pages |= {root / name: file for name, (file, _) in documents.TEXTS.items()}
        self._pages[root / "README.md"] = "index.html"

    def of(self, document: Path):
        """The resolver of one document's links, see `lib.site.markdown.Resolve`."""

        def resolve(url: str) -> str | None:
            if is_outside(url):
                return url
            path = Path(os.path.normpath(document.parent / path_of(url)))
            if not path.exists() or self.root not in path.parents:
                return None
            if path in self._pages:
                return self._pages[path] + url[len(url.partition("#")[0]) :]
            if path.is_dir():
                return None
            name = path.relative_to(self.root).as_posix()
            place = f"images/{name.replace('/', '-')}" if path.suffix in (".png", ".svg") else f"{FILES}/{name}"
            place += (
                ".txt" if path.suffix in (".md", ".py", ".yaml", ".cff") else ""
            )  # browsers show text, and save the rest
            self.copied[place] = path
            return place

        return resolve


def with_anchors(html: str) -> tuple[str, list[Section]]:
    """A page's HTML with an anchor at every heading, and its sections."""
    pieces, sections, taken = [], [], set()
    found = list(HEADING.finditer(html))
    for heading, after in zip(found, [*found[1:], None], strict=True):
        level, title = heading[1], plain(heading[2])
        name = re.sub(r"[^\w]+", "-", title.lower()).strip("-") or "section"
        while name in taken:
            name += "-"
        taken.add(name)
        body = html[heading.end() : after.start() if after else len(html)]
        anchor = f'<a class="anchor" href="#{name}" aria-label="link to this section">#</a>'
        pieces.append(f'<h{level} id="{name}">{heading[2]}{anchor}</h{level}>{body}')
        sections.append(Section(name, title, int(level), plain(body)))
    return (html[: found[0].start()] if found else html) + "".join(pieces), sections


def search_index(pages: list[Page]) -> list[dict[str, str]]:
    """One entry a section: page, title of the page, anchor, heading and text."""
    return [
        {"page": page.file, "title": page.title, "anchor": section.id, "heading": section.title, "text": section.text}
        for page in pages
        for section in page.sections
    ]
