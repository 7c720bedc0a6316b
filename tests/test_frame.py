"""The frame: packages, command lines, environment, progress."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from lib import __main__ as command_line
from lib import clean, experiments, notebooks, progress
from lib.data.speech import DATA_SETS
from lib.experiments import presets
from lib.tables import Table

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def pins() -> dict[str, str]:
    """Package -> version of the lock."""
    lines = [line for line in (ROOT / "requirements.lock").read_text().splitlines() if line[:1] != "#"]
    return {canonicalize_name(name): version for name, version in (line.split(";")[0].split("==") for line in lines)}


# Packages


def test_lock_pins_every_dependency_within_its_declared_range():
    """What pyproject.toml asks for, tests included, is pinned in the lock to a version that it allows."""
    wanted = PROJECT["dependencies"] + PROJECT["optional-dependencies"]["test"]
    assert len(wanted) > 15
    for requirement in map(Requirement, wanted):
        version = pins().get(canonicalize_name(requirement.name))
        assert version is not None and requirement.specifier.contains(version), (requirement, version)


def test_lock_has_names_and_exact_versions_only():
    """No address of a registry, no local version, no range, nothing twice, torch as decided."""
    lines = (ROOT / "requirements.lock").read_text().splitlines()[1:]
    assert [
        line
        for line in lines
        if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9a-z.]*(; platform_system == \"Linux\")?", line)
    ] == []
    assert len(pins()) == len(lines)
    assert pins()["torch"] == "2.13.0"


def test_lock_can_install_the_project_itself():
    """The editable installation needs no download: setuptools is pinned, new enough for pyproject.toml."""
    (build,) = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    assert Requirement(build).specifier.contains(pins()["setuptools"])


def test_conda_environment_installs_the_same_lock():
    """environment.yml: an allowed Python, pip, and through pip the lock and this project, nothing else."""
    python, pip, packages = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    assert pip == "pip" and packages == {"pip": ["-r requirements.lock", "-e ."]}
    assert Requirement("python" + PROJECT["requires-python"]).specifier.contains(python.split("=")[1])


def test_every_dependency_says_what_it_is_for():
    """Each dependency in pyproject.toml has a comment."""
    lines = re.findall(r'^  "[a-z0-9-]+[<>=].*$', (ROOT / "pyproject.toml").read_text(), re.M)
    optional = PROJECT["optional-dependencies"]
    assert len(lines) == len(PROJECT["dependencies"] + optional["test"] + optional["cluster"])
    assert [line for line in lines if "# used " not in line] == []


def test_citation_names_the_paper():
    """CITATION.cff is YAML, has this version, and cites the paper with its four authors and DOI."""
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    paper = citation["preferred-citation"]
    assert citation["version"] == PROJECT["version"]
    assert [author["family-names"] for author in paper["authors"]] == ["Yu", "Sun", "Akarca", "Goodman"]
    assert (paper["doi"], paper["start"]) == ("10.1088/2634-4386/ae46d5", "014016")


def test_presets_are_the_same_everywhere():
    """Command line, announced minutes, experiments and run_all.sh know the same presets and data sets."""
    script = (ROOT / "run_all.sh").read_text()
    assert tuple(presets.SPEECH) == experiments.PRESETS == tuple(notebooks.TIMES) == command_line.PRESETS
    assert f"--preset {'|'.join(command_line.PRESETS)} " in script
    assert command_line.DATA == tuple(DATA_SETS)
    assert command_line.EXPERIMENTS == tuple(experiments.EXPERIMENTS)
    assert f"--data {'|'.join(DATA_SETS)} " in script


# run_all.sh, with a stand-in for Python that notes how it is called

PYTHON = r"""#!/usr/bin/env bash
case "$*" in
  "-c import sys; "*) exit "${TOO_OLD:-0}" ;;            # is this Python new enough?
  "-c "*) [[ $0 == *complete* ]]; exit ;;                # does it hold the packages?
  "-m venv --clear .venv") mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
