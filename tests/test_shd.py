"""SHD and SSC: files of the true layout, official parts, downloads that are whole or not kept."""

import functools
import hashlib
import http.server
import shutil
import threading
import zipfile

import numpy as np
import pytest

from lib import experiments
from lib.data import shd
from lib.data.events import Events, write_shd
from lib.errors import InputError
from lib.experiments.arms import Settings
from lib.experiments.speech import SpeechRun
from lib.runs import key_of


def write_like(name, folder, n=200, n_classes=20, n_voices=5, seed=0):
    """A file in SHD's layout: 700 units, class-dependent latencies, enough spikes in 60 units for norm."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % n_classes
    trains = []
    for label in labels:
        units = np.repeat(np.arange(0, 700, 12), rng.integers(5, 9))
        times = np.abs(0.1 + 0.8 * np.sin(units * (label + 1)) ** 2 + rng.normal(0, 0.15, len(units)))
        trains.append((times, units))
    keys = [f"word {k}" for k in range(n_classes)]
    write_shd(folder / name, Events.from_list(trains, labels, np.arange(n) // n_classes % n_voices, keys))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """All five files, small."""
    path = tmp_path_factory.mktemp("shd")
    for seed, name in enumerate(name[:-4] for name in shd.MD5):
        write_like(name, path, n_classes=20 if name.startswith("shd") else 35, n=210, seed=seed)
    return path


@pytest.mark.filterwarnings("ignore:.*runs have no score")  # tiny networks after one epoch may be silent
@pytest.mark.parametrize("data", ["shd", "ssc"])
def test_entry_experiment_runs(folder, data, tmp_path):
    """The entry experiment at smoke size, from a folder of files in the true layout."""
    table = experiments.compute("timing_alone", data, "smoke", data_dir=str(folder), jobs=1, store=tmp_path)
    scored = [row for row in table.rows if row["accuracy"] is not None]
    assert {row["part"] for row in scored} == {"validation", "test"}
    assert {row["variant"] for row in scored} == {"norm", "whole"}


def test_validation_voices_of_shd_are_in_no_other_part(folder):
    """Two voices of the training file, the same ones each time; together the parts are the file."""
    train, validation = (shd.binned("shd", part, folder, 0.01) for part in ("train", "validation"))
    assert len(np.unique(validation.speakers)) == 2
    assert not set(train.speakers) & set(validation.speakers)
    assert len(train) + len(validation) == 210


def test_page_saved_as_a_file_is_refused(tmp_path):
    """HTML named .h5: one line."""
    (tmp_path / "shd_test.h5").write_text("<html>moved</html>")
    with pytest.raises(InputError, match="not a whole HDF5 file"):
        shd.binned("shd", "test", tmp_path, 0.01)


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, says nothing."""

    def log_message(self, *_):
        pass


def test_bad_downloads_are_never_kept(folder, tmp_path):
    """A page and a truncated zip are refused and removed; the next mirror, which has the true file, is used."""
    site, target = tmp_path / "site", tmp_path / "target"
    md5 = {}
    for mirror in ("page", "cut", "good"):
        (site / mirror).mkdir(parents=True)
    for name in ("shd_train.h5", "shd_test.h5"):
        with zipfile.ZipFile(site / "good" / f"{name}.zip", "w") as archive:
            archive.write(folder / name, name)
        whole = (site / "good" / f"{name}.zip").read_bytes()
        md5[f"{name}.zip"] = hashlib.md5(whole).hexdigest()
        (site / "page" / f"{name}.zip").write_text("<html>")
        (site / "cut" / f"{name}.zip").write_bytes(whole[:-100])
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=site)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        bad = tuple(f"http://127.0.0.1:{server.server_port}/{mirror}/" for mirror in ("page", "cut", "none"))
        with pytest.raises(InputError, match="give --data-dir"):
            shd.download("shd", target, bad, md5)
        assert list(target.iterdir()) == []
        shd.download("shd", target, (*bad, bad[0].replace("page", "good")), md5)
        server.shutdown()
    assert (target / "shd_test.h5").read_bytes() == (folder / "shd_test.h5").read_bytes()


@pytest.mark.parametrize("data", ["shd", "ssc"])
def test_results_are_named_by_the_files_that_were_read(folder, tmp_path, data):
    """Same files elsewhere, even zipped: the same key. One other file: another. A file changed in place: another."""
    run = SpeechRun(data, "norm", "no_delays", 0, Settings(60.0, 1.0, 2e-3), 1, 100, (8, 8))
    copy, other = tmp_path / "copy", tmp_path / "other"
    for name in set(shd.FILES[data].values()):
        other.mkdir(exist_ok=True)
        copy.mkdir(exist_ok=True)
        shutil.copy(folder / name, other)
        with zipfile.ZipFile(copy / f"{name}.zip", "w") as archive:
            archive.write(folder / name, name)
    assert key_of(run, str(copy)) == key_of(run, str(other)) == key_of(run, str(folder))
    write_like(f"{data}_test.h5", other, seed=99)
    changed = key_of(run, str(other))
    assert changed != key_of(run, str(folder))
    write_like(f"{data}_test.h5", other, seed=98)
    assert key_of(run, str(other)) not in (changed, key_of(run, str(folder)))
    with pytest.raises(InputError, match="--data-dir"):
        key_of(run)
    (other / f"{data}_test.h5").unlink()
    with pytest.raises(InputError, match="no such file, nor its .zip"):
        key_of(run, str(other))
