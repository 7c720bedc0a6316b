"""The site: every notebook is a page, nothing leads nowhere, nothing comes from outside."""

from __future__ import annotations

import base64
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
from PIL import Image

from lib.__main__ import main
from lib.errors import InputError
from lib.notebooks import FOLDER
from lib.site import build
from lib.site.documents import ALONE
from lib.site.markdown import mathml, plain, render
from lib.site.notebook import NOT_RUN, notebook_page

new = nbformat.v4
RESOURCES = {
    "img": "src",
    "script": "src",
    "link": "href",
    "source": "src",
    "audio": "src",
    "iframe": "src",
    "video": "src",
}


class Elements(HTMLParser):
    """The ids, links and resources of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.resources: list[str] = []
        self.feed(path.read_text())

    def handle_starttag(self, tag, attrs):
        """Sort what an element names."""
        found = dict(attrs)
        self.ids += [found["id"]] if "id" in found else []
        self.links += [found["href"]] if tag == "a" and "href" in found else []
        self.resources += [found[RESOURCES[tag]]] if RESOURCES.get(tag) in found else []


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> dict[str, Elements]:
    """The project's own site: page -> what is in it."""
    start = build(tmp_path_factory.mktemp("site") / "pages")
    return {path: Elements(path) for path in sorted(start.parent.glob("*.html"))}


def test_every_notebook_is_a_page_that_all_pages_link_to(site):
    """Whatever notebooks there are, and the claims, figures and glossary."""
    expected = {f"{path.stem}.html" for path in FOLDER.glob("[0-9][0-9]_*.ipynb")}
    expected |= {"claims.html", "explorer.html", "figures.html", "index.html"}
    assert expected <= {path.name for path in site}
    for path, page in site.items():
        assert expected <= set(page.links) or path.name == ALONE, path.name


def test_no_link_leads_nowhere(site):
    """Every link inside the site names a file that is there, and an anchor that is in it; no id is there twice."""
    lost = []
    for path, page in site.items():
        assert len(page.ids) == len(set(page.ids)), path.name
        for link in page.links + page.resources:
            parts = urlsplit(link)
            if parts.scheme or link == "data:,":
                continue
            target = path.parent / unquote(parts.path) if parts.path else path
            if not target.exists() or (parts.fragment and unquote(parts.fragment) not in site[target].ids):
                lost.append((path.name, link))
    assert lost == []


def test_nothing_is_fetched_from_outside(site):
    """Pictures, sounds, styles and scripts are files of the site or part of the page."""
    outside = [
        (path.name, name) for path, page in site.items() for name in page.resources if re.match(r"(\w+:)?//", name)
    ]
    assert outside == [] and sum(len(page.resources) for page in site.values()) > 50
    styles = next(iter(site)).parent.joinpath("site.css").read_text()
    assert "@import" not in styles and "url(" not in styles


def test_formulas_of_all_notebooks_are_drawn(site):
    """No formula is left in LaTeX's notation, and there are some."""
    text = "".join(path.read_text() for path in site)
    prose = re.sub(r"<(pre|code)\b.*?</\1>", "", text, flags=re.S)
    assert text.count("<math") > 30
    assert re.findall(r"\$[^$\s][^$]*\$|\\(?:frac|tau|sum|mathrm|text)\b", plain(prose)) == []


def test_search_index_has_every_section(site):
    """Page, anchor and text of every heading; code can be found as well."""
    text = next(iter(site)).parent.joinpath("search.js").read_text()
    entries = json.loads(text.removeprefix("window.SEARCH = ").removesuffix(";\n"))
    found = {(entry["page"], entry["anchor"]) for entry in entries}
    for path, page in site.items():
        assert {
            (path.name, name) for name in page.ids if name not in ("menu", "search", "found", "navigation", "content")
        } <= found
    (relocated,) = [e for e in entries if e["page"] == "02_inter_spike_intervals.html" and e["heading"] == "Prediction"]
    assert "share" not in relocated["heading"] and "Relocation moves spikes" in relocated["text"]
    assert any("figures.draw_raster" in entry["text"] for entry in entries)


