"""The site in a browser, as files: no server and no network."""

from __future__ import annotations

import re

import pytest
from browser.conftest import DESKTOP, PHONE

NARROWEST = {"width": 320, "height": 640}
CONTRAST = """(selectors) => {
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const luminance = (rgb) => {
    const [r, g, b] = rgb.slice(0, 3).map((c) => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    for (; element; element = element.parentElement) {
      const colour = numbers(getComputedStyle(element).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const found = {};
  for (const element of document.querySelectorAll(selectors)) {
    if (!element.textContent.trim() || !element.checkVisibility()) continue;
    const [a, b] = [numbers(getComputedStyle(element).color), ground(element)].map(luminance);
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) found[element.tagName + "." + element.className] = [ratio, element.textContent.slice(0, 30)];
  }
  return found;
}"""


def pages(site) -> list:
    """All pages."""
    found = sorted(site.glob("*.html"))
    assert len(found) > 12
    return found


def test_every_page_loads_whole(site, watched):
    """No error, no request outside, every picture there, and on desktop and phones nothing wider than the screen."""
    one = watched()
    for path in pages(site):
        one.page.goto(path.as_uri())
        one.page.evaluate("document.querySelectorAll('img').forEach((image) => (image.loading = 'eager'))")
        one.page.wait_for_function("[...document.images].every((image) => image.complete)")
        assert (
            one.page.evaluate("[...document.images].filter((image) => !image.naturalWidth).map((image) => image.src)")
            == []
        )
        for viewport in (DESKTOP, PHONE, NARROWEST):
            one.page.set_viewport_size(viewport)
            assert one.page.evaluate("document.documentElement.scrollWidth") <= viewport["width"], (path.name, viewport)
    assert one.faults == []


def test_formulas_are_drawn(site, watched):
    """Every formula takes up space, and a fraction is higher than a letter: the browser knows MathML."""
    one = watched()
    one.page.goto((site / "02_inter_spike_intervals.html").as_uri())
    boxes = one.page.evaluate(
        "[...document.querySelectorAll('article math')].map((m) => m.getBoundingClientRect().toJSON())"
    )
    visible = [box for box in boxes if box["height"] > 0]
    assert len(visible) >= 1 and all(box["width"] > 5 for box in visible)
    one.page.goto((site / "index.html").as_uri())
    one.page.set_content("<math><mi>x</mi></math><br><math><mfrac><mi>x</mi><mi>y</mi></mfrac></math>")
    letter, fraction = one.page.evaluate(
        "[...document.querySelectorAll('math')].map((m) => m.getBoundingClientRect().height)"
    )
    assert fraction > letter


def test_navigation_by_clicks(site, watched):
    """From the start to a notebook, on to the next, back again, to a section, and home."""
    one = watched()
    one.page.goto((site / "index.html").as_uri())
    one.page.click("nav >> text=7 · Perturbations")
    assert one.page.url.endswith("/07_perturbations.html")
    assert one.page.inner_text("nav [aria-current=page]") == "7 · Perturbations"
    one.page.click("footer [rel=next]")
    assert one.page.inner_text("h1").startswith("8 · Time reversal")
    one.page.click("footer [rel=prev]")
    assert one.page.url.endswith("/07_perturbations.html")
    one.page.click(".parts >> text=Takeaway")
    assert one.page.url.endswith("#takeaway")
    assert 0 <= one.page.locator("#takeaway").bounding_box()["y"] < 200
    one.page.click("header .home")
    assert one.page.url.endswith("/index.html")
    one.page.click("text=Try it in your browser")
    assert one.page.inner_text("h1").startswith("Try it") and one.faults == []


def test_navigation_on_a_phone(site, watched):
    """The list of pages is folded away until the button is tapped, and scrolls to its end."""
    one = watched(viewport=PHONE, has_touch=True)
    one.page.goto((site / "index.html").as_uri())
    last = one.page.locator("nav >> text=Contributing")
    assert not last.is_visible()
    one.page.tap("#menu")
    assert one.page.get_attribute("#menu", "aria-expanded") == "true"
    last.tap()
    one.page.wait_for_url("**/contributing.html")
    assert one.faults == []


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_search_finds_and_leads_there(site, watched, viewport):
    """Words typed are found as beginnings, the heading that holds them first; Enter goes to its section."""
    one = watched(viewport=viewport)
    one.page.goto((site / "index.html").as_uri())
    one.page.keyboard.press("/")
    one.page.keyboard.type("surrogate grad")
    assert "surrogate gradient" in one.page.inner_text("#found li >> nth=0").lower()
    shown = one.page.locator("#found").bounding_box()
    assert shown["x"] >= 0 and shown["x"] + shown["width"] <= viewport["width"]
    one.page.keyboard.press("Enter")
    one.page.wait_for_url(re.compile(r"01_neuron_surrogate_delay\.html#"))
    assert not one.page.locator("#found").is_visible() and one.faults == []


def test_search_says_when_there_is_nothing(site, watched):
    """No hit, a word only inside another, and no word at all; Escape closes; characters of patterns do no harm."""
    one = watched()
    one.page.goto((site / "index.html").as_uri())
    for words in ("zyxwv", "olychrony", "jitter zyxwv"):
        one.page.fill("#search input", words)
        assert one.page.inner_text("#found") == "Nothing found."
    one.page.fill("#search input", "f( [*")
    assert one.page.locator("#found a").count() > 0
    one.page.keyboard.press("Escape")
    assert not one.page.locator("#found").is_visible()
    one.page.fill("#search input", "  ")
    assert not one.page.locator("#found").is_visible() and one.faults == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read(site, watched, scheme):
    """Text, links, code in colours, verdicts: a contrast of 4.5 or more (WCAG 2, AA), on a light and a dark ground."""
    one = watched(color_scheme=scheme)
    grounds = set()
    for name in ("index.html", "01_neuron_surrogate_delay.html", "claims.html", "explorer.html"):
        one.page.goto((site / name).as_uri())
        one.page.evaluate("document.querySelectorAll('details').forEach((d) => (d.open = true))")
        assert (
            one.page.evaluate(
                CONTRAST, "p, a, li, h1, h2, td, th, strong, .code span, summary, figcaption, output, button"
            )
            == {}
        )
        grounds.add(one.page.evaluate("getComputedStyle(document.body).backgroundColor"))
    (ground,) = grounds
    assert (int(re.findall(r"\d+", ground)[0]) > 128) == (scheme == "light")