esac
echo "${0#"$PWD"/} ${BRC_PRESET:+BRC_PRESET=$BRC_PRESET }$*" >>"$CALLS"
[[ -z ${FAILS:-} || $* != *"$FAILS"* ]]
"""


class Checkout:
    """A copy of the repository's outside, in which every Python is the stand-in."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "a checkout"  # spaces must not matter
        self.calls_file = folder / "calls"
        (self.root / "notebooks").mkdir(parents=True)
        for name in ("run_all.sh", "requirements.lock"):
            shutil.copy(ROOT / name, self.root)
        (self.root / "notebooks" / "00_first.ipynb").touch()
        for place in ("path/python3.11", "complete/bin/python", "lacking/bin/python"):
            file = folder / place
            file.parent.mkdir(parents=True)
            file.write_text(PYTHON)
            file.chmod(0o755)
        for version in ("python3.12", "python3.13", "python3"):
            shutil.copy(folder / "path" / "python3.11", folder / "path" / version)
        self.folder = folder

    def run(self, *words: str, active: str = "", **variables: str) -> subprocess.CompletedProcess:
        """run_all.sh, called from the folder above the checkout."""
        self.calls_file.write_text("")
        environment = {"PATH": f"{self.folder / 'path'}:/usr/bin:/bin", "CALLS": str(self.calls_file)}
        environment |= {"VIRTUAL_ENV": str(self.folder / active)} if active else {}
        command = ["bash", str(self.root / "run_all.sh"), *words]
        return subprocess.run(
            command, cwd=self.folder, env=environment | variables, capture_output=True, text=True, timeout=60
        )

    def calls(self) -> list[str]:
        """How Python was called, besides questions."""
        return self.calls_file.read_text().splitlines()

    def files(self) -> set[str]:
        """All files and folders of the checkout."""
        return {str(path.relative_to(self.root)) for path in self.root.rglob("*")}


@pytest.fixture
def checkout(tmp_path) -> Checkout:
    """A fresh one."""
    return Checkout(tmp_path)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--preset", "huge"], "'huge'"),
        (["--preset=huge"], "'huge'"),
        (["--preset"], "--preset"),
        (["--data", "mnist"], "'mnist'"),
        (["--data", "shd"], "--data-dir"),
        (["--data", "fsdd"], "--data-dir"),
        (["--data", "fsdd", "--data-dir", "nowhere"], "'nowhere'"),
        (["--data-dir", "path"], "--data fsdd"),
        (["--device", "tpu"], "'tpu'"),
        (["--scheduler", "here"], "'here'"),
        (["--fast"], "--fast"),
        (["everything"], "everything"),
        (["7"], "7"),
        (["007"], "007"),
        (["0", "figures"], "figures"),
        (["figures", "--preset", "huge"], "'huge'"),
        (["figures", "--device", "cpu"], "--device"),
        (["figures", "--scheduler", "tcp://a:1"], "--scheduler"),
        (["figures", "0"], "0"),
        (["figures", "--output", "here"], "--output"),
        (["site", "0"], "0"),
        (["site", "--preset", "quick"], "--preset"),
        (["site", "--output"], "--output"),
    ],
)
def test_wrong_words_are_answered_in_one_line_before_anything_happens(checkout, words, named):
    """Exit 2, one line that names the word; no Python is started, no environment made, no file written."""
    before = checkout.files()
    done = checkout.run(*words)
    assert done.returncode == 2
    assert re.fullmatch(r"error: [^\n]*\n", done.stderr) and named in done.stderr
    assert done.stdout == ""
    assert checkout.calls() == [] and checkout.files() == before


@pytest.mark.parametrize("words", [["-h"], ["--help"], ["figures", "-h"], ["site", "-h"], ["test", "-h"], ["0", "-h"]])
def test_help_needs_no_environment(checkout, words):
    """-h prints the usage and exits 0 without starting Python."""
    done = checkout.run(*words)
    assert (done.returncode, done.stderr, checkout.calls()) == (0, "", [])
    assert "--preset smoke|quick|full|paper" in done.stdout


