"""The rules of the notebooks, and their headless runner."""

from __future__ import annotations

import ast
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest

from lib import notebooks
from lib.__main__ import main

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
PARAMETERS = {"preset", "data", "data_dir", "device"}


def faults(path: Path) -> list[str]:
    """What breaks the rules in one notebook."""
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    found = [] if re.fullmatch(r"\d\d_[a-z0-9_]+\.ipynb", path.name) else ["name is not NN_words.ipynb"]
    if path.stat().st_size > 1_500_000:
        found.append("larger than 1.5 MB")
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    counts = [cell.execution_count for cell in code]
    if counts not in ([None] * len(code), [*range(1, len(code) + 1)]):
        found.append(f"not run in order: {counts}")
    if sum("parameters" in cell.metadata.get("tags", []) for cell in code) != 1:
        found.append("not exactly one cell is tagged `parameters`")
    for number, cell in enumerate(notebook.cells):
        found += [f"cell {number}: {fault}" for fault in cell_faults(cell)]
    return found


def cell_faults(cell: nbformat.NotebookNode) -> list[str]:
    """What breaks the rules in one cell."""
    found = []
    lines = cell.source.splitlines()
    if re.search(r"(?<![\w.:/>])(/(home|Users|root|tmp|work|mnt|data)/|[A-Z]:\\)", cell.source):
        found.append("absolute path")
    if cell.cell_type != "code":
        return found
    if len(lines) > 25:
        found.append("more than 25 lines")
    if any(line.lstrip().startswith(("!", "%")) for line in lines):
        return [*found, "shell or magic command"]
    for node in ast.walk(ast.parse(cell.source)):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.end_lineno - node.body[0].lineno >= 10:
            found.append(f"body of {node.name} is longer than 10 lines")
    if any(output.output_type == "error" for output in cell.outputs):
        found.append("stored error")
    return found


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebooks_keep_the_rules(path):
    """Small cells, nothing defined at length, no shell, no absolute path, no stored error, run in order."""
    assert faults(path) == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebooks_have_every_parameter_that_the_command_line_sets(path):
    """Those of run_all.sh; a name that a notebook lacks is refused."""
    notebooks.check_parameters(path, dict.fromkeys(PARAMETERS))
    with pytest.raises(notebooks.InputError, match="no parameter colour;"):
        notebooks.check_parameters(path, dict.fromkeys(PARAMETERS | {"colour"}))


def test_notebooks_are_numbered_without_gaps():
    """00, 01, ...: the order in which they are read and run."""
    assert [int(path.name[:2]) for path in NOTEBOOKS] == list(range(len(NOTEBOOKS))) != []


HEADINGS = ("## Question", "## Prediction", "## Takeaway", "## Claim check", "## Exercises")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebooks_share_one_skeleton(path):
    """Same headings in the same order; what the paper says is set apart and cited; solutions are folded."""
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "markdown"]
    lines = [line for cell in cells for line in cell.source.splitlines()]
    assert lines[0].startswith(f"# {int(path.name[:2])} · ") and lines[2].startswith("*")
    assert [line for line in lines if line in HEADINGS] == list(HEADINGS)
    quoted = [line for line in lines if line.startswith("> ")]
    assert any("paper" in line for line in quoted) and "arXiv 2507.16043" in "\n".join(lines)
    before, _, folded = cells[-1].source.partition("<details><summary>Solutions</summary>")
    questions, solutions = (re.findall(r"^\d\. ", text, re.MULTILINE) for text in (before, folded))
    assert 2 <= len(questions) == len(solutions) <= 3


def test_notebooks_link_to_their_neighbours_and_nowhere_that_is_not():
    """Back and forth without a gap; every link to a file of the repository finds it."""
    for place, path in enumerate(NOTEBOOKS):
        cells = nbformat.read(path, as_version=4).cells
        text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
        links = re.findall(r"\]\((?!https?:)([^)#]+)", text)
        assert all((path.parent / link).exists() for link in links), links
        neighbours = {NOTEBOOKS[i].name for i in (place - 1, place + 1) if 0 <= i < len(NOTEBOOKS)}
        assert neighbours <= set(re.findall(r"\]\(([^)#]+)", cells[0].source))


