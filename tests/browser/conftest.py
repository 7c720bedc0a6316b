"""A real browser: Chromium as it is installed, driven through Playwright's Python interface, which downloads none."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
QUIET = ("--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required")  # fmt: skip
DESKTOP, PHONE = {"width": 1400, "height": 900}, {"width": 390, "height": 844}


def chromium() -> str | None:
    """Where the browser is: `$BRC_CHROMIUM`, or one of NAMES on the path."""
    return os.environ.get("BRC_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


def pytest_collection_modifyitems(config, items) -> None:
    """Skip the tests of this folder unless they are asked for and a browser is there."""
    reason = None
    if not config.getoption("--browser"):
        reason = "runs in a browser: add --browser"
    elif chromium() is None:
        reason = f"no browser: install Debian's chromium, or name one in $BRC_CHROMIUM (looked for {', '.join(NAMES)})"
    if reason:
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="module")
def browser() -> Iterator:
    """Headless Chromium. Not longer than a module: while it is open, an event loop runs in this thread."""
    from playwright.sync_api import sync_playwright

    root = ("--no-sandbox",) if os.geteuid() == 0 else ()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=[*QUIET, *root])
        yield browser
        browser.close()


class Watched:
    """A page, and all that went wrong on it.

    Attributes:
        page: Playwright's.
        faults: errors, messages of the console, requests that failed or went outside.
    """

    def __init__(self, page) -> None:
        self.page, self.faults = page, []
        page.set_default_timeout(60_000)
        page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        page.on(
            "console",
            lambda said: self.faults.append(f"{said.type}: {said.text}") if said.type in ("error", "warning") else None,
        )
        page.on("requestfailed", self._failed)
        page.on("request", self._request)

    def _failed(self, request) -> None:
        if request.failure != "net::ERR_ABORTED":  # the reader went on to another page before it was there
            self.faults.append(f"failed: {request.url}")

    def _request(self, request) -> None:
        if not request.url.startswith(("file:", "data:", "blob:")):
            self.faults.append(f"outside: {request.url}")


@pytest.fixture
def watched(browser) -> Iterator[Callable[..., Watched]]:
    """Open a page that is watched: `watched(viewport=PHONE, color_scheme="dark")`."""
    contexts = []

    def opened(viewport: dict = DESKTOP, **options) -> Watched:
        contexts.append(browser.new_context(viewport=viewport, **options))
        return Watched(contexts[-1].new_page())

    yield opened
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def site(tmp_path_factory) -> Path:
    """The folder of the site, built once."""
    from lib.site import build

    return build(tmp_path_factory.mktemp("browser") / "site").parent