def test_active_environment_is_used_if_it_is_complete(checkout):
    """Words are passed on, a relative --data-dir is meant from where the reader is, and no .venv is made."""
    (checkout.folder / "zip").touch()
    done = checkout.run("0", "--data=fsdd", "--data-dir", "zip", active="complete")
    where = f"--data fsdd --data-dir {checkout.folder}/zip"
    assert done.returncode == 0
    assert checkout.calls() == [f"{checkout.folder}/complete/bin/python -m lib notebooks 0 {where}"]
    assert ".venv" not in checkout.files()


def test_environment_is_made_once_from_the_lock(checkout):
    """Without a complete environment .venv is made and used; it is made again only when the lock changes."""
    install = ["-m pip install", "-r requirements.lock", "--no-deps --no-build-isolation --editable ."]
    for active, lock_changes, makes in (("lacking", False, True), ("", False, False), ("", True, True)):
        if lock_changes:
            with (checkout.root / "requirements.lock").open("a") as lock:
                lock.write("another==1.0\n")
        assert checkout.run("figures", active=active).returncode == 0
        *making, last = checkout.calls()
        assert last == ".venv/bin/python -m lib figures"
        assert len(making) == (3 if makes else 0)
        assert all(part in " ".join(making) for part in install) or not makes


def test_folder_of_the_site_is_meant_from_where_the_reader_is(checkout):
    """`site` takes a relative --output, in either form."""
    for words in (["--output", "pages"], ["--output=pages"]):
        assert checkout.run("site", *words, active="complete").returncode == 0
        (call,) = checkout.calls()
        assert call.endswith(f"-m lib site --output {checkout.folder}/pages")


@pytest.mark.parametrize("failing", ["-r requirements.lock", "--editable"])
def test_unfinished_environment_is_made_again(checkout, failing):
    """If pip fails, that is said, nothing is run, and the next start makes .venv anew."""
    done = checkout.run(FAILS=failing)
    assert done.returncode == 2 and done.stderr.startswith("error: .venv: ")
    assert not any("-m lib" in call for call in checkout.calls())
    assert checkout.run().returncode == 0
    assert "-m venv --clear .venv" in checkout.calls()[0] and len(checkout.calls()) == 4


def test_without_a_python_that_is_new_enough_it_says_so(checkout):
    """One line, exit 2, nothing made."""
    before = checkout.files()
    done = checkout.run(TOO_OLD="1")
    assert done.returncode == 2
    assert re.fullmatch(r"error: Python: 3\.11 or newer [^\n]*\n", done.stderr)
    assert checkout.files() == before


@pytest.mark.parametrize(("failing", "code"), [("", 0), ("pytest -k", 1), ("--nbval-lax", 1)])
def test_test_runs_both_suites_and_reports_either_failure(checkout, failing, code):
    """`test` hands its words to pytest, runs the notebooks at smoke size, and fails if either fails."""
    done = checkout.run("test", "-k", "some", active="complete", FAILS=failing)
    assert done.returncode == code
    tests, cells = (call.split("/complete/bin/python ")[1] for call in checkout.calls())
    assert tests == "-m pytest -k some"
    assert cells.startswith("BRC_PRESET=smoke -m pytest --nbval-lax ") and cells.endswith(" 120 notebooks")


@pytest.mark.parametrize(("failing", "code"), [("", 0), ("tests/oracles", 1)])
def test_slow_tests_compare_with_other_simulators_too(checkout, failing, code):
    """`test --slow` ends with the oracles, in their own environment, and fails if they do."""
    done = checkout.run("test", "--slow", active="complete", FAILS=failing)
    assert done.returncode == code
    assert [call.split("/complete/bin/python ")[1] for call in checkout.calls()][::2] == [
        "-m pytest --slow",
        "tests/oracles",
    ]


