"""Nothing leaves this machine but downloads that the reader asks for: by https, with a pinned checksum."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from lib.data import shd

ROOT = Path(__file__).parents[1]
NETWORK = {"urllib", "requests", "http", "socket", "ftplib", "httpx", "aiohttp", "pooch", "tonic", "ssl"}
ALLOWED = {"lib/data/shd.py": {"http", "urllib"}}  # the errors of a download, and the download
PROGRAM = """
import importlib, pkgutil, socket, sys, warnings
from pathlib import Path

def refuse(*words, **names):
    raise SystemExit(f"the network was asked for: {words[-1]}")

local = socket.socket.connect
socket.socket.connect = lambda self, address: local(self, address) if isinstance(address, str) else refuse(address)
socket.getaddrinfo = socket.create_connection = socket.gethostbyname = refuse

import lib
warnings.simplefilter("ignore")
for module in pkgutil.walk_packages(lib.__path__, "lib."):
    if not module.name.endswith("__main__") and not (module.name.endswith(".gpu") and sys.argv[2] == "no triton"):
        importlib.import_module(module.name)
from lib.experiments import EXPERIMENTS
from lib.runs import run_all
outcomes = run_all(EXPERIMENTS["timing_alone"].plan("digits", "smoke")[-2:], jobs=1, store=Path(sys.argv[1]))
print(sum(bool(outcome.result) for outcome in outcomes), "results")
"""


def imports(path: Path) -> set[str]:
    """The packages that a file imports, wherever it does."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(node.module)
    return {name.split(".")[0] for name in found - {"urllib.parse"}}  # which only takes addresses apart


def test_only_the_download_of_shd_knows_the_network():
    """No other source of `lib` imports a package that could reach it."""
    for path in sorted((ROOT / "lib").rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        assert imports(path) & NETWORK <= ALLOWED.get(name, set()), name


def test_downloads_are_by_https_and_pinned():
    """Every mirror is https, every file that is fetched has an MD5, and no source of `lib` holds an http address."""
    assert shd.MIRRORS and all(mirror.startswith("https://") for mirror in shd.MIRRORS)
    fetched = {f"{name}.zip" for names in shd.FILES.values() for name in names.values()}
    assert fetched == set(shd.MD5) and all(re.fullmatch("[0-9a-f]{32}", md5) for md5 in shd.MD5.values())
    namespaces = r"http://(www\.w3\.org|purl\.org|127\.0\.0\.1|localhost)"
    for path in sorted((ROOT / "lib").rglob("*.py")):
        assert not re.findall(r"http://\S+", re.sub(namespaces, "", path.read_text())), path


def test_importing_and_training_reach_nothing(tmp_path):
    """All modules of `lib` are imported and two networks of the entry figure are trained at smoke size, in a process in
    which every connection and every look-up of a name ends it."""
    triton = "triton" if find_spec("triton") else "no triton"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "BRC_HEADLESS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path), triton], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"^2 results$", done.stdout, re.M)
