"""Synthetic spoken digits: repeatable, resumable, sixteen different voices."""

import os
import subprocess
import sys

import numpy as np
import pytest

from lib.data import digits
from lib.data.espeak import Speaker
from lib.data.events import Events, read_shd, write_shd


def test_a_fresh_process_repeats_exactly():
    """The same words in the same order in two fresh processes give the same bytes of sound."""
    code = (
        "import hashlib\nfrom lib.data import digits\nspeaker = digits.Speaker()\n"
        "sounds = [digits.utterance(speaker, v, l, 0)[0].tobytes() for v, l in ((3, 0), (3, 18), (8, 7))]\n"
        "print(hashlib.sha256(b''.join(sounds)).hexdigest())"
    )
    hashes = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    }
    assert len(hashes) == 1 and len(hashes.pop()) == 65


def test_utterances_differ():
    """Repetitions, words and voices of a data set are different sounds; each fills the 16-bit range to 0.9."""
    speaker = Speaker()
    sounds = [digits.utterance(speaker, *which)[0] for which in ((0, 3, 0), (0, 3, 1), (0, 13, 0), (5, 3, 0))]
    assert len({sound.tobytes() for sound in sounds}) == 4
    assert all(sound.dtype == np.int16 and abs(sound).max() == round(0.9 * 32767) for sound in sounds)


def test_a_later_attempt_is_slower():
    """A word that was too short is spoken again more slowly."""
    speaker = Speaker()
    lengths = [np.mean([len(digits.utterance(speaker, 2, 18, r, attempt)[0]) for r in range(6)]) for attempt in (0, 4)]
    assert lengths[1] > 1.2 * lengths[0]


def test_voices_are_split_once_and_for_all():
    """Ten voices train, two validate, four test; the split is a constant."""
    split = digits.voices_of_part()
    assert {part: len(voices) for part, voices in split.items()} == {"train": 10, "validation": 2, "test": 4}
    assert sorted(sum(split.values(), ())) == list(range(16))
    assert split == digits.voices_of_part()


def test_an_unknown_voice_is_an_error():
    """eSpeak NG's refusal of a voice is not passed over."""
    with pytest.raises(ValueError, match="no voice"):
        Speaker().say("one", "martian+m1", 100, 50, 50, 1)


@pytest.fixture
def quick_voices(monkeypatch, tmp_path):
    """Replace the work of a voice's process by a stub that records the call; 16 voices take no time."""
    made = []

    def run_voice(voice, path, bar, lock):
        made.append(voice)
        labels = list(range(20))
        trains = [([0.1 * voice + 0.001 * label], [label]) for label in labels]
        write_shd(path, Events.from_list(trains, labels, [voice] * 20, digits.CLASSES))

    monkeypatch.setattr(digits, "_run_voice", run_voice)
    return made


def test_finished_voices_are_not_made_again(tmp_path, quick_voices):
    """After an interruption only the missing voices are made; the parts hold the right voices."""
    digits.generate(tmp_path, jobs=2)
    assert sorted(quick_voices) == list(range(16))
    (tmp_path / "voice-04.h5").unlink()
    (tmp_path / "voice-11.h5").unlink()
    paths = digits.generate(tmp_path, jobs=1)
    assert sorted(quick_voices[16:]) == [4, 11]
    for part, voices in digits.voices_of_part().items():
        events = read_shd(paths[part])
        assert set(events.speakers.tolist()) == set(voices) and len(events) == 20 * len(voices)
    digits.generate(tmp_path, jobs=1)
    assert len(quick_voices) == 18


def test_a_killed_voice_leaves_nothing_half_written(tmp_path):
    """A voice's process killed in mid-work leaves no event file, so that the voice is made again."""
    target = tmp_path / "voice-00.h5"
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    job = subprocess.Popen(
        [sys.executable, "-m", "lib.data.digits", "0", str(target)], stdout=subprocess.PIPE, env=environment
    )
    job.stdout.readline()  # one utterance is done
    job.kill()
    job.wait()
    assert list(tmp_path.iterdir()) == []