# python -m lib


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["fly"], "fly"),
        (["notebooks", "--preset", "huge"], "huge"),
        (["notebooks", "99"], "99"),
        (["notebooks", "one"], "one"),
        (["notebooks", "--data", "fsdd"], "--data-dir"),
        (["run", "nothing"], "nothing"),
        (["run", "timing_alone", "--data", "birds"], "birds"),
        (["run", "timing_alone", "--data", "fsdd"], "--data-dir"),
        (["provenance", "no such.png"], "no such.png"),
        (["tune", "--arms", "nothing_like_it"], "nothing_like_it"),
        (["tune", "--jobs", "0"], "'0'"),
        (["data"], "KIND"),
        (["data", "convert", "no such.wav", "out.h5"], "no such.wav"),
        (["data", "convert", "in.wav", "out.h5", "--seed", "-1"], "-1"),
    ],
)
def test_bad_input_to_python_m_lib_is_one_line(words, named, tmp_path, monkeypatch, capsys):
    """Exit 2 and `error: ...`, without a traceback, and nothing is written."""
    monkeypatch.chdir(tmp_path)
    try:
        code = command_line.main(words)
    except SystemExit as refused:
        code = refused.code
    out, err = capsys.readouterr()
    assert code == 2
    assert re.fullmatch(r"error: [^\n]*\n", err) and named in err
    assert out == "" and list(tmp_path.iterdir()) == []


