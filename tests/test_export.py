"""Exported data sets: what is read back is what the notebooks train on, whole or not there."""

import hashlib
import json

import h5py
import matplotlib.pyplot as plt
import numpy as np
import pytest
from samples import random_binned
from test_shd import write_like
from tonic.datasets import SHD

from lib import figures
from lib.__main__ import _seconds, main
from lib.data import as_published, export, shd, speech
from lib.data.audit import audit_file
from lib.data.events import bin_events, read_shd
from lib.data.variants import keep_enough, make_variant, minimum_counts
from lib.errors import InputError

VARIANTS = ("whole", "part", "norm", "norm_aligned")


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Files in SHD's layout; more than one batch and one chunk each."""
    folder = tmp_path_factory.mktemp("source")
    for seed, name in enumerate(("shd_train.h5", "shd_test.h5")):
        write_like(name, folder, n=300, seed=seed)
    return folder


@pytest.fixture(scope="module")
def exported(source, tmp_path_factory):
    """All variants of it, by the strict protocol."""
    return export.export("shd", VARIANTS, tmp_path_factory.mktemp("out") / "timing", str(source))


def spikes(path):
    """The file, binned again."""
    return bin_events(read_shd(path), speech.BIN_WIDTH_PAPER)[0]


@pytest.mark.parametrize("part", speech.PARTS)
def test_strict_export_is_the_construction_in_memory(source, exported, part):
    """Every variant and part: same bins, units, labels, speakers as without files; the same samples in all."""
    minimum = minimum_counts(speech.load("shd", "train", str(source)))
    kept, _ = keep_enough(speech.load("shd", part, str(source)), minimum)
    seeds = [0, speech.PARTS.index(part), 0]
    for variant in VARIANTS:
        expected = make_variant(variant, kept, minimum, np.random.default_rng(seeds))
        path = exported / f"shd_{variant}_{part}.h5"
        read = spikes(path)
        for name in ("bins", "units", "offsets", "labels", "speakers", "keys"):
            assert np.array_equal(getattr(read, name), getattr(expected, name)), (variant, name)
        with h5py.File(path) as file:
            assert np.array_equal(file["extra/unit_map"], minimum.units if variant != "whole" else np.arange(700))
            original, labels = file["extra/original_sample"][:], file["labels"][:]
            told = {name: file.attrs[name] for name in ("data", "variant", "part", "protocol", "seed")}
            merged = file.attrs["merged_by_binning"]
        assert told == {"data": "shd", "variant": variant, "part": part, "protocol": "strict", "seed": 0}
        assert read.n_units == expected.n_units
        whole_file = read_shd(source / shd.FILES["shd"][part]).select(original)
        units = np.arange(700) if variant == "whole" else minimum.units
        assert np.array_equal(whole_file.labels, labels)
        assert merged == np.isin(whole_file.units, units).sum() - kept.counts()[:, units].sum()


def test_checksums_card_and_record_tell_all(exported):
    """Every file is listed with its SHA-256; the card names source, licence, files and probes; no scratch is left."""
    lines = (exported / "checksums.sha256").read_text().splitlines()
    listed = dict(reversed(line.split("  ")) for line in lines)
    assert set(listed) == {path.name for path in exported.iterdir()} - {"checksums.sha256"}
    assert all(hashlib.sha256((exported / name).read_bytes()).hexdigest() == found for name, found in listed.items())
    text = (exported / "README.md").read_text()
    for said in (
        "Cramer", "CC BY 4.0", "shd_norm_test.h5", "total count", "protocol *strict*, seed 0", "test: 0 of 300",
        "3 word 3", "test: 5 voices; 180 of 300 samples are of voices that training has heard",
    ):  # fmt: skip
        assert said in text
    assert json.loads((exported / "export.json").read_text())["variants"] == list(VARIANTS)
    assert [path.name for path in exported.parent.iterdir()] == ["timing"]


def test_tonic_reads_an_exported_file(exported, tmp_path):
    """tonic's SHD, given the file under its own name, has the same events."""
    (tmp_path / "SHD").mkdir()
    (tmp_path / "SHD" / "shd_train.h5").write_bytes((exported / "shd_norm_train.h5").read_bytes())
    (tmp_path / "SHD" / "shd_train.h5.zip").write_bytes(b"")  # tonic looks for the download
    theirs, ours = SHD(tmp_path, train=True), read_shd(exported / "shd_norm_train.h5")
    events, label = theirs[5]
    times, units = ours[5]
    assert len(theirs) == len(ours) and label == ours.labels[5] and np.array_equal(events["x"], units)
    assert np.abs(events["t"] - 1e6 * times).max() <= 1


