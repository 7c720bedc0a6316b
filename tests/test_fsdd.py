"""Human digits: every recording checked, speakers held out whole, an interrupted conversion goes on."""

import hashlib
import io
import os
import zipfile

import numpy as np
import pytest
import soundfile

from lib.data import fsdd
from lib.errors import InputError


def recording(seed: int) -> bytes:
    """A short noise as the bytes of an 8 kHz wav."""
    buffer = io.BytesIO()
    sound = np.random.default_rng(seed).standard_normal(1600) * 0.1
    soundfile.write(buffer, sound, 8000, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


@pytest.fixture
def archive(tmp_path):
    """A tiny data set of the true layout: 2 digits x 6 speakers, its zip and its manifest."""
    sounds = {
        f"{d}_{s}_{i}.wav": recording(10 * k + d) for k, s in enumerate(fsdd.SPEAKERS) for d in (0, 7) for i in (0,)
    }
    manifest = tmp_path / "tiny.sha256"
    manifest.write_text("".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sounds.items()))
    path = tmp_path / "tiny.zip"
    write_zip(path, sounds)
    return path, manifest, sounds


def write_zip(path, sounds):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("some-folder/README.md", "not a recording")
        for name, data in sounds.items():
            file.writestr(f"some-folder/recordings/{name}", data)


def test_folder_and_zip_give_the_same_files(archive, tmp_path):
    """Recordings are found by name in a zip or a folder, whatever folder they lie in; nothing is unpacked."""
    path, manifest, sounds = archive
    before = sorted(tmp_path.iterdir())
    assert fsdd.read_files(path, manifest) == sounds
    assert sorted(tmp_path.iterdir()) == before
    for name, data in sounds.items():
        (tmp_path / "deep" / "recordings").mkdir(parents=True, exist_ok=True)
        (tmp_path / "deep" / "recordings" / name).write_bytes(data)
    assert fsdd.read_files(tmp_path / "deep", manifest) == sounds


def test_missing_and_altered_recordings_are_named(archive):
    """One line that says how many and which, and where to get them."""
    path, manifest, sounds = archive
    write_zip(path, {name: data for name, data in sounds.items() if not name.startswith("7_theo")})
    with pytest.raises(InputError, match=r"1 recordings are missing \(7_theo_0.wav\); get them from"):
        fsdd.read_files(path, manifest)
    write_zip(path, sounds | {"0_lucas_0.wav": recording(99)})
    with pytest.raises(InputError, match=r"1 recordings were altered \(0_lucas_0.wav\)"):
        fsdd.read_files(path, manifest)


def test_what_is_no_archive_is_refused(archive, tmp_path):
    """A truncated zip, another file, nothing at all: one line."""
    path, manifest, _ = archive
    path.write_bytes(path.read_bytes()[:-40])
    for bad in (path, manifest, tmp_path / "none"):
        with pytest.raises(InputError, match="neither a folder nor a zip") as error:
            fsdd.read_files(bad, manifest)
        assert "\n" not in str(error.value)


def test_an_interrupted_conversion_goes_on(archive, tmp_path, monkeypatch):
    """Finished speakers are not converted again; the result is the same; then the recordings are not needed."""
    path, manifest, sounds = archive
    calls = []

    def encode(name, data):
        calls.append(name)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return np.array([0.1 * len(name), 0.5]), np.array([int(name[0]), 699], np.uint16)

    monkeypatch.setattr(fsdd, "_encode", encode)
    with pytest.raises(KeyboardInterrupt):
        fsdd.fsdd_events(path, tmp_path / "cache", jobs=1, manifest=manifest)
    events = fsdd.fsdd_events(path, tmp_path / "cache", jobs=1, manifest=manifest)
    assert len(calls) == 5 + 8 and len(events) == 12
    assert events.speakers.tolist() == sorted(list(range(6)) * 2) and events.labels.tolist() == [0, 7] * 6
    path.unlink()
    again = fsdd.fsdd_events(path, tmp_path / "cache", jobs=1, manifest=manifest)
    assert (again.times == events.times).all() and len(calls) == 13


def test_a_file_killed_before_its_checksum_is_guarded_later(archive, tmp_path):
    """The process was killed between a speaker's spikes and their checksum: the next call notes it, a later one sees
    that the file has changed."""
    path, manifest, _ = archive
    whole = fsdd.fsdd_events(path, tmp_path / "cache", jobs=1, manifest=manifest)
    note = next((tmp_path / "cache").rglob("*.sha256"))
    text, spikes = note.read_text(), note.with_suffix("")
    note.unlink()
    fsdd.fsdd_events(path, tmp_path / "cache", jobs=1, manifest=manifest)
    assert note.read_text() == text
    spikes.write_bytes(spikes.read_bytes()[:-1])
    with pytest.warns(UserWarning, match="damaged"):
        again = fsdd.fsdd_events(path, tmp_path / "cache", jobs=1, manifest=manifest)
    assert (again.times == whole.times).all()


def test_a_recording_s_spikes_do_not_depend_on_its_neighbours(archive):
    """Each recording has its own seed, made of its name."""
    _, _, sounds = archive
    name = "7_lucas_0.wav"
    one, two = fsdd._encode(name, sounds[name]), fsdd._encode(name, sounds[name])
    assert len(one[0]) > 0 and (one[0] == two[0]).all() and (one[1] == two[1]).all()
    other = fsdd._encode("7_lucas_1.wav", sounds[name])
    assert len(other[0]) != len(one[0]) or (other[0] != one[0]).any()


def test_speakers_are_held_out_whole():
    """Six speakers, each in exactly one part; the manifest lists 50 recordings a digit and speaker."""
    assert sorted(sum(fsdd.SPEAKERS_OF_PART.values(), ())) == list(fsdd.SPEAKERS)
    order = np.random.default_rng(0).permutation(6)
    drawn = [fsdd.SPEAKERS[i] for i in order]
    assert [set(part) for part in fsdd.SPEAKERS_OF_PART.values()] == [set(drawn[:3]), set(drawn[3:4]), set(drawn[4:])]
    names = fsdd.read_manifest()
    assert len(names) == 3000
    assert {fsdd._parts(name) for name in names} == {
        (d, s, i) for d in range(10) for s in fsdd.SPEAKERS for i in range(50)
    }


@pytest.mark.skipif("BRC_FSDD" not in os.environ, reason="BRC_FSDD does not name the folder or zip of the recordings")
def test_the_real_recordings_match_the_manifest():
    """All 3,000 recordings have the committed checksums."""
    assert len(fsdd.read_files(os.environ["BRC_FSDD"])) == 3000
