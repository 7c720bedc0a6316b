"""What may befall a run: killed at any moment, a full disk, a folder that cannot be written, another run beside it,
files that have changed. `faults.py` does it, on the pipeline in small: spikes, sweep, table, figure."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def befall(*words: object) -> dict:
    """What `faults.py` prints."""
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    command = [sys.executable, str(ROOT / "tests" / "faults.py"), *map(str, words)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def killed_so_often(folder: Path, kills: int, seed: int) -> None:
    """At each kill what was finished is there, as it will be at the end; the end is that of a run in peace."""
    came = befall("kill", folder, kills, seed)
    assert came["strange"] == [] and came["same"]
    assert came["killed"] == kills and came["finished"] >= 1
    assert len(came["places"]) > 1  # it was killed in several parts of the pipeline


def test_killed_at_random_moments_nothing_is_lost(tmp_path):
    """SIGKILL at ten random moments: nothing that was finished is lost or half written, and the result is the same."""
    killed_so_often(tmp_path / "a", 10, 0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 4))
def test_killed_at_fifty_random_moments_nothing_is_lost(tmp_path, seed):
    """The same with 20 kills each."""
    killed_so_often(tmp_path / "a", 20, seed)


@pytest.mark.slow
def test_killed_at_every_step_of_writing_nothing_is_half_written(tmp_path):
    """Every writer (`faults.WRITERS`), killed as it makes the file, syncs, sets its mode, renames it, and just after:
    the file is there whole or not at all, and the next call makes it."""
    came = befall("steps", tmp_path / "a")
    assert came == {"killed": 50, "strange": []}


def left_as_it_was(came: dict, reason: str) -> None:
    """Each writer said the reason in one line with a file, left nothing, kept what was there, and worked later."""
    for name, what in came.items():
        lines = [line for line in what["said"].splitlines() if line.startswith("error: ")]
        assert len(lines) == 1 and re.search(reason, lines[0]), (name, what)
        assert what["left"] == [] and what["kept"] and what["again"], (name, what)


def test_a_full_disk_is_said_by_every_writer(tmp_path):
    """No file may grow beyond 300 bytes: one line with the file's name, no half file, older files kept; with room again
    the same call succeeds."""
    left_as_it_was(befall("nowhere", tmp_path / "a", "full"), r"File too large|cannot be written|file write failed")


def test_a_folder_that_cannot_be_written_is_said_by_every_writer(tmp_path):
    """Folders and files that are read only: the same."""
    left_as_it_was(befall("nowhere", tmp_path / "a", "readonly"), "Permission denied|cannot be written")


def test_runs_at_once_on_one_cache_agree(tmp_path):
    """Three of the same pipeline at the same time in one folder: all end well, results are those of one alone, and no
    temporary file stays behind."""
    came = befall("together", tmp_path / "a")
    assert came["statuses"] == [0, 0, 0], came["said"]
    assert came["same"] and came["hidden"] == []


def test_changed_files_of_a_cache_are_made_again(tmp_path):
    """Every event file and result that is kept, emptied, cut, with one bit flipped, and of noise: said to be damaged,
    made again, to the same numbers."""
    came = befall("corrupted", tmp_path / "a")
    assert len(came) == 6 * 2 + 3  # a file and its checksum for each speaker, a result for each run
    for name, each in came.items():
        assert [status for status, _, _ in each] == [0] * 4 and all(same for _, same, _ in each), (name, each)
        said = [n for _, _, n in each]
        assert said == [1] * 4 or name.startswith("runs") and said == [1, 1, 0, 1], (
            name,
            said,
        )  # a bit of the time it took


def test_a_killed_run_of_notebooks_leaves_no_result(tmp_path):
    """SIGKILL to the command in the middle of a cell: no executed notebook, the kernel ends, the next run succeeds."""
    from test_notebooks import write

    once = "import os, time\nfrom pathlib import Path\nprint('kernel', os.getpid(), flush=True)\n"
    write(
        tmp_path,
        "00_long.ipynb",
        once + f"mark = Path({str(tmp_path / 'mark')!r})\nif not mark.exists(): mark.touch(); time.sleep(99)",
    )
    program = (
        "import sys; from pathlib import Path; from lib import notebooks; from lib.__main__ import main\n"
        f"place = Path({str(tmp_path)!r})\n"
        "notebooks.FOLDER, notebooks.BUILD = place / 'notebooks', place / 'build'\n"
        "sys.exit(main(['notebooks', '--preset', 'smoke']))"
    )
    folder = tmp_path / "build" / "notebooks" / "digits" / "smoke"
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True) as job:
        kernel = next(int(line.split()[1]) for line in job.stdout if line.startswith("kernel "))
        job.send_signal(signal.SIGKILL)
        job.wait()
    assert list(folder.glob("[!.]*")) == []
    again = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert [path.name for path in folder.iterdir()] == ["00_long.ipynb"]
    with pytest.raises(ProcessLookupError):
        os.kill(kernel, 0)