def test_the_map_names_every_notebook():
    """In its table, and as a place on the map; the glossary is in order."""
    text = (NOTEBOOKS[0].parent / "README.md").read_text()
    for path in NOTEBOOKS:
        assert f"]({path.name})" in text and f'N{path.name[:2]}["{int(path.name[:2])} · ' in text
    terms = [term.lower() for term in re.findall(r"^- \*\*([^*]+)\*\*", text, re.MULTILINE)]
    assert terms == sorted(terms) and len(terms) > 20


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("\n" * 25 + "a = 1", "more than 25 lines"),
        ("!ls", "shell or magic"),
        ("%%bash\nls", "shell or magic"),
        ("open('/home/someone/x.h5')", "absolute path"),
        ("def f():\n" + "    a = 1\n" * 11, "body of f"),
        ("class C:\n" + "    a = 1\n" * 11, "body of C"),
    ],
)
def test_the_rules_find_what_they_forbid(source, fault):
    """Each rule fires on a cell that breaks it, and a plain cell has no fault."""
    assert [f for f in cell_faults(nbformat.v4.new_code_cell(source)) if fault in f]
    assert cell_faults(nbformat.v4.new_code_cell("def f():\n" + "    a = 1\n" * 10)) == []


# The runner, on small notebooks

ALL = 'preset = "quick"\ndata = "digits"\ndata_dir = ""\ndevice = "auto"'


def write(folder: Path, name: str, *sources: str, parameters: str = ALL) -> Path:
    """A notebook: a cell tagged `parameters`, then these cells."""
    cells = [nbformat.v4.new_code_cell(source) for source in (parameters, *sources)]
    cells[0].metadata.tags = ["parameters"]
    kernel = {"name": "python3", "display_name": "any", "language": "python"}
    path = folder / "notebooks" / name
    path.parent.mkdir(exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)
    return path


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """A folder that the runner takes for the repository's; the environment is restored afterwards."""
    monkeypatch.setattr(notebooks, "FOLDER", tmp_path / "notebooks")
    monkeypatch.setattr(notebooks, "BUILD", tmp_path / "build")
    for name in ("BRC_HEADLESS", "JUPYTER_PATH", "PYTHONPATH"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
    return tmp_path


def test_notebook_runs_with_its_parameters_and_this_python(place, capsys):
    """Parameters arrive, `lib` is there, the folder is the root, output is passed on, the source stays."""
    show = "import os, sys, lib\nprint(preset, data, data_dir or 'none', device, os.environ['BRC_HEADLESS'])"
    where = "print(os.getcwd(), os.environ['PYTHONPATH'].split(':')[0], sys.executable, file=sys.stderr)"
    source = write(place, "03_small.ipynb", show, where)
    before = source.read_bytes()
    assert main(["notebooks", "3", "--preset", "smoke", "--device", "cpu"]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0].startswith("Running 03_small on digits, preset smoke; all notebooks take about 2 min on two cores")
    assert lines[1] == "Networks on binned spikes are computed by cpu: event-driven compiled scans."
    assert lines[2:4] == ["== 03_small", "smoke digits none cpu 1"]
    assert err == f"{notebooks.ROOT} {notebooks.ROOT} {sys.executable}\n"
    assert source.read_bytes() == before
    folder = place / "build" / "notebooks" / "digits" / "smoke"
    assert [path.name for path in folder.iterdir()] == ["03_small.ipynb"]
    executed = nbformat.read(folder / "03_small.ipynb", as_version=4)
    assert [cell.execution_count for cell in executed.cells] == [1, 2, 3, 4]  # with the injected one


def test_wrong_parameters_are_refused_before_any_work(place, capsys):
    """If only the second notebook lacks a parameter, or its tagged cell, the first is not run either."""
    write(place, "00_good.ipynb")
    for parameters, message in (
        ('preset = "quick"\nif data := "": pass\ndevice == data_dir', "no parameter data, data_dir, device;"),
        ("", "no parameter preset, data, data_dir, device;"),
    ):
        write(place, "01_bad.ipynb", parameters=parameters)
        assert main(["notebooks"]) == 2
        out, err = capsys.readouterr()
        assert err.startswith(f"error: 01_bad.ipynb: {message}") and err.count("\n") == 1
        assert out == "" and not (place / "build").exists()
    untagged = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(ALL)])
    nbformat.write(untagged, place / "notebooks" / "01_bad.ipynb")
    assert main(["notebooks"]) == 2
    assert "error: 01_bad.ipynb: no cell is tagged `parameters`" in capsys.readouterr().err
    assert not (place / "build").exists()


