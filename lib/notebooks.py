"""Running the ordered notebooks headless, through papermill."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import nbformat
import papermill
from papermill.exceptions import PapermillExecutionError

from .errors import InputError

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "notebooks"
MINUTES = {"smoke": 1, "quick": 15, "full": 60, "paper": 400}  # on two cores, for the announcement


def ordered(numbers: list[int], folder: Path = FOLDER) -> list[Path]:
    """The notebooks NN_*.ipynb in order; only those with these numbers, if any are given.

    Raises:
        InputError: there is no notebook with a number.
    """
    notebooks = {int(path.name[:2]): path for path in sorted(folder.glob("[0-9][0-9]_*.ipynb"))}
    unknown = [number for number in numbers if number not in notebooks]
    if unknown:
        raise InputError(f"notebook {unknown[0]}: there is none; choose from {', '.join(map(str, notebooks))}")
    return [path for number, path in notebooks.items() if not numbers or number in numbers]


def check_parameters(path: Path, parameters: dict) -> None:
    """Refuse parameters that the notebook's cell tagged `parameters` does not set (papermill lets them pass).

    Raises:
        InputError: the notebook has no such cell, or the cell does not set one of them.
    """
    cells = nbformat.read(path, as_version=4).cells
    tagged = [cell.source for cell in cells if "parameters" in cell.metadata.get("tags", [])]
    if not tagged:
        raise InputError(f"{path.name}: no cell is tagged `parameters`; tag the one that sets {', '.join(parameters)}")
    known = {line.split("=")[0].strip() for line in tagged[0].splitlines() if "=" in line}
    unknown = sorted(parameters.keys() - known)
    if unknown:
        raise InputError(f"{path.name}: it has no parameter {', '.join(unknown)}; its parameters are {sorted(known)}")


def use_this_python(folder: Path) -> None:
    """Make the kernel `python3` mean this very interpreter, for the processes started from here."""
    spec = {"argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"], "display_name": "Python 3"}
    place = folder / "kernels" / "python3"
    place.mkdir(parents=True, exist_ok=True)
    (place / "kernel.json").write_text(json.dumps(spec | {"language": "python"}))
    os.environ["JUPYTER_PATH"] = os.pathsep.join([str(folder), *filter(None, [os.environ.get("JUPYTER_PATH")])])


def run_one(path: Path, output: Path, parameters: dict) -> None:
    """Run one notebook; the executed copy appears at `output` only when it has finished.

    Raises:
        RuntimeError: a cell failed; the partial copy lies beside `output`, its name ending in .failed.ipynb.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    partial = output.with_suffix(".failed.ipynb")
    try:
        papermill.execute_notebook(
            path, partial, parameters, kernel_name="python3", progress_bar=False, cwd=ROOT,
            stdout_file=sys.stdout, stderr_file=sys.stderr,
        )  # fmt: skip
    except PapermillExecutionError as error:
        where = f"{path.name}, cell {error.exec_count}: {error.ename}: {error.evalue}".splitlines()[0]
        raise RuntimeError(f"{where} (see {partial})") from None
    except Exception as error:  # a kernel that died, above all
        raise RuntimeError(f"{path.name}: {type(error).__name__}: {error} (see {partial})".splitlines()[0]) from None
    partial.replace(output)


def run(numbers: list[int], preset: str, data: str, data_dir: str | None, device: str, folder: Path = FOLDER) -> None:
    """`python -m lib notebooks`: run the notebooks in order; stop at the first that fails.

    Raises:
        InputError: an unknown number or parameter, before any work.
        RuntimeError: a notebook failed.
    """
    notebooks = ordered(numbers, folder)
    place = str(Path(data_dir).resolve()) if data_dir else ""
    parameters = {"preset": preset, "data": data, "data_dir": place, "device": device}
    for path in notebooks:
        check_parameters(path, parameters)
    os.environ["BRC_HEADLESS"] = "1"
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    use_this_python(ROOT / "build" / "jupyter")
    names = ", ".join(path.stem for path in notebooks)
    print(f"Running {names} on {data}, preset {preset}: about {MINUTES[preset]} min on two cores.", flush=True)
    for path in notebooks:
        output = ROOT / "build" / "notebooks" / data / preset / path.name
        print(f"== {path.stem}", flush=True)
        run_one(path, output, parameters)
        print(f"== {path.stem}: done, see {output.relative_to(ROOT)}", flush=True)