def test_python_m_lib_lists_what_can_be_done():
    """Without a word, as a process: every command with a line of help, exit 0."""
    done = subprocess.run([sys.executable, "-m", "lib"], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.findall(r"^ {4}(\w+)\s+\w", done.stdout, re.M) == list(command_line.COMMANDS)


@pytest.mark.parametrize("command", command_line.COMMANDS)
def test_every_command_has_help(command, capsys):
    """`-h` exits 0 and says how it is used."""
    with pytest.raises(SystemExit) as ended:
        command_line.main([command, "-h"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: python -m lib {command} ")


def test_run_command_computes_and_says_what_is_missing(monkeypatch, capsys):
    """Words reach the experiment; without --data it is the first data set."""
    calls = []

    def compute(*words, **how):
        calls.append((words, how))
        return Table("timing_alone", "digits", "smoke", [{"accuracy": 0.5}, {"accuracy": None}], {})

    monkeypatch.setattr(experiments, "compute", compute)
    words = ["run", "timing_alone", "--preset", "smoke", "--jobs", "2", "--scheduler", "tcp://a:1"]
    assert command_line.main(words) == 0
    assert calls == [(("timing_alone", "digits", "smoke", None, "auto"), {"jobs": 2, "scheduler": "tcp://a:1"})]
    scores, engine = capsys.readouterr().out.splitlines()
    assert scores == "timing_alone on digits, smoke: 2 scores, 1 without a number"
    assert re.fullmatch("Networks on binned spikes were computed by (cpu|gpu): .*", engine)


def test_clean_says_first_and_deletes_on_yes(tmp_path, monkeypatch, capsys):
    """Without --yes nothing goes; with it, the folder build of a checkout goes and nothing else."""
    monkeypatch.setattr(clean, "ROOT", tmp_path)
    assert command_line.main(["clean", "--yes"]) == 2 and "not of a checkout" in capsys.readouterr().err
    (tmp_path / "pyproject.toml").touch()
    for name in ("build/runs/a.json", "build/runs/b.json", "figures/c.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(bytes(500_000))
    assert command_line.main(["clean"]) == 0
    assert capsys.readouterr().out == "build/runs: 2 files, 1.0 MB\nwould be deleted; add --yes\n"
    assert (tmp_path / "build" / "runs" / "a.json").exists()
    assert command_line.main(["clean", "--yes"]) == 0
    assert {p.name for p in tmp_path.iterdir()} == {"figures", "pyproject.toml"} and (
        tmp_path / "figures" / "c.png"
    ).exists()
    assert command_line.main(["clean"]) == 0
    assert capsys.readouterr().out.endswith("build: nothing there\n")


def test_notebooks_pass_the_scheduler_on(monkeypatch):
    """Notebooks run in processes of their own, which read the address from the environment."""
    monkeypatch.setenv("BRC_SCHEDULER", "")
    monkeypatch.setattr(notebooks, "run", lambda *words: None)
    assert command_line.main(["notebooks", "--scheduler", "tcp://a:1"]) == 0
    assert os.environ["BRC_SCHEDULER"] == "tcp://a:1"


def test_convert_command_writes_spikes(tmp_path, capsys):
    """`data convert` turns a recording into an event file and says how many events."""
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(4800) / 16_000)
    soundfile.write(tmp_path / "tone.wav", tone, 16_000)
    assert command_line.main(["data", "convert", str(tmp_path / "tone.wav"), str(tmp_path / "out.h5")]) == 0
    assert (tmp_path / "out.h5").stat().st_size > 1000
    assert re.fullmatch(r".*/out\.h5: [1-9]\d+ events\n", capsys.readouterr().out)


def test_failed_and_interrupted_runs_have_their_own_codes(monkeypatch, capsys):
    """A run that fails exits 1, an interrupted one 130, both with one line."""
    lines = []
    full = OSError(28, "No space left on device", "x.json")
    for error, code in ((RuntimeError("voice 3 could not be made"), 1), (full, 1), (KeyboardInterrupt(), 130)):

        def raising(args, error=error):
            raise error

        monkeypatch.setitem(command_line.COMMANDS, "figures", raising)
        assert command_line.main(["figures"]) == code
        lines.append(capsys.readouterr().err)
    assert lines[0] == "error: voice 3 could not be made\n"
    assert lines[1] == "error: [Errno 28] No space left on device: 'x.json'\n"
    assert lines[2].startswith("interrupted; ") and lines[2].count("\n") == 1


# Progress, and the tests' own rules


def test_progress_in_logs_is_a_line_now_and_then(monkeypatch, capsys):
    """At the start, every LINE_EVERY seconds although nothing has ended, and at the end."""
    monkeypatch.setattr(progress, "LINE_EVERY", 0.05)
    with progress.progress(5, "networks", "run") as bar:
        time.sleep(0.4)
        bar.update(5)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "networks: 0/5 runs" and lines[-1] == "networks: 5/5 runs, 0:00 elapsed"
    assert 2 <= len(lines[1:-1]) <= 8 and set(lines[1:-1]) <= {f"networks: {n}/5 runs, 0:00 elapsed" for n in (0, 5)}
    time.sleep(0.1)
    assert capsys.readouterr().out == ""  # nothing after the end


def test_progress_tells_the_time_left():
    """Pieces that are left take as long as those that are done; without any, there is no guess."""
    bar = progress.progress(5, "networks", "run")
    assert bar.line(61) == "networks: 0/5 runs, 1:01 elapsed"
    bar._done = 3
    assert bar.line(72) == "networks: 3/5 runs, 1:12 elapsed, about 0:48 left"


def test_progress_is_silent_when_there_is_nothing_to_do(capsys):
    """No line for work that was finished before."""
    with progress.progress(0, "networks", "run"):
        pass
    assert capsys.readouterr() == ("", "")


def test_progress_is_a_bar_on_a_terminal_only(monkeypatch, capsys):
    """On a terminal a bar on stderr and nothing on stdout; headless never."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert not progress.interactive()  # the tests run headless
    monkeypatch.delenv("BRC_HEADLESS")
    with progress.progress(2, "networks", "run") as bar:
        bar.update(2)
    out, err = capsys.readouterr()
    assert out == "" and "2/2" in err


def test_tests_cannot_reach_the_network():
    """A connection to anywhere but this machine is refused before it is tried."""
    with socket.socket() as one, pytest.raises(AssertionError, match="tried to reach"):
        one.connect(("192.0.2.1", 80))  # an address that is reserved for documentation
    with socket.socket() as listening, socket.socket() as one:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        one.connect(listening.getsockname())
        assert one.getpeername() == listening.getsockname()


def test_shell_scripts_can_be_run():
    """The scripts that people and machines start are executable."""
    assert [name for name in ("run_all.sh", ".ci/run") if not os.access(ROOT / name, os.X_OK)] == []
