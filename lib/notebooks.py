"""Running the ordered notebooks headless, through papermill."""

from __future__ import annotations

import ast
import json
import logging
import os
import sys
from itertools import chain
from pathlib import Path

import nbformat
import papermill
from ipykernel.kernelspec import get_kernel_dict
from papermill.exceptions import PapermillExecutionError

from .ahead import Ahead, asked_by
from .errors import InputError
from .files import write_atomically
from .kernels import describe
from .runs import pick_device

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "notebooks"
BUILD = ROOT / "build"
TIMES = {"smoke": "2 min", "quick": "15 min", "full": "2 h", "paper": "a week"}  # all notebooks on two cores


def ordered(numbers: list[int], folder: Path) -> list[Path]:
    """The notebooks NN_*.ipynb of a folder in order; only those with these numbers, if any are given.

    Raises:
        InputError: there is no notebook with a number, or none at all.
    """
    notebooks = {int(path.name[:2]): path for path in sorted(folder.glob("[0-9][0-9]_*.ipynb"))}
    if not notebooks:
        raise InputError(f"{folder}: no notebook NN_*.ipynb there; get the whole repository")
    unknown = [number for number in numbers if number not in notebooks]
    if unknown:
        choice = ", ".join(map(str, notebooks))
        raise InputError(f"notebook {unknown[0]}: there is none; choose from {choice}")
    return [path for number, path in notebooks.items() if not numbers or number in numbers]


def check_parameters(path: Path, parameters: dict) -> None:
    """Refuse parameters that the notebook's cell tagged `parameters` does not set (papermill lets them pass).

    Raises:
        InputError: the notebook has no such cell, or the cell does not set one of them.
    """
    cells = nbformat.read(path, as_version=4).cells
    tagged = [cell.source for cell in cells if "parameters" in cell.metadata.get("tags", [])]
    if not tagged:
        wanted = ", ".join(parameters)
        raise InputError(f"{path.name}: no cell is tagged `parameters`; tag the one that sets {wanted}")
    statements = [node for node in ast.parse(tagged[0]).body if isinstance(node, ast.Assign)]
    known = [target.id for node in statements for target in node.targets if isinstance(target, ast.Name)]
    unknown = [name for name in parameters if name not in known]
    if unknown:
        text = f"no parameter {', '.join(unknown)}; add it to the cell tagged `parameters`"
        raise InputError(f"{path.name}: {text}, which has {', '.join(known) or 'none'}")


def use_this_python(folder: Path) -> None:
    """Make the kernel `python3` mean this very interpreter, with `lib`, for processes started from here.

    Args:
        folder: where the kernel is described; Jupyter looks there first.
    """
    spec = get_kernel_dict(["--log-level=CRITICAL"])  # of the kernel's own messages, not of the notebook's
    with write_atomically(folder / "kernels" / "python3" / "kernel.json") as temporary:
        temporary.write_text(json.dumps(spec))
    for name, first in (("JUPYTER_PATH", folder), ("PYTHONPATH", ROOT)):
        os.environ[name] = os.pathsep.join([str(first), *filter(None, [os.environ.get(name)])])


def run_one(path: Path, output: Path, parameters: dict) -> None:
    """Run one notebook; the executed copy appears at `output` only when it has finished.

    What it prints appears here at once. If it fails or is interrupted, the partial copy is kept beside
    `output`, its name ending in .failed.ipynb.

    Raises:
        RuntimeError: a cell failed or the kernel died; the message says which cell.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    running = output.with_name(f".{output.stem}-running-{os.getpid()}.ipynb")  # so that two at once do not meet
    _sweep(output)
    failed = output.with_suffix(".failed.ipynb")
    try:
        papermill.execute_notebook(
            path, running, parameters, kernel_name="python3", progress_bar=False, cwd=ROOT,
            stdout_file=sys.stdout, stderr_file=sys.stderr,
        )  # fmt: skip
    except BaseException as error:  # an interruption as well
        if running.exists():
            running.replace(failed)
        if not isinstance(error, Exception):
            logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # it reports the cell that was cut off
            raise
        raise RuntimeError(f"{path.name}, {_what(error, failed)} (see {os.path.relpath(failed)})") from None
    failed.unlink(missing_ok=True)
    running.replace(output)


def _sweep(output: Path) -> None:
    """Delete what runs of this notebook left that were killed."""
    for left in output.parent.glob(f".{output.stem}-running-*.ipynb"):
        try:
            os.kill(int(left.stem.rpartition("-")[2]), 0)
        except ProcessLookupError:
            left.unlink(missing_ok=True)
        except PermissionError:  # another's, and alive
            pass


def _what(error: Exception, partial: Path) -> str:
    """Cell (the number beside it in the partial copy) and error, in one line."""
    if isinstance(error, PapermillExecutionError):
        number, name, text = error.exec_count, error.ename, error.evalue
    else:  # no cell raised it: above all, a kernel that was killed
        try:
            cells = nbformat.read(partial, as_version=4).cells
        except (OSError, ValueError):  # there is none, or a full disk cut it off
            cells = []
        started = [c for c in cells if c.cell_type == "code" and c.metadata.papermill.start_time]
        number, name, text = len(started), type(error).__name__, str(error)
        if name == "DeadKernelError":
            text = "the notebook's Python was killed; most often memory ran out: use a smaller --preset"
    return f"cell {number}: {name}: {text.strip()}".splitlines()[0]


def run(numbers: list[int], preset: str, data: str, data_dir: str | None, device: str) -> None:
    """`python -m lib notebooks`: run the notebooks in order; stop at the first that fails.

    Raises:
        InputError: an unknown number or parameter, before any work.
        RuntimeError: a notebook failed.
    """
    notebooks = ordered(numbers, FOLDER)
    place = str(Path(data_dir).resolve()) if data_dir else ""
    parameters = {"preset": preset, "data": data, "data_dir": place, "device": device}
    for path in notebooks:
        check_parameters(path, parameters)
    os.environ["BRC_HEADLESS"] = "1"
    use_this_python(BUILD / "jupyter")
    names = ", ".join(path.stem for path in notebooks)
    time = f"all notebooks take about {TIMES[preset]} on two cores, the first time"
    print(f"Running {names} on {data}, preset {preset}; {time}.", flush=True)
    print(f"Networks on binned spikes are computed by {describe('auto', pick_device(device))}.", flush=True)
    asked = {path: asked_by(path) for path in notebooks}
    with Ahead(dict.fromkeys(chain(*asked.values())), **parameters) as ahead:
        for path in notebooks:
            ahead.wait(asked[path])
            output = BUILD / "notebooks" / data / preset / path.name
            print(f"== {path.stem}", flush=True)
            with ahead.beside():
                run_one(path, output, parameters)
            print(f"== {path.stem}: done, see {os.path.relpath(output)}", flush=True)
