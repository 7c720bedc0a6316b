"""Code in colour."""

from __future__ import annotations

from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

LIGHT, DARK = "xcode", "github-dark"  # styles of Pygments; both are readable on the site's two grounds


def highlighted(source: str, language: str | None) -> str:
    """Source code as HTML; of a language that is not known, in one colour."""
    try:
        lexer = get_lexer_by_name((language or "text").split()[0])
    except ClassNotFound:
        lexer = get_lexer_by_name("text")
    return highlight(source, lexer, HtmlFormatter(cssclass="code"))


def stylesheet() -> str:
    """Colours of code on a light and on a dark ground."""
    light, dark = (HtmlFormatter(style=style, nobackground=True).get_style_defs(".code") for style in (LIGHT, DARK))
    return f"{light}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}\n"
