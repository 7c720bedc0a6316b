"""Files from elsewhere: whatever they hold, they are read or refused in one line, and run nothing.

Ten thousand mutants and more: `./run_all.sh test --slow tests/test_untrusted.py`.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from untrusted import KINDS, hdf5_files, mutant, progress, spikes

from lib.data import fsdd, shd, speech, trial
from lib.data.audit import audit_file
from lib.data.events import write_shd
from lib.errors import InputError
from lib.train import seal

ROOT = Path(__file__).parents[1]


def read_mutants(kind: str, first: int, last: int) -> dict[str, list]:
    """What came of the mutants of a kind -> their numbers. A child that dies is replaced by another."""
    came: dict[str, list] = {}
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "OMP_NUM_THREADS": "1"}
    while first < last:
        words = [sys.executable, str(ROOT / "tests" / "untrusted.py"), kind, str(first), str(last)]
        done = subprocess.run(words, env=environment, capture_output=True, text=True)
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        assert lines, done.stderr
        for line in lines:
            if "came" in line:
                came.setdefault(line["came"], []).append(line["mutant"])
        if "came" not in lines[-1]:
            came.setdefault(f"ended with {done.returncode}", []).append(lines[-1]["mutant"])
        first = lines[-1]["mutant"] + 1
    return came


def all_read_or_refused(kind: str, first: int, last: int, tmp_path: Path) -> None:
    """No other error, no crash, no hang. A file on which the HDF5 library fails is refused by the trial reading."""
    came = read_mutants(kind, first, last)
    failed = [m for what, mutants in came.items() if what.startswith("ended with") for m in mutants]
    assert kind == "hdf5" or not failed, came
    good = hdf5_files(tmp_path) if failed else []
    for m in failed:
        (tmp_path / "mutant.h5").write_bytes(mutant(kind, good, m))
        with pytest.raises(InputError, match="the HDF5 library cannot read it"):
            trial.check(tmp_path / "mutant.h5")
    others = {what: mutants[:5] for what, mutants in came.items() if what not in ("read", "refused")}
    assert not [what for what in others if not what.startswith("ended with")], others
    assert sum(map(len, came.values())) == last - first


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_are_read_or_refused(kind, tmp_path):
    """100 mutants of each kind of file: every one is read, or refused by InputError in one line; no other error, no
    crash, no hang, no gigabytes, no file elsewhere; a damaged result or checkpoint changes nothing."""
    all_read_or_refused(kind, 0, 100, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("first", range(0, 900, 300))
def test_ten_thousand_damaged_files_are_read_or_refused(kind, first, tmp_path):
    """900 mutants of each of twelve kinds, as above."""
    all_read_or_refused(kind, first, first + 300, tmp_path)


def test_a_file_on_which_the_library_never_ends_is_refused(tmp_path, monkeypatch):
    """Zeros instead of the size of a train keep HDF5 2.0 busy for ever: refused, by the commands that read files from
    elsewhere, before anything else is done with them."""
    path = tmp_path / "shd_train.h5"
    write_shd(path, spikes())
    content = bytearray(path.read_bytes())
    second = content.index(b"GCOL") + 16 + 16 + 64  # the head of the heap, and of its first train of 60 bytes
    assert content[second : second + 2] == b"\x02\0"  # its number; then eight bytes of size
    content[second : second + 16] = bytes(16)
    path.write_bytes(content)
    monkeypatch.setattr(trial, "PATIENCE", 3)
    write_shd(tmp_path / "shd_test.h5", spikes())
    for read in (audit_file, lambda path: speech.fetch("shd", path.parent)):
        with pytest.raises(InputError, match="shd_train.h5: damaged, the HDF5 library cannot read it"):
            read(path)


def test_a_trial_changes_nothing_for_good_files(tmp_path, monkeypatch):
    """It says nothing of a good file, or one that reading refuses, and reads it once."""
    write_shd(tmp_path / "good.h5", spikes())
    (tmp_path / "page.h5").write_text("<html>")
    started = []
    run = subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda words, **how: (started.append(words), run(words, **how))[1])
    for name in ("good.h5", "page.h5", "good.h5", "page.h5", "none.h5"):
        trial.check(tmp_path / name)
    assert len(started) == 2


# Archives, checkpoints


def test_archives_write_only_what_they_are_asked_for(tmp_path):
    """Members with a path out of the folder, absolute ones and links are not unpacked; the file that is wanted is."""
    folder, outside = tmp_path / "data", tmp_path / "outside"
    folder.mkdir()
    outside.mkdir()
    write_shd(tmp_path / "a.h5", spikes())
    with zipfile.ZipFile(folder / "shd_train.h5.zip", "w") as archive:
        for name in ("../outside/x", str(outside / "y"), "../shd_train.h5", "sub/../../outside/z"):
            archive.writestr(name, b"no")
        link = zipfile.ZipInfo("link")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, str(outside))
        archive.write(tmp_path / "a.h5", "shd_train.h5")
    before = sorted(tmp_path.rglob("*"))
    assert shd.find("shd_train.h5", folder).read_bytes() == (tmp_path / "a.h5").read_bytes()
    assert sorted(tmp_path.rglob("*")) == sorted([*before, folder / "shd_train.h5"])


def test_recordings_are_never_unpacked(tmp_path, monkeypatch):
    """The zip of `--data fsdd` is read in memory, whatever its members are called; large members are refused unread."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../0_george_0.wav", b"sound")
        archive.writestr("/1_theo_0.wav", bytes(10_000_001))
    (tmp_path / "a.zip").write_bytes(content.getvalue())
    with pytest.raises(InputError, match="over 10 MB"):
        fsdd.read_files(tmp_path / "a.zip")
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


class Code:
    """What runs code when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_checkpoints_run_no_code(tmp_path):
    """A checkpoint that would call a function when it is unpickled is refused, and the function is not called."""
    content = io.BytesIO()
    torch.save({"network": Code(tmp_path / "called")}, content)
    path = tmp_path / "a.checkpoint"
    path.write_bytes(seal(content.getvalue()))
    with pytest.raises(InputError, match="a.checkpoint: no checkpoint of this training"):
        progress().load(path, "cpu")
    torch.load(io.BytesIO(content.getvalue()), weights_only=False)  # it would have
    assert (tmp_path / "called").exists()


def test_shipped_arrays_run_no_code(tmp_path):
    """Shipped data are read without pickle, and only if their checksum is right."""
    from lib.data import shipped

    np.savez(tmp_path / "train.npz", labels=np.array([Code(tmp_path / "called")], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle"):
        shipped.unpack(tmp_path / "train.npz")
    (tmp_path / shipped.CHECKSUMS).write_text(f"{'0' * 64}  train.npz\n")
    with pytest.raises(InputError, match="checksum differs"):
        shipped.read("train", tmp_path)
    assert not (tmp_path / "called").exists()


def test_nothing_is_unpickled():
    """No source of `lib` uses pickle or joblib's files, checkpoints with code, or YAML that builds objects."""
    for path in sorted((ROOT / "lib").rglob("*.py")):
        text = path.read_text()
        for word in (
            "import pickle",
            "joblib.load",
            "yaml.load(",
            "yaml.unsafe",
            "allow_pickle=True",
            " eval(",
            " exec(",
        ):
            assert word not in text, (path, word)
        assert text.count("torch.load(") == text.count("weights_only=True"), path
