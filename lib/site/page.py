"""What a page of the site is made of."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Section:
    """What lies below one heading.

    Attributes:
        id: anchor in the page; "" before the first heading.
        title: the heading's text.
        level: 1 to 6.
        text: everything below it as plain text, for the search.
    """

    id: str
    title: str
    level: int
    text: str


@dataclass
class Page:
    """One page.

    Attributes:
        file: its name in the site's folder.
        title: in navigation and search.
        html: what stands in its middle.
        sections: its headings, in order.
        images: name in the folder `images` -> PNG.
        about: one sentence, or "".
    """

    file: str
    title: str
    html: str
    sections: list[Section] = field(default_factory=list)
    images: dict[str, bytes] = field(default_factory=dict)
    about: str = ""