# Formulas and Markdown


def test_formula_becomes_mathml():
    """Structure survives; words below a root stay one word; a block formula is marked as one."""
    assert "<msup><mi>e</mi>" in mathml(r"e^{-t/\tau}") and "&#x003C4;" in mathml(r"\tau")
    assert '<mi mathvariant="normal">first</mi>' in mathml(r"t_\mathrm{first}")
    assert 'display="block"' in mathml("x", block=True)


@pytest.mark.parametrize("tex", [r"\nosuchthing{x}", "{"])
def test_formula_that_cannot_be_read_is_named(tex):
    """One line that quotes it, instead of a page with a hole."""
    with pytest.raises(InputError, match=r"^formula \$"):
        mathml(tex)


def test_tables_are_read_also_in_quotations(site):
    """What the paper reports is set apart, and often a table; no page shows one as bars and dashes."""
    quoted = render("> Numbers:\n>\n> | a | b |\n> |---|---|\n> | 1 | 2 |\n", lambda link: link)
    assert re.search(r"<blockquote>.*<table>.*<td>2</td>.*</blockquote>", quoted, re.DOTALL)
    assert [
        page.name for page in site if "|---" in re.sub(r"<pre.*?</pre>", "", page.read_text(), flags=re.DOTALL)
    ] == []


def test_links_go_where_the_resolver_says():
    """Links and pictures are resolved; what is nowhere stays as its text; tables scroll; no diagrams."""
    html = render(
        "[a](x.ipynb) [b](gone.md) ![c d](y.png)\n\n|e|\n|---|\n|$f$|\n\n"
        "```mermaid\ngraph TD\n```\n<!-- not seen -->\n",
        {"x.ipynb": "x.html", "y.png": "images/y.png"}.get,
    )
    assert '<a href="x.html">a</a> b ' in html and 'src="images/y.png" alt="c d"' in html
    assert '<div class="wide"><table>' in html and "<math" in html
    assert "mermaid" not in html and "graph" not in html and "not seen" not in html


# Notebooks


