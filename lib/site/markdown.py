"""Markdown as HTML: formulas become MathML, which browsers draw without any script, and links stay inside the site."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from urllib.parse import unquote, urlsplit

from latex2mathml.converter import convert
from mistune import HTMLRenderer
from mistune.plugins.table import table_in_quote
from nbconvert.filters.markdown_mistune import MarkdownWithMath

from ..errors import InputError
from .code import highlighted

Resolve = Callable[[str], str | None]  # a link as it is written -> as it is in the site; None: there is no such file
LONG = 30  # letters of LaTeX
# Words come out as single letters, which browsers set as a product; one element is set as a word
UPRIGHT = re.compile(r'(?:<mi mathvariant="normal">([A-Za-z])</mi>)+')


def mathml(tex: str, block: bool = False) -> str:
    """A formula in LaTeX's notation as a MathML element.

    Raises:
        InputError: a command is unknown.
    """
    try:
        found = convert(tex, display="block" if block else "inline")
    except Exception as error:  # the converter has many of its own
        raise InputError(f"formula ${tex}$: {type(error).__name__}; write it with other commands") from None
    unknown = re.search(r"<m[ion]>(\\\w*)", found)
    if unknown:
        raise InputError(f"formula ${tex}$: {unknown[1]} is not known; write it with another command")
    return UPRIGHT.sub(lambda letters: f'<mi mathvariant="normal">{plain(letters[0])}</mi>', found)


def plain(markup: str) -> str:
    """The text of HTML, on one line; of a formula its letters."""
    without = re.sub(r"<(script|style|svg|annotation)\b.*?</\1>", " ", markup, flags=re.S)
    inline = re.sub(r"</?(m\w+|a|b|code|em|i|span|strong|sub|sup)\b[^>]*>", "", without)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", inline)).split())


class _Renderer(HTMLRenderer):
    """As mistune's, with formulas, highlighted code, wide tables that scroll by themselves, and links that hold."""

    def __init__(self, resolve: Resolve) -> None:
        super().__init__(escape=False)
        self.resolve = resolve
        self.attachments: dict = {}  # nbconvert's parser asks for it

    def block_math(self, body: str) -> str:
        """A formula on a line of its own."""
        return f'<div class="formula">{mathml(body, block=True)}</div>'

    def inline_math(self, body: str) -> str:
        """A formula inside a sentence; browsers do not break it, so a long one scrolls on a narrow screen."""
        return f'<span class="long">{mathml(body)}</span>' if len(body) > LONG else mathml(body)

    def latex_environment(self, name: str, body: str) -> str:
        """A LaTeX environment is a formula on a line of its own."""
        return self.block_math(rf"\begin{{{name}}}{body}\end{{{name}}}")

    def block_code(self, code: str, info: str | None = None) -> str:
        """Code; a diagram in mermaid's language is left out, for it needs a script to be drawn."""
        return "" if info == "mermaid" else highlighted(code, info)

    def block_html(self, html: str) -> str:
        """HTML as it is, without comments."""
        return re.sub(r"<!--.*?-->", "", html, flags=re.S)

    def link(self, text: str, url: str, title: str | None = None) -> str:
        """A link; one that leads nowhere is left as its text."""
        target = self.resolve(url)
        return text if target is None else super().link(text, target, title)

    def image(self, text: str, url: str, title: str | None = None) -> str:
        """A picture, or its description where there is none."""
        target = self.resolve(url)
        return text if target is None else picture(target, plain(text))


def picture(url: str, text: str, size: tuple[int, int] | None = None) -> str:
    """A figure on white paper that opens large."""
    shape = f' width="{size[0]}" height="{size[1]}"' if size else ""
    image = f'<img src="{html.escape(url)}" alt="{html.escape(text)}"{shape} loading="lazy">'
    return f'<a class="paper" href="{html.escape(url)}">{image}</a>'


def render(text: str, resolve: Resolve) -> str:
    """Markdown as HTML, tables in a frame that scrolls sideways.

    Args:
        text: Markdown, formulas between dollar signs.
        resolve: where links lead, see `Resolve`.

    Raises:
        InputError: a formula cannot be read.
    """
    reader = MarkdownWithMath(renderer=_Renderer(resolve))
    table_in_quote(reader)
    found = reader.render(text)
    return re.sub(r"<table>.*?</table>", r'<div class="wide">\g<0></div>', found, flags=re.S)


def is_outside(url: str) -> bool:
    """Whether a link names a place of its own: another server, or an anchor of the same page."""
    return bool(urlsplit(url).scheme or urlsplit(url).netloc) or url.startswith("#")


def path_of(url: str) -> str:
    """The file that a relative link names, without its anchor."""
    return unquote(urlsplit(url).path)
