"""JupyterLab itself: it opens a notebook, runs all cells, shows figures and widgets that work."""

from __future__ import annotations

import faulthandler
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser.conftest import DESKTOP, ROOT

NAME = "11_explorer.ipynb"
PATIENCE = 120  # s: a machine may be busy


@pytest.fixture
def lab(tmp_path, monkeypatch) -> Iterator[str]:
    """The address of a JupyterLab that serves a copy of the notebook from a folder of its own, with this Python."""
    from lib import notebooks

    faulthandler.cancel_dump_traceback_later()  # pytest's limit; here every wait has its own
    for name in ("JUPYTER_PATH", "PYTHONPATH"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
    notebooks.use_this_python(tmp_path / "jupyter")
    served = tmp_path / "served"
    served.mkdir()
    shutil.copy(ROOT / "notebooks" / NAME, served)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = [
        f"--ServerApp.port={port}", "--ServerApp.port_retries=0", "--ServerApp.open_browser=False",
        "--IdentityProvider.token=",
        f"--ServerApp.root_dir={served}", "--LabApp.news_url=", "--ServerApp.allow_root=True",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]  # fmt: skip
    places = {
        name: str(tmp_path / name.lower())
        for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    }
    environment = {
        name: value for name, value in os.environ.items() if name not in ("BRC_HEADLESS", "MPLBACKEND")
    } | places
    log = (tmp_path / "log").open("w")
    with subprocess.Popen(
        [sys.executable, "-m", "jupyterlab", *options], env=environment, stdout=log, stderr=log
    ) as server:
        try:
            wait_for(f"http://127.0.0.1:{port}/api", server, tmp_path / "log")
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()  # it ends its kernels
    log.close()


def wait_for(address: str, server: subprocess.Popen, log: Path) -> None:
    """Until the server answers."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and server.poll() is None:
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    pytest.fail(f"JupyterLab did not start:\n{log.read_text()[-2000:]}")


def test_notebook_runs_in_jupyterlab(lab, browser):
    """Run all cells from the menu: no error, the figure is there, and the sliders change the picture."""
    page = browser.new_context(viewport=DESKTOP).new_page()
    page.set_default_timeout(1000 * PATIENCE)
    page.goto(f"{lab}/lab/tree/{NAME}")
    page.wait_for_selector(".jp-Notebook .jp-CodeCell")
    page.get_by_text("| Idle").wait_for()  # the kernel is there; before, cells would be run by nobody
    page.click("#jp-MainMenu >> text=Run")
    page.click(".lm-Menu >> text='Run All Cells'")
    page.wait_for_selector(".widget-slider")
    picture = page.locator(".jupyter-widgets.widget-image")
    before = picture.get_attribute("src")
    assert page.locator(".widget-dropdown select").count() == 2 and page.locator(".jp-OutputArea audio").count() >= 1
    page.locator("text=settled").first.wait_for(state="attached")  # what the last cell prints
    assert (
        page.locator(
            "[data-mime-type='application/vnd.jupyter.error'], [data-mime-type='application/vnd.jupyter.stderr']"
        ).count()
        == 0
    )
    page.evaluate("document.querySelector('.jp-WindowedPanel-outer')?.scrollTo(0, 0)")
    page.locator("text=play backwards").first.scroll_into_view_if_needed()
    page.locator(".widget-checkbox input").click()
    page.wait_for_function("(src) => document.querySelector('.widget-image')?.src !== src", arg=before)
    turned = picture.get_attribute("src")
    handle = page.locator(".widget-slider .noUi-handle").first
    box = handle.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + 90, box["y"] + box["height"] / 2, steps=5)
    page.mouse.up()
    page.wait_for_function("(src) => document.querySelector('.widget-image')?.src !== src", arg=turned)
    if folder := os.environ.get("BRC_SCREENSHOTS"):
        page.screenshot(path=Path(folder) / "jupyterlab.png")
    page.locator("text='The experiment'").last.scroll_into_view_if_needed()
    page.locator(".jp-RenderedImage img").first.wait_for()
    if folder:
        page.screenshot(path=Path(folder) / "jupyterlab-figure.png")
    page.context.close()
