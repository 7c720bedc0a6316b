"""The data that come with the code: whole, checked, and what binning the generated events gives."""

import subprocess
import sys

import numpy as np
import pytest
from samples import random_binned

from lib.data import digits, shipped, speech
from lib.data.events import BIN_WIDTH_PAPER, bin_events, read_shd
from lib.errors import InputError
from lib.files import sha256_of


def test_packing_is_lossless(tmp_path):
    """Every spike, label and speaker comes back, in the order that `Binned` promises."""
    data = random_binned(seed=0, n_samples=7, n_units=13, rate=0.3, n_bins=11, empty=(2,))
    shipped.pack(tmp_path / "part.npz", data)
    back = shipped.unpack(tmp_path / "part.npz")
    for name in ("bins", "units", "offsets", "labels", "speakers"):
        assert (getattr(back, name) == getattr(data, name)).all(), name
    assert (back.n_bins, back.n_units) == (11, 13)


@pytest.fixture(scope="module")
def parts():
    return {part: shipped.read(part) for part in speech.PARTS}


def test_the_shipped_set_is_what_its_card_says(parts):
    """4,800 utterances: 16 voices x 20 classes x 15; 10 / 2 / 4 voices, none in two parts; bins of 14.14 ms."""
    voices = {part: set(data.speakers.tolist()) for part, data in parts.items()}
    assert {part: len(v) for part, v in voices.items()} == {"train": 10, "validation": 2, "test": 4}
    assert set.union(*voices.values()) == set(range(16))
    assert voices == {part: set(v) for part, v in digits.voices_of_part().items()}
    for data in parts.values():
        cells = np.unique(data.speakers * 20 + data.labels, return_counts=True)[1]
        assert (cells == 15).all() and data.bin_width == BIN_WIDTH_PAPER and data.keys == digits.CLASSES
    assert sum(len(data) for data in parts.values()) == 4800


def test_every_class_survives_in_every_part():
    """At most 15 % of a part and a third of a class are left out of norm; each class keeps 20 test samples."""
    for part in speech.PARTS:
        kept, dropped = speech.eligible("digits", part)
        per_class = np.bincount(kept.labels, minlength=20)
        assert dropped.share <= 0.15
        assert (dropped.by_class <= (dropped.by_class + per_class) / 3).all()
        if part == "test":
            assert per_class.min() >= 20


def test_regenerated_voice_gives_the_shipped_bins(parts, tmp_path):
    """A fresh process speaks and hears a voice's first words again: the shipped spikes, all but a few in a thousand.

    The same machine gives them exactly; another one may round a Bessel function or a sine in the last digit.
    """
    data = parts["train"]
    voice = int(data.speakers[0])
    shown = np.flatnonzero(data.speakers == voice)[:4]
    code = (
        "import itertools, sys\nfrom lib.data import digits\nfrom lib.data.events import Events, write_shd\n"
        f"made = list(itertools.islice(digits.utterances_of_voice({voice}), {len(shown)}))\n"
        "labels, _, _, trains = zip(*made)\n"
        f"write_shd(sys.argv[1], Events.from_list(trains, labels, [{voice}] * len(labels), digits.CLASSES))"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "again.h5")], check=True)
    again = bin_events(read_shd(tmp_path / "again.h5"), BIN_WIDTH_PAPER, data.n_bins)[0]
    assert (again.labels == data.labels[shown]).all()
    ours, theirs = again.dense(np.arange(len(shown))), data.dense(shown)
    assert (ours != theirs).sum() <= 0.01 * theirs.sum()


def test_a_damaged_file_is_refused(tmp_path):
    """A changed byte or a missing file is an InputError with the remedy; nothing is guessed."""
    data = random_binned(seed=1, n_samples=3, n_units=5, rate=0.3)
    shipped.pack(tmp_path / "test.npz", data)
    (tmp_path / shipped.CHECKSUMS).write_text(f"{sha256_of(tmp_path / 'test.npz')}  test.npz\n")
    assert len(shipped.read("test", tmp_path)) == 3
    path = tmp_path / "test.npz"
    path.write_bytes(path.read_bytes()[:-3] + b"abc")
    with pytest.raises(InputError, match="checksum differs; restore it"):
        shipped.read("test", tmp_path)
    path.unlink()
    with pytest.raises(InputError, match="missing; restore it"):
        shipped.read("test", tmp_path)


def test_sounds_to_listen_to(parts):
    """Forty of the very recordings, twenty classes of two voices, in less than a megabyte."""
    soundfile = pytest.importorskip("soundfile")
    files = sorted((shipped.FOLDER / "audio").glob("*.flac"))
    assert len(files) == 40 and sum(file.stat().st_size for file in files) < 1_000_000
    sound, rate = soundfile.read(files[0])
    assert rate == 22_050 and 0.3 < len(sound) / rate < 1.5 and 0.85 < abs(sound).max() <= 0.91