def test_published_protocol_is_exported_as_made_in_memory(source, tmp_path, monkeypatch):
    """The authors' parts: same bins in the same order, with no claim to know the original sample."""
    monkeypatch.setattr(export.audit, "audit", lambda *_: [])  # slow, and seen elsewhere
    folder = export.export("shd", VARIANTS[:3], tmp_path / "paper", str(source), protocol="paper", seed=3)
    whole = as_published.whole(as_published.batches("shd", source))
    part, norm = as_published.part_and_norm(whole, as_published.RULES["shd"], 3)
    for variant, made in zip(VARIANTS, (whole, part, norm), strict=False):
        for name in speech.PARTS:
            expected, path = as_published.split(made, name), folder / f"shd_{variant}_{name}.h5"
            read = spikes(path)
            assert np.array_equal(read.labels, expected.labels) and np.array_equal(read.units, expected.units)
            assert np.array_equal(read.bins, expected.bins - 1)  # the authors count bins from 1
            assert read.n_units == expected.n_units
            with h5py.File(path) as file:
                assert "original_sample" not in file["extra"] and "unit_map" not in file["extra"]
                assert file.attrs["source_samples"] == 600 and "merged_by_binning" not in file.attrs
    assert "of the 600 samples of the source" in (folder / "README.md").read_text()


def test_interrupted_export_goes_on_and_does_not_begin_again(source, exported, tmp_path, monkeypatch):
    """Cut after the first part, then called again: the first part is not made twice, all files are the same."""
    monkeypatch.setattr(export.audit, "audit", lambda *_: [])  # slow, and seen elsewhere
    made, write = [], export._write_part

    def cut(pieces, paths, *rest):
        if len(made) == 1:
            raise KeyboardInterrupt
        made.append(paths)
        write(pieces, paths, *rest)

    monkeypatch.setattr(export, "_write_part", cut)
    with pytest.raises(KeyboardInterrupt):
        export.export("shd", VARIANTS, tmp_path / "timing", str(source))
    assert not (tmp_path / "timing").exists()
    left = {path.name: path.stat().st_mtime_ns for path in (tmp_path / ".timing-partial").glob("*.h5")}
    assert len(left) == len(VARIANTS)
    (tmp_path / ".timing-partial" / ".shd_norm_train-x.h5").write_bytes(b"half")  # as a killed process leaves
    with pytest.raises(InputError, match="left by an export with other arguments"):
        export.export("shd", VARIANTS, tmp_path / "timing", str(source), seed=1)
    monkeypatch.setattr(export, "_write_part", write)
    again = export.export("shd", VARIANTS, tmp_path / "timing", str(source))
    assert all((again / name).stat().st_mtime_ns == when for name, when in left.items())
    for path in again.glob("*.h5"):
        read, expected = spikes(path), spikes(exported / path.name)
        assert np.array_equal(read.bins, expected.bins) and np.array_equal(read.labels, expected.labels)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"protocol": "loose"}, "choose from strict, paper"),
        ({"variants": ("half",)}, "choose from strict, paper and whole, part, norm, norm_aligned"),
        ({"variants": ()}, "choose from"),
        ({"protocol": "paper", "variants": ("norm_aligned",)}, "whole, part and norm, at 14.14 ms"),
        ({"protocol": "paper", "data": "digits"}, "of shd and ssc"),
        ({"protocol": "paper", "bin_width": 0.01}, "at 14.14 ms"),
        ({"bin_width": 0.0}, "--bin-width-ms"),
        ({"bin_width": 1e-6}, "bins are too many"),
        ({"output": "/proc/x/y"}, "--output: /proc/x cannot be written"),
    ],
)
def test_what_cannot_be_exported_is_said(source, tmp_path, wrong, said):
    """One line, and nothing is made."""
    request = {"data": "shd", "variants": ("norm",), "output": tmp_path / "x", "data_dir": str(source)} | wrong
    with pytest.raises(InputError, match=said):
        export.export(**request)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_not_touched(exported):
    """Neither overwritten nor mixed."""
    with pytest.raises(InputError, match="exists; give a new folder"):
        export.export("shd", ("norm",), exported)


def test_audit_of_a_file_and_its_figure(exported, tmp_path, capsys):
    """From the command line: every feature is in the table, counts of norm sit at chance; the figure is written."""
    path = exported / "shd_norm_train.h5"
    assert main(["data", "audit", str(path), "--figure", str(tmp_path / "audit.png")]) == 0
    printed = capsys.readouterr().out
    records = audit_file(path)
    names = {row["feature"] for row in records}
    assert {"counts", "total count", "active set", "duration", "bin collisions"} <= names
    assert all(name in printed for name in names)
    assert all(row["accuracy"] == row["chance"] for row in records if row["feature"] in ("counts", "total count"))
    assert (tmp_path / "audit.png").stat().st_size > 10_000


