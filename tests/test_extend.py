"""The programs of EXTEND.md run as they stand there, and do what they say."""

import re
from pathlib import Path

import pytest

from lib import perturb

GUIDE = Path(__file__).parents[1] / "EXTEND.md"
PROGRAMS = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)


def test_each_program_is_short():
    """Twenty lines at most, imports and blank lines not counted."""
    for program in PROGRAMS:
        lines = [line for line in program.splitlines() if line.strip() and not line.startswith(("import", "from"))]
        assert len(lines) <= 20


def test_the_guide_runs(capsys, monkeypatch):
    """Pasted in order: both networks learn which unit came first; the new perturbation is known by name."""
    monkeypatch.setattr(perturb, "PERTURBATIONS", dict(perturb.PERTURBATIONS))
    scope = {"__name__": "guide"}
    said = []
    for program in PROGRAMS:
        exec(compile(program, GUIDE.name, "exec"), scope)
        said.append([float(line.split()[-1]) for line in capsys.readouterr().out.splitlines()])
    (own,), (adaptive,), slowed = said
    assert own > 0.95 and adaptive > 0.95
    assert slowed[0] == pytest.approx(own) and len(slowed) == 3
    slower = perturb.apply("slow_down", scope["which_came_first"](0), 2.0, None)
    assert slower.bins.max() > scope["which_came_first"](0).bins.max() and slower.n_bins == 61