def test_failing_cell_stops_the_run(place, capsys):
    """Exit 1, one line: notebook, cell, error, partial copy. Later ones are not run, older results stay."""
    write(place, "00_bad.ipynb", "print('so far')", "raise ValueError('no such\\nthing')", "print('too far')")
    write(place, "01_next.ipynb")
    folder = place / "build" / "notebooks" / "digits" / "quick"
    folder.mkdir(parents=True)
    (folder / "00_bad.ipynb").write_text("of an earlier run")
    assert main(["notebooks"]) == 1
    out, err = capsys.readouterr()
    partial = os.path.relpath(folder / "00_bad.failed.ipynb")
    assert err == f"error: 00_bad.ipynb, cell 4: ValueError: no such (see {partial})\n"
    assert "so far\n" in out and "too far" not in out
    assert sorted(path.name for path in folder.iterdir()) == ["00_bad.failed.ipynb", "00_bad.ipynb"]
    assert (folder / "00_bad.ipynb").read_text() == "of an earlier run"
    write(place, "00_bad.ipynb", "print('mended')")
    assert main(["notebooks", "0"]) == 0
    assert [path.name for path in folder.iterdir()] == ["00_bad.ipynb"]


def test_killed_kernel_is_explained(place, capsys):
    """A kernel that the system kills is reported with its cell and the likely reason."""
    kill = "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"
    write(place, "00_big.ipynb", "before = 1", kill, "print('too far')")
    assert main(["notebooks"]) == 1
    err = capsys.readouterr().err.splitlines()[-1]
    assert err.startswith("error: 00_big.ipynb, cell 4: DeadKernelError: ") and "memory" in err


def test_interruption_ends_cleanly(place):
    """Ctrl-C: exit 130, one line, the partial copy is kept and no kernel is left behind."""
    write(place, "00_long.ipynb", "import os, time\nprint('kernel', os.getpid(), flush=True)\ntime.sleep(60)")
    program = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a test in the background ignores it
        "import sys; from pathlib import Path; from lib import notebooks; from lib.__main__ import main\n"
        f"place = Path({str(place)!r})\n"
        "notebooks.FOLDER, notebooks.BUILD = place / 'notebooks', place / 'build'\n"
        "sys.exit(main(['notebooks']))"
    )
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", program], cwd=notebooks.ROOT, **pipes) as job:
        kernel = next(int(line.split()[1]) for line in job.stdout if line.startswith("kernel "))
        job.send_signal(signal.SIGINT)
        _, err = job.communicate(timeout=30)
    assert job.returncode == 130
    assert re.fullmatch(r"interrupted; [^\n]*\n", err)
    folder = place / "build" / "notebooks" / "digits" / "quick"
    assert [path.name for path in folder.iterdir()] == ["00_long.failed.ipynb"]
    for _ in range(50):
        if not Path(f"/proc/{kernel}").exists():
            break
        time.sleep(0.1)
    with pytest.raises(ProcessLookupError):
        os.kill(kernel, 0)