def test_interrupted_published_export_goes_on(source, tmp_path, monkeypatch):
    """Cut while part is written: whole is not made again, and what comes out is what an uncut export gives."""
    monkeypatch.setattr(export.audit, "audit", lambda *_: [])
    begin = export._writing

    def cut(path, about):
        if about["variant"] == "part":
            raise KeyboardInterrupt
        return begin(path, about)

    monkeypatch.setattr(export, "_writing", cut)
    with pytest.raises(KeyboardInterrupt):
        export.export("shd", VARIANTS[:2], tmp_path / "paper", str(source), protocol="paper")
    left = {path.name: path.stat().st_mtime_ns for path in (tmp_path / ".paper-partial").glob("*.h5")}
    assert len(left) == 3
    monkeypatch.setattr(export, "_writing", begin)
    again = export.export("shd", VARIANTS[:2], tmp_path / "paper", str(source), protocol="paper")
    assert all((again / name).stat().st_mtime_ns == when for name, when in left.items())
    assert len(list(again.glob("*.h5"))) == 6


def test_aligned_words_last_as_long_whatever_the_bins(source, tmp_path, monkeypatch):
    """0.71 s in bins of 5 ms as in those of 14.14 ms."""
    monkeypatch.setattr(export.audit, "audit", lambda *_: [])
    folder = export.export("shd", ("norm_aligned",), tmp_path / "x", str(source), bin_width=0.005)
    events = read_shd(folder / "shd_norm_aligned_test.h5")
    assert events.times.min() == pytest.approx(0.0025) and events.times.max() == pytest.approx(0.707, abs=0.005)


def test_an_export_that_cannot_begin_leaves_nothing(tmp_path):
    """Too few samples for the authors' batches: said, and another command can use the name."""
    (tmp_path / "small").mkdir()
    for name in ("shd_train.h5", "shd_test.h5"):
        write_like(name, tmp_path / "small", n=60)
    with pytest.raises(InputError, match="none holds 256 samples"):
        export.export("shd", ("norm",), tmp_path / "x", str(tmp_path / "small"), protocol="paper")
    assert [path.name for path in tmp_path.iterdir()] == ["small"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["export", "digits", "--output", "x", "--bin-width-ms", "0"], "'0' is not a width"),
        (["audit", "digits", "--bin-width-ms", "5"], "--bin-width-ms: is of files"),
        (["audit", "FILE", "--variant", "norm"], "--variant: is of named data sets"),
        (["audit", "FILE", "--figure", "a.foo"], "end it with .png"),
        (["audit", "FOLDER"], "a folder; give one of its files"),
        (["export", "shd", "--data-dir", "FILE", "--output", "x"], "is a file; give the folder"),
    ],
)
def test_command_line_says_what_does_not_fit(exported, words, said, capsys):
    """One line, no work done."""
    places = {"FILE": str(exported / "shd_norm_train.h5"), "FOLDER": str(exported)}
    try:
        code = main(["data", *(places.get(word, word) for word in words)])
    except SystemExit as stopped:
        code = stopped.code
    error = capsys.readouterr().err
    assert code == 2 and said in error and error.count("\n") == 1


def test_the_papers_width_may_be_given_as_it_is_printed():
    """14.14 means 1,400 / 99."""
    assert _seconds(14.14) == _seconds(None) == speech.BIN_WIDTH_PAPER and _seconds(5) == 0.005


def test_figure_marks_leaks():
    """A probe is filled exactly where its interval lies above chance."""
    base = {"accuracy": 0.3, "low": 0.2, "high": 0.4, "chance": 0.05}
    rows = [
        {"feature": name, "probe": probe, "leak": leak} | base
        for name, leak in (("counts", True), ("duration", False))
        for probe in ("linear", "mlp")
    ]
    fig = figures.draw_audit({"whole": rows, "norm": rows[2:]})
    for ax, leaks in zip(fig.axes, (2, 0), strict=True):
        marks = [line for line in ax.lines if line.get_label() in ("linear", "mlp") and len(line.get_xdata())]
        assert sum(mark.get_markerfacecolor() != "white" for mark in marks) == leaks
    plt.close(fig)


def test_samples_keep_counts_and_order_by_time():
    """A binned sample as events is in order of time and loses nothing (lexsort as the reference)."""
    data = random_binned(3, n_samples=20, n_units=15, rate=0.3, empty=(4,))
    order = np.lexsort((data.bins, np.repeat(np.arange(20), np.diff(data.offsets))))
    events = data.events()
    assert np.array_equal(events.units, data.units[order])
    assert np.allclose(events.times, data.bins[order] * data.bin_width)
