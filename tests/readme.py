"""The list of promises: `python tests/readme.py [RESULTS.xml ...]` writes tests/README.md.

A promise is the docstring of a test. RESULTS are what `pytest --junitxml=RESULTS.xml` wrote; a later file counts more,
but for tests that it skips. What none of them has keeps the result that the list has now.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

TESTS = Path(__file__).parent
OUTPUT = TESTS / "README.md"
HEAD = """# What is promised, and the tests of it

Written by `python tests/readme.py` from the tests, with the results of the last whole runs: `./run_all.sh test`, with
`--slow` what takes minutes and the comparisons with other simulators, with `--browser` the pages. Would the tests notice
a fault? [Mutants of five modules and the kernels](mutation/report.md).

"""
NOT_RUN = "not run"


def promises(path: Path) -> dict[str, str]:
    """Test -> its docstring in one line."""
    tree = ast.parse(path.read_text())
    tests = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
    return {test.name: " ".join((ast.get_docstring(test) or "").split()).replace("|", "\\|") for test in tests}


def subject(path: Path) -> str:
    """First sentence of a file's docstring."""
    return " ".join((ast.get_docstring(ast.parse(path.read_text())) or path.stem).split("\n\n")[0].split())


def files() -> list[Path]:
    """All files with tests."""
    return sorted(TESTS.rglob("test_*.py"), key=lambda path: (len(path.parts), path))


def count(nodes: list[str]) -> Counter:
    """Cases of each (file, test), from pytest's names of them."""
    return Counter(tuple(node.split("[")[0].split("::")[:2]) for node in nodes)


def collected() -> Counter:
    """As `count`, of everything that pytest finds."""
    words = [sys.executable, "-m", "pytest", "--collect-only", "-q", str(TESTS)]
    done = subprocess.run(words, cwd=TESTS.parent, capture_output=True, text=True, check=True)
    return count([line for line in done.stdout.splitlines() if "::" in line])


def results(reports: list[Path]) -> dict[tuple[str, str], str]:
    """(File, test) -> result in words."""
    found: dict[tuple[str, str], str] = {}
    for report in reports:
        outcomes: dict[tuple[str, str], Counter] = {}
        for case in ElementTree.parse(report).iter("testcase"):
            name = (f"{case.get('classname').replace('.', '/')}.py", case.get("name").split("[")[0])
            state = next((child.tag for child in case if child.tag in ("failure", "error", "skipped")), "passed")
            if state == "skipped":
                state = f"skipped ({case.find('skipped').get('message', '').removeprefix('Skipped: ')})"
            outcomes.setdefault(name, Counter())[state] += 1
        for name, states in outcomes.items():
            if name not in found or any(not state.startswith("skipped") for state in states):
                found[name] = ", ".join(
                    state if len(states) == 1 else f"{n} {state}" for state, n in sorted(states.items())
                )
    return found


def rows(text: str) -> dict[tuple[str, str], tuple[str, str, str]]:
    """(File, test) -> promise, cases and result of a written list."""
    found, file = {}, ""
    for line in text.splitlines():
        file = line.removeprefix("## ") if line.startswith("## ") else file
        match = re.fullmatch(r"\| (.*) \| `(\w+)` \| (\d+) \| (.*) \|", line)
        if match:
            found[file, match[2]] = (match[1], match[3], match[4])
    return found


def text(cases: Counter, known: dict[tuple[str, str], str]) -> str:
    """The list."""
    lines = [HEAD]
    for path in files():
        name = path.relative_to(TESTS.parent).as_posix()
        lines.append(f"## {name}\n\n{subject(path)}\n\n| promise | test | cases | result |\n|---|---|---|---|\n")
        for test, promise in promises(path).items():
            key = (name, test)
            lines.append(f"| {promise} | `{test}` | {cases[key]} | {known.get(key, NOT_RUN)} |\n")
        lines.append("\n")
    return "".join(lines).rstrip("\n") + "\n"


if __name__ == "__main__":
    before = {key: row[2] for key, row in rows(OUTPUT.read_text()).items()} if OUTPUT.exists() else {}
    OUTPUT.write_text(text(collected(), before | results([Path(word) for word in sys.argv[1:]])))
