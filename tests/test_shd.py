"""SHD and SSC: files of the true layout, official parts, downloads that are whole or not kept."""

import errno
import functools
import gzip
import hashlib
import http.server
import io
import itertools
import shutil
import threading
import zipfile

import joblib
import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest

from lib import experiments, notebooks, runs
from lib.data import shd, speech
from lib.data.events import Events, bin_events, join, write_shd
from lib.errors import InputError
from lib.experiments.arms import Settings
from lib.experiments.speech import SpeechRun, part_of
from lib.figures import saving
from lib.runs import key_of


def write_like(name, folder, n=210, n_classes=20, n_voices=5, seed=0):
    """A file in SHD's layout: 700 units in bands whose onset and strength depend on the class.

    Each unit fires 5 to 13 times in bins of their own, so that all units survive in norm. One sample ends late: on a
    long grid the mean rate is low, so that the smallest networks start lively.
    """
    rng, words = np.random.default_rng(seed), np.random.default_rng(1)  # the words are the same in every file
    onset, strong = 0.1 + words.uniform(0, 0.1, (n_classes, 14)), words.random((n_classes, 14)) < 0.5
    labels = np.arange(n) % n_classes
    trains = []
    for label in labels:
        lengths = 5 + np.repeat(6 * strong[label], 50) + rng.integers(0, 3, 700)
        units = np.repeat(np.arange(700), lengths)
        nth = np.arange(len(units)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        times = np.repeat(np.repeat(onset[label], 50) + rng.uniform(0, 0.014, 700), lengths) + 0.015 * nth
        trains.append((times, units))
    trains[0] = tuple(np.append(values, late) for values, late in zip(trains[0], (4.0, 0), strict=True))
    keys = [f"word {k}" for k in range(n_classes)]
    write_shd(folder / name, Events.from_list(trains, labels, np.arange(n) // n_classes % n_voices, keys))


def binned(data, part, folder, width):
    """A part as one set of binned samples."""
    return join(bin_events(events, width)[0] for events, _ in shd.chunks(data, part, folder))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """All five files, small."""
    path = tmp_path_factory.mktemp("shd")
    for seed, name in enumerate(name[:-4] for name in shd.MD5):
        write_like(name, path, n_classes=20 if name.startswith("shd") else 35, seed=seed)
    return path


def run_cells(number, parameters):
    """The variables that the code cells of a notebook leave."""
    path, scope = next(notebooks.FOLDER.glob(f"{number}_*.ipynb")), {}
    notebooks.check_parameters(path, parameters)
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            exec(compile(cell.source, path.name, "exec"), scope)
            scope |= parameters if "parameters" in cell.metadata.get("tags", []) else {}
    return scope


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Where all notebooks keep their runs: what one has trained, the next one reads."""
    return tmp_path_factory.mktemp("store")


@pytest.fixture
def kept(store, monkeypatch):
    """Notebooks write there; and train in this process, for another one would take longer to start than the runs."""
    monkeypatch.setattr(runs, "STORE", store / "runs")
    monkeypatch.setattr(saving, "ROOT", store)
    monkeypatch.setattr(joblib, "cpu_count", lambda: 1)
    return store


@pytest.mark.parametrize("data", ["shd", "ssc"])
def test_notebook_00_trains_live_networks(folder, data, kept):
    """The entry notebook at smoke size, from a folder of files in the true layout: every run has its scores."""
    scope = run_cells("00", {"preset": "smoke", "data": data, "data_dir": str(folder), "device": "cpu"})
    assert (kept / "build" / "figures" / data / "smoke" / "timing_alone.png").stat().st_size > 10_000
    plt.close("all")
    table = experiments.stored("timing_alone", data, "smoke", str(folder))
    assert table == scope["table"]
    parts = set(itertools.product(("norm", "part", "whole"), ("validation", "test")))
    assert {(row["variant"], row["part"]) for row in table.rows} == parts
    unperturbed = [row for row in table.rows if row["tested"] in ("clean", "reverse")]
    assert all(row["failed"] is None and row["accuracy"] is not None for row in unperturbed)
    with pytest.raises(InputError, match="--data-dir"):
        experiments.stored("timing_alone", data, "smoke")


@pytest.mark.parametrize("data", ["shd", "ssc"])
def test_notebook_05_audits_them(folder, data):
    """From the same files: all samples of all parts are used, and no probe reads counts from norm."""
    scope = run_cells("05", {"preset": "smoke", "data": data, "data_dir": str(folder), "device": "cpu"})
    plt.close("all")
    assert len(scope["validation"]) + len(scope["training"]) == (210 if data == "shd" else 420)
    found = {row["feature"]: row["leak"] for row in scope["records"]["norm"]}
    assert not found["counts"] and not found["total count"] and not found["active set"]


@pytest.mark.parametrize("data", ["shd", "ssc"])
@pytest.mark.filterwarnings("ignore:.*runs have no score")  # tiny networks whose spikes were all moved may be silent
@pytest.mark.parametrize(
    ("number", "figure"), [("06", "relocation"), ("07", "robustness"), ("08", "reversal"), ("09", "controls")]
)
def test_notebooks_on_speech_run_on_them(folder, data, number, figure, kept):
    """Unchanged, at smoke size: the figure is drawn, and of every network that spikes all tests have a score."""
    scope = run_cells(number, {"preset": "smoke", "data": data, "data_dir": str(folder), "device": "cpu"})
    plt.close("all")
    assert (kept / "build" / "figures" / data / "smoke" / f"{figure}.png").stat().st_size > 10_000
    silent = [row for row in scope["table"].rows if row["accuracy"] is None]
    assert all("silent" in row["failed"] for row in silent) and len(silent) < len(scope["table"].rows) / 2


@pytest.mark.parametrize("data", ["shd", "ssc"])
@pytest.mark.filterwarnings("ignore:.*runs have no score")
def test_notebook_10_judges_what_is_there(folder, data, kept):
    """Its own part reads what other notebooks computed from the same files."""
    parameters = {"preset": "smoke", "data": data, "data_dir": str(folder), "device": "cpu"}
    run_cells("06", parameters)  # trains nothing again where this process has run it before
    scope = run_cells("10", parameters)
    plt.close("all")
    assert data in {table.data for table in scope["own"]}
    assert len(scope["cells"]) > 40 and any(cell.ours for cell in scope["cells"])


def test_validation_voices_of_shd_are_in_no_other_part(folder):
    """Two voices of the training file, the same ones each time; together the parts are the file."""
    train, validation = (binned("shd", part, folder, 0.01) for part in ("train", "validation"))
    assert len(np.unique(validation.speakers)) == 2
    assert not set(train.speakers) & set(validation.speakers)
    assert len(train) + len(validation) == 210


def test_page_saved_as_a_file_is_refused(tmp_path):
    """HTML named .h5: one line."""
    (tmp_path / "shd_test.h5").write_bytes(PAGE)
    with pytest.raises(InputError, match="not a whole HDF5 file"):
        binned("shd", "test", tmp_path, 0.01)


def zipped(path, name="shd_test.h5"):
    """A zip that holds a file's bytes under this name."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(path, name)
    return content.getvalue()


def altered(content):
    """One byte in the middle is another."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :]


PAGE = b"<html>moved</html>"
PACKED = {".zip": zipped, ".gz": lambda path: gzip.compress(path.read_bytes())}


@pytest.mark.parametrize("suffix", PACKED)
def test_archives_are_unpacked(folder, tmp_path, suffix):
    """A .zip or .gz gives the file, byte for byte, once; it is then read without the archive."""
    (tmp_path / f"shd_test.h5{suffix}").write_bytes(PACKED[suffix](folder / "shd_test.h5"))
    path = shd.find("shd_test.h5", tmp_path)
    assert path == tmp_path / "shd_test.h5" and path.read_bytes() == (folder / "shd_test.h5").read_bytes()
    (tmp_path / f"shd_test.h5{suffix}").unlink()
    assert len(binned("shd", "test", tmp_path, 0.01)) == 210


@pytest.mark.parametrize("suffix", PACKED)
@pytest.mark.parametrize(
    "damage",
    [lambda _: b"", lambda _: PAGE, lambda whole: whole[:-100], lambda whole: whole[:500], altered],
    ids=["empty", "page", "end cut off", "beginning only", "a byte altered"],
)
def test_a_damaged_archive_is_said_and_not_unpacked(folder, tmp_path, suffix, damage):
    """One line that names the archive and the remedy; no half file is left, and the reader's archive is untouched."""
    archive = tmp_path / f"shd_test.h5{suffix}"
    archive.write_bytes(damage(PACKED[suffix](folder / "shd_test.h5")))
    with pytest.raises(InputError, match=r"damaged archive .*; delete it and .* give --data-dir") as error:
        binned("shd", "test", tmp_path, 0.01)
    assert str(archive) in str(error.value) and "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == [archive]


def test_an_archive_of_something_else_is_said(folder, tmp_path):
    """A zip without the file in it: one line, nothing unpacked."""
    (tmp_path / "shd_test.h5.zip").write_bytes(zipped(folder / "shd_test.h5", "readme.txt"))
    with pytest.raises(InputError, match="damaged archive") as error:
        shd.find("shd_test.h5", tmp_path)
    assert "\n" not in str(error.value) and len(list(tmp_path.iterdir())) == 1


def test_published_checksums_are_tonic_s():
    """The pinned MD5 of each zip is the one that tonic pins."""
    tonic = pytest.importorskip("tonic")
    pinned = {}
    for kind, parts in ((tonic.datasets.SHD, ("train", "test")), (tonic.datasets.SSC, ("train", "valid", "test"))):
        pinned |= {getattr(kind, f"{part}_zip"): getattr(kind, f"{part}_md5") for part in parts}
    assert pinned == shd.MD5


def test_a_page_in_an_archive_is_not_unpacked(tmp_path):
    """A .gz of something that is not HDF5: the archive is named, and no .h5 is left to be taken for data."""
    archive = tmp_path / "shd_test.h5.gz"
    archive.write_bytes(gzip.compress(PAGE))
    with pytest.raises(InputError, match="shd_test.h5.gz: damaged archive .it holds no HDF5 file"):
        shd.find("shd_test.h5", tmp_path)
    assert list(tmp_path.iterdir()) == [archive]


def test_a_full_disk_is_not_the_archive_s_fault(folder, tmp_path, monkeypatch):
    """The system's error is passed on, with the file that could not be written; the archive is not called damaged."""
    (tmp_path / "shd_test.h5.gz").write_bytes(PACKED[".gz"](folder / "shd_test.h5"))

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", full)
    with pytest.raises(OSError, match="No space left on device: '.*shd_test.h5'"):
        shd.find("shd_test.h5", tmp_path)
    assert len(list(tmp_path.iterdir())) == 1


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, says nothing."""

    def log_message(self, *_):
        pass


def test_bad_downloads_are_never_kept(folder, tmp_path):
    """A page, a truncated zip, and a whole one of other events are refused and removed; the next mirror is used."""
    site, target = tmp_path / "site", tmp_path / "target"
    md5 = {}
    for mirror in ("page", "cut", "other", "good"):
        (site / mirror).mkdir(parents=True)
    for name in ("shd_train.h5", "shd_test.h5"):
        whole = zipped(folder / name, name)
        md5[f"{name}.zip"] = hashlib.md5(whole).hexdigest()
        (site / "good" / f"{name}.zip").write_bytes(whole)
        (site / "page" / f"{name}.zip").write_text("<html>")
        (site / "cut" / f"{name}.zip").write_bytes(whole[:-100])
        (site / "other" / f"{name}.zip").write_bytes(zipped(folder / "ssc_test.h5", name))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=site)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        bad = tuple(f"http://127.0.0.1:{server.server_port}/{mirror}/" for mirror in ("page", "cut", "other", "none"))
        with pytest.raises(InputError, match="shd_train.h5.zip: not downloaded .* give --data-dir") as error:
            shd.download("shd", target, bad, md5)
        assert "\n" not in str(error.value) and all(mirror in str(error.value) for mirror in bad)
        assert list(target.iterdir()) == []
        shd.download("shd", target, (*bad, bad[0].replace("page", "good")), md5)
        server.shutdown()
    shd.download("shd", target, (), md5)  # nothing is missing, so nothing is fetched
    assert (target / "shd_test.h5").read_bytes() == (folder / "shd_test.h5").read_bytes()


def test_a_redirection_that_leaves_https_is_refused(tmp_path, monkeypatch):
    """Even if what comes has the right MD5: said, and nothing is kept."""
    asked = []

    def urlopen(request, timeout):
        asked.append((request.full_url, timeout))
        answer = io.BytesIO(b"whole")
        answer.url, answer.headers = request.full_url.replace("https:", "http:"), {}
        return answer

    monkeypatch.setattr(shd, "urlopen", urlopen)
    md5 = dict.fromkeys(shd.MD5, hashlib.md5(b"whole").hexdigest())
    with pytest.raises(InputError, match="redirected to http://.* which is not https"):
        shd.download("shd", tmp_path, md5=md5)
    assert [url.startswith("https://") for url, _ in asked] == [True] * len(shd.MIRRORS) and asked[0][1] == shd.PATIENCE
    assert list(tmp_path.iterdir()) == []


def test_files_that_have_changed_are_read_again(folder, tmp_path):
    """In one process: what is kept of a reading belongs to the contents of the folder, not to its name."""
    for name in set(shd.FILES["shd"].values()):
        shutil.copy(folder / name, tmp_path)
    before, minimum = speech.load("shd", "test", str(tmp_path)), speech.minimum("shd", str(tmp_path))
    assert speech.load("shd", "test", str(tmp_path)) is before
    assert speech.minimum("shd", str(tmp_path)) is minimum
    run = SpeechRun("shd", "norm", "no_delays", 0, Settings(60.0, 1.0, 2e-3), 1, 100, (8, 8))
    drawn = part_of(run, "test", str(tmp_path))
    assert part_of(run, "test", str(tmp_path)) is drawn
    write_like("shd_test.h5", tmp_path, seed=99)
    assert not np.array_equal(speech.load("shd", "test", str(tmp_path)).bins, before.bins)
    assert not np.array_equal(part_of(run, "test", str(tmp_path)).bins, drawn.bins)
    write_like("shd_train.h5", tmp_path, seed=98)
    assert speech.minimum("shd", str(tmp_path)) is not minimum  # here every file has the same minima


@pytest.mark.parametrize("data", ["shd", "ssc"])
def test_results_are_named_by_the_files_that_were_read(folder, tmp_path, data):
    """Same files elsewhere, even zipped: the same key. One other file: another. A file changed in place: another."""
    run = SpeechRun(data, "norm", "no_delays", 0, Settings(60.0, 1.0, 2e-3), 1, 100, (8, 8))
    copy, other = tmp_path / "copy", tmp_path / "other"
    for place in (copy, other):
        place.mkdir()
    for name in set(shd.FILES[data].values()):
        shutil.copy(folder / name, other)
        (copy / f"{name}.zip").write_bytes(zipped(folder / name, name))
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
