"""Results of old code are never taken for results of new code without somebody saying so."""

import ast
import json
import shutil

import pytest

from lib import fingerprint
from lib.errors import InputError
from lib.fingerprint import changed, current, refresh, source_hash
from lib.provenance import ROOT
from lib.runs import RESULTS_VERSION

CODE = "X = 1  # one\n\n\ndef f(a: int) -> int:\n    return a + X\n"


def test_no_source_changed_without_version_or_waiver():
    """The committed record fits the sources. If not: python -m lib.fingerprint says what to do."""
    recorded = json.loads(fingerprint.RECORD.read_text())
    assert (recorded["version"], changed(current(), recorded)) == (RESULTS_VERSION, [])
    assert all(waiver["why"].strip() for waiver in recorded["waivers"])


def test_the_sources_are_those_that_decide_numbers():
    """Kernels, network, training, perturbation, data, surrogate and experiments; not figures, claims or the store."""
    names = current().keys()
    wanted = "kernels/cpu kernels/naive network train perturb surrogate data/variants experiments/speech"
    assert {f"lib/{name}.py" for name in wanted.split()} <= names
    assert not [name for name in names if "figures" in name or "claims" in name or name == "lib/runs.py"]


def test_every_module_that_a_run_imports_is_among_them():
    """From the runs, through all imports within `lib`: a module is a source, or one of few that decide no number."""
    harmless = {
        f"lib/{name}.py" for name in ("__init__", "errors", "files", "memory", "progress", "provenance", "runs")
    }
    seen, ahead = set(), ["lib/experiments/speech.py", "lib/experiments/synthetic.py"]
    while ahead:
        name = ahead.pop()
        seen.add(name)
        if name not in harmless:
            ahead += sorted(imported(ROOT / name) - seen)
    assert len(seen) > 20 and seen - harmless <= current().keys()


def imported(path):
    """Files of `lib` that a file imports, wherever it does."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = path.parents[node.level - 1].joinpath(*(node.module or "").split("."))
            for place in (base, *(base / alias.name for alias in node.names)):
                found |= {file for file in (place.with_suffix(".py"), place / "__init__.py") if file.is_file()}
    return {file.relative_to(ROOT).as_posix() for file in found}


@pytest.mark.parametrize(
    "same",
    [
        CODE.replace("# one", "# the first number"),
        '"""What it is."""\n' + CODE,
        CODE.replace("int:\n", 'int:\n    """Add one."""\n'),
        CODE.replace("return a + X", "return (a +\n            X)"),
    ],
)
def test_prose_and_layout_do_not_count(same):
    """Comments, docstrings, parentheses and line breaks."""
    assert same != CODE and source_hash(same) == source_hash(CODE)


@pytest.mark.parametrize("old, new", [("X = 1", "X = 2"), ("a + X", "a - X"), ("a + X", "X + a"), ("X = 1", "X = 1.0")])
def test_every_change_of_code_counts(old, new):
    """A constant, an operator, an order, a type."""
    assert source_hash(CODE.replace(old, new)) != source_hash(CODE)


def test_a_real_edit_is_found(tmp_path):
    """In a copy of the sources, one constant of the surrogate: that file, and no other."""
    unneeded = shutil.ignore_patterns("*.npz", "audio", "__pycache__")
    shutil.copytree(fingerprint.ROOT / "lib", tmp_path / "lib", ignore=unneeded)
    file = tmp_path / "lib" / "surrogate.py"
    file.write_text(file.read_text().replace("SLOPE = 10.0", "SLOPE = 11.0"))
    assert changed(current(tmp_path), {"sources": current()}) == ["lib/surrogate.py"]


WAIVER = {"source": "a.py", "hash": "1", "why": "renamed"}
OLD = {"version": 1, "sources": {"a.py": "1", "b.py": "2"}, "waivers": [WAIVER]}
NOW = {"a.py": "1", "b.py": "3", "c.py": "4"}


def test_a_change_needs_a_version_or_a_reason():
    """Neither: refused, by name. New sources alone need neither. A new version forgets the old waivers."""
    with pytest.raises(InputError, match=r"^b.py: changed, but the results version is still 1"):
        refresh(NOW, OLD, 1, None)
    assert refresh(NOW, OLD, 1, "faster, same bits") == {
        "version": 1, "sources": NOW,
        "waivers": [WAIVER, {"source": "b.py", "hash": "3", "why": "faster, same bits"}],
    }  # fmt: skip
    assert refresh(NOW, OLD, 2, None) == {"version": 2, "sources": NOW, "waivers": []}
    assert refresh(NOW | {"b.py": "2"}, OLD, 1, None)["sources"] == NOW | {"b.py": "2"}


def test_the_command_writes_or_refuses(tmp_path, monkeypatch, capsys):
    """One line each way; refused, the record stays."""
    record = tmp_path / "fingerprint.json"
    sources = current() | {"lib/train.py": "0"}
    record.write_text(json.dumps({"version": RESULTS_VERSION, "sources": sources, "waivers": []}))
    monkeypatch.setattr(fingerprint, "RECORD", record)
    before = record.read_bytes()
    assert fingerprint.main([]) == 2 and record.read_bytes() == before
    assert capsys.readouterr().err.startswith("error: lib/train.py: changed")
    assert fingerprint.main(["--waive", "renamed a variable"]) == 0
    assert json.loads(record.read_text())["sources"] == current()