def notebook(folder: Path, *cells, name: str = "07_small.ipynb") -> Path:
    """A notebook with a title and these cells."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(new.new_notebook(cells=[new.new_markdown_cell("# 7 · Small\n\n*What it is about.*"), *cells]), path)
    return path


def code(source: str, *outputs, tags=()) -> nbformat.NotebookNode:
    """A code cell that was run."""
    return new.new_code_cell(source, outputs=list(outputs), execution_count=1, metadata={"tags": list(tags)})


def shown(data: dict) -> nbformat.NotebookNode:
    """An output in several forms."""
    return new.new_output("display_data", data)


def png() -> str:
    """A picture of 400 by 200 dots at 192 dpi."""
    content = io.BytesIO()
    Image.new("RGB", (400, 200)).save(content, "PNG", dpi=(192, 192))
    return base64.b64encode(content.getvalue()).decode()


def test_page_of_a_notebook(tmp_path):
    """Title, sentence, picture at its size with a description, printed lines together, no messages, settings folded."""
    page = notebook_page(
        notebook(
            tmp_path,
            code("preset = 1", tags=["parameters"]),
            new.new_markdown_cell("## A heading\n\ntext"),
            code("show()", shown({"image/png": png(), "text/plain": "<Figure>"})),
            code("p()", new.new_output("stream", text="one <"), new.new_output("stream", text="two"),
                 new.new_output("stream", name="stderr", text="a warning")),
        ),
        str,
    )  # fmt: skip
    assert (page.file, page.title, page.about) == ("07_small.html", "7 · Small", "What it is about.")
    assert list(page.images) == ["07_small-1.png"] and base64.b64decode(png()) in page.images.values()
    assert '<img src="images/07_small-1.png" alt="Figure 1: A heading" width="200" height="100"' in page.html
    assert "<details><summary>Settings</summary>" in page.html
    assert '<pre class="output">one &lt;two</pre>' in page.html and "a warning" not in page.html
    assert NOT_RUN not in page.html


def test_widgets_are_shown_as_their_picture(tmp_path):
    """Of a widget the picture beside it; without one its text, never an element that needs a script."""
    view = {"application/vnd.jupyter.widget-view+json": {"model_id": "1"}, "text/plain": "VBox()"}
    page = notebook_page(notebook(tmp_path, code("a", shown(view | {"image/png": png()})), code("b", shown(view))), str)
    assert page.html.count("<img ") == 1 and "VBox()" in page.html and "model_id" not in page.html


@pytest.mark.parametrize(
    "html",
    ["<script>x</script>", '<img src="https://a.example/b.png">', "<iframe srcdoc=''>", "<link href=//a.example>"],
)
def test_output_that_would_fetch_or_run_something_is_shown_as_text(html, tmp_path):
    """HTML that names another server or holds a script gives way to the plain text."""
    page = notebook_page(notebook(tmp_path, code("a", shown({"text/html": html, "text/plain": "plainly"}))), str)
    assert html not in page.html and "plainly" in page.html
    fine = notebook_page(notebook(tmp_path, code("a", shown({"text/html": "<b>bold</b>", "text/plain": "x"}))), str)
    assert "<b>bold</b>" in fine.html


def test_notebook_that_was_not_run_says_so(tmp_path):
    """A reader is told why there is no figure."""
    assert NOT_RUN in notebook_page(notebook(tmp_path, new.new_code_cell("a")), str).html


def test_broken_notebooks_are_named(tmp_path):
    """No JSON, no title, a formula that cannot be read: one line with the file's name."""
    (tmp_path / "01_no.ipynb").write_text("{")
    nbformat.write(new.new_notebook(cells=[new.new_markdown_cell("text")]), tmp_path / "02_untitled.ipynb")
    formula = notebook(tmp_path, new.new_markdown_cell(r"$\nosuchthing$"))
    for path in (tmp_path / "01_no.ipynb", tmp_path / "02_untitled.ipynb", formula):
        with pytest.raises(InputError, match=path.name):
            notebook_page(path, str)


# The folder


@pytest.fixture
def root(tmp_path) -> Path:
    """A small repository."""
    root = tmp_path / "repository"
    links = "[one](notebooks/07_small.ipynb#a-heading) [data](data.yaml)"
    readme = f"# Small\n\n{links}\n\n## What you will see\n\n## The paper's claims\n"
    notebook(root / "notebooks", new.new_markdown_cell("## A heading"))
    (root / "README.md").write_text(readme)
    (root / "data.yaml").write_text("a: 1")
    return root


def test_site_of_a_small_repository(root, capsys):
    """Links to notebooks keep their anchor, linked files come along; a second build replaces the first."""
    start = build(root=root)
    assert start == root / "build" / "site" / "index.html"
    assert 'href="07_small.html#a-heading"' in start.read_text()
    assert (start.parent / "files" / "data.yaml.txt").read_text() == "a: 1"
    (start.parent / "old.html").touch()
    assert build(root=root) == start and not (start.parent / "old.html").exists()
    assert [path.name for path in start.parent.parent.iterdir()] == ["site"]


def test_a_build_that_fails_leaves_the_old_site(root):
    """The error is raised, the pages stay as they were, nothing half-made is left."""
    start = build(root=root)
    before = start.read_bytes()
    notebook(root / "notebooks", new.new_markdown_cell(r"$\nosuchthing$"))
    with pytest.raises(InputError, match="07_small"):
        build(root=root)
    assert start.read_bytes() == before and [path.name for path in start.parent.parent.iterdir()] == ["site"]


def test_folder_with_something_else_is_not_replaced(tmp_path, capsys):
    """--output that holds other files, or is a file, is refused in one line and left alone."""
    (tmp_path / "thesis.tex").write_text("years of work")
    for place in (tmp_path, tmp_path / "thesis.tex"):
        assert main(["site", "--output", str(place)]) == 2
        assert re.fullmatch(r"error: --output: [^\n]* is not a folder with a site; [^\n]*\n", capsys.readouterr().err)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
