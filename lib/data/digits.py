"""Synthetic spoken digits: the offline data set, built the way SHD was built.

Twenty classes (the digits 0 to 9 in English and in German), sixteen voices that each speak both languages,
fifteen utterances a class and voice: 4,800 in all. eSpeak NG speaks, `lib.data.cochlea` hears. The data set
has SHD's classes, file layout and number of units, and the phenomena of speech that the paper relies on; it
is not SHD and is always called *synthetic spoken digits*.

SHD: Cramer, Stradmann, Schemmel, Zenke 2022, IEEE Trans. Neural Netw. Learn. Syst. 33(7), 2744-2757.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import joblib
import numpy as np

from ..errors import InputError
from ..files import is_intact, note_checksum
from ..progress import progress
from .espeak import Speaker
from .events import BIN_WIDTH_PAPER, N_UNITS, Events, concatenate, read_shd, write_shd

ENGLISH = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
GERMAN = ("null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun")
CLASSES = ENGLISH + GERMAN
N_REPETITIONS = 15
VERSION = 1  # part of the cache's name: raise it whenever the sound or the cochlea changes
SEED = 0  # of every utterance
# Of the split. The next seed would be taken if a part lost more than 15 % of its samples to the minimum counts,
# a class more than a third of its own, or a class had fewer than 20 test samples left (tests/test_shipped.py)
SPLIT_SEED = 0

# A word too short to drive the units that speech drives best at least twice would be lost for the rate-free variant.
# It is spoken again, slower, as a speaker asked to repeat himself would; the rule looks at no label.
CORE_UNITS = slice(380, 640)  # best frequencies of about 1.1 kHz down to 150 Hz
CORE_BINS = 2  # bins of 14.14 ms in which each of them must fire
N_ATTEMPTS, SLOWER = 6, 0.9
SLOW_WORDS = {
    "two": 0.9, "eight": 0.85, "three": 0.78, "acht": 0.65, "drei": 0.85, "vier": 0.72, "fünf": 0.9, "null": 0.9
}  # fmt: skip


@dataclass(frozen=True)
class Voice:
    """One synthetic speaker."""

    variant: str  # eSpeak NG voice variant: the glottal source and the formant pattern
    english: str  # eSpeak NG's English accent; German has one accent, "de"
    rate: int  # words per minute; slow, as digits are when read one by one
    pitch: int  # 0 to 100
    pitch_range: int  # 0 to 100
    tract: float  # playback speed: > 1 shortens the vocal tract (higher formants), < 1 lengthens it
    tilt: float  # spectral tilt, dB per octave


VOICES = (
    Voice("m1", "en", 110, 42, 40, 0.95, -1.0),
    Voice("f1", "en-us", 117, 55, 55, 1.02, 0.5),
    Voice("m2", "en-gb-x-rp", 104, 35, 35, 1.00, 0.0),
    Voice("f2", "en-gb-scotland", 112, 60, 50, 1.05, -0.5),
    Voice("m3", "en-us", 119, 50, 60, 0.97, 1.0),
    Voice("f3", "en-029", 106, 52, 45, 0.98, 0.0),
    Voice("m4", "en-gb-x-gbclan", 114, 40, 55, 1.03, -0.5),
    Voice("f4", "en-gb-x-rp", 116, 48, 60, 1.08, 0.5),
    Voice("m7", "en-029", 102, 46, 50, 0.93, 0.5),
    Voice("f5", "en", 106, 50, 40, 1.00, 1.0),
    Voice("m8", "en-gb-scotland", 111, 38, 45, 1.05, 0.0),
    Voice("Annie", "en-us", 106, 50, 50, 1.00, -1.0),
    Voice("Andy", "en-gb-x-gbcwmd", 140, 45, 45, 0.96, -0.5),
    Voice("linda", "en-us-nyc", 112, 40, 55, 1.00, 0.5),
    Voice("m6", "en-us-nyc", 105, 54, 35, 1.00, 1.0),
    Voice("steph", "en-gb-x-gbclan", 106, 44, 50, 0.97, 0.5),
)


def voices_of_part(seed: int = SPLIT_SEED) -> dict[str, tuple[int, ...]]:
    """Which voices train (10), validate (2) and test (4): drawn once, before any network was trained."""
    order = np.random.default_rng(seed).permutation(len(VOICES))
    parts = {"train": order[:10], "validation": order[10:12], "test": order[12:]}
    return {part: tuple(sorted(int(v) for v in voices)) for part, voices in parts.items()}


def cache_dir() -> Path:
    """Where generated event files are kept: `$BRC_CACHE`, else `~/.cache/beyond-rate-coding`."""
    return Path(os.environ.get("BRC_CACHE") or Path.home() / ".cache" / "beyond-rate-coding")


def event_folder() -> Path:
    """Where `generate` puts the event files, unless it is told otherwise."""
    return cache_dir() / f"digits-v{VERSION}"


def utterance(speaker: Speaker, voice: int, label: int, repetition: int, attempt: int = 0) -> tuple[np.ndarray, int]:
    """Speak one word once.

    Rate (x 0.82 to 1.22), pitch, pitch range, intonation, a slow drift of speed, a mild equaliser and a
    noise floor (28 to 45 dB below the speech) vary from one utterance to the next.

    Args:
        speaker: the engine of this process.
        voice: index into `VOICES`.
        label: index into `CLASSES`.
        repetition: 0 to `N_REPETITIONS` - 1.
        attempt: how often it was spoken before and found too short.

    Returns:
        The sound as int16 (the audio data set itself), and the seed of its auditory nerve.
    """
    who, word = VOICES[voice], CLASSES[label]
    rng = np.random.default_rng([SEED, voice, label, repetition, attempt])
    language = who.english if label < len(ENGLISH) else "de"
    rate = who.rate * SLOW_WORDS.get(word, 1.0) * SLOWER**attempt * rng.uniform(0.82, 1.22)
    pitch = np.clip(who.pitch + rng.normal(0, 5), 0, 99)
    pitch_range = np.clip(who.pitch_range + rng.normal(0, 10), 0, 99)
    text = word + rng.choice([".", "!", "?", ","])
    breath = int(rng.integers(1, 2**31))
    sound = speaker.say(
        text, f"{language}+{who.variant}", round(max(rate, 80)), round(pitch), round(pitch_range), breath
    )
    sound = _trim(sound / 32768.0, speaker.sample_rate)
    if rate < 80:  # eSpeak NG speaks no slower; the rest is stretched below
        sound = _warp(sound, np.full(len(sound), rate / 80))
    time = np.arange(len(sound)) / speaker.sample_rate
    drift = 0.06 * np.sin(2 * np.pi * (rng.uniform(0.5, 1.5) * time + rng.random()))
    sound = _equalise(_warp(sound, who.tract * (1 + drift)), speaker.sample_rate, who.tilt, rng)
    noise = rng.standard_normal(len(sound)) * np.sqrt(np.mean(sound**2)) * 10 ** (-rng.uniform(28, 45) / 20)
    sound = sound + noise
    return np.round(sound * (0.9 * 32767 / np.abs(sound).max())).astype(np.int16), int(rng.integers(2**31))


def _trim(sound: np.ndarray, sample_rate: int, floor: float = 0.005, margin: float = 0.02) -> np.ndarray:
    """Cut silence (below `floor` of the peak) at both ends, leaving `margin` seconds."""
    loud = np.flatnonzero(np.abs(sound) > floor * np.abs(sound).max())
    edge = round(margin * sample_rate)
    return sound[max(loud[0] - edge, 0) : loud[-1] + edge]


def _warp(sound: np.ndarray, speed: np.ndarray) -> np.ndarray:
    """Play `sound` at a speed that changes along it (resampling: pitch and formants move along)."""
    from scipy.interpolate import CubicSpline  # only here, as the cochlea below: they take a second to import

    reached = np.concatenate([[0.0], np.cumsum(1 / speed[:-1])])  # output time of each input sample
    source = np.interp(np.arange(int(reached[-1])), reached, np.arange(len(sound)))
    return CubicSpline(np.arange(len(sound)), sound)(source)


def _equalise(sound: np.ndarray, sample_rate: int, tilt: float, rng: np.random.Generator) -> np.ndarray:
    """Filter with a voice's spectral tilt (dB per octave) and a smooth random gain of 2 dB s.d. (the microphone)."""
    frequency = np.fft.rfftfreq(len(sound), 1 / sample_rate)
    octave = np.log2(np.maximum(frequency, 60) / 1000)
    knots = np.linspace(-4, 3.5, 7)
    gain = tilt * octave + np.interp(octave, knots, rng.normal(0, 2, len(knots)))
    return np.fft.irfft(np.fft.rfft(sound) * 10 ** (gain / 20), len(sound))


def utterances_of_voice(voice: int) -> Iterator[tuple[int, np.ndarray, int, tuple[np.ndarray, np.ndarray]]]:
    """Yield label, sound (int16), its sample rate, Hz, and its spikes, for one voice, in the data set's order.

    Must run in a fresh process to repeat exactly (`lib.data.espeak`).
    """
    from .cochlea import sound_to_spikes

    speaker = Speaker()
    for repetition in range(N_REPETITIONS):
        for label in range(len(CLASSES)):
            for attempt in range(N_ATTEMPTS):
                sound, seed = utterance(speaker, voice, label, repetition, attempt)
                times, units = sound_to_spikes(sound / 32768.0, speaker.sample_rate, seed)
                if _long_enough(times, units):
                    break
            yield label, sound, speaker.sample_rate, (times, units)


def _long_enough(times: np.ndarray, units: np.ndarray) -> bool:
    """Whether each of the core units fires in enough different bins."""
    cells = np.unique(units.astype(np.int64) * 10_000 + (times / BIN_WIDTH_PAPER).astype(np.int64))
    return bool((np.bincount(cells // 10_000, minlength=N_UNITS)[CORE_UNITS] >= CORE_BINS).all())


def generate_voice(voice: int, path: Path) -> None:
    """Make one voice's event file; prints a line an utterance, by which the parent counts."""
    trains, labels = [], []
    for label, _, _, train in utterances_of_voice(voice):
        trains.append(train)
        labels.append(label)
        print(voice, flush=True)
    write_shd(path, Events.from_list(trains, labels, [voice] * len(labels), CLASSES))
    note_checksum(path)


def generate(output: Path | None = None, jobs: int | None = None) -> dict[str, Path]:
    """Make the event files of all voices, then one file a part, in SHD's layout.

    One fresh process a voice, `jobs` at a time. A voice that is finished is never made again, unless its file has
    changed since; an interrupted voice starts over.

    Args:
        output: folder; default `event_folder()`.
        jobs: processes at a time; default one a core.

    Returns:
        Path of each part's file: "train", "validation", "test".
    """
    output = Path(output or event_folder())
    output.mkdir(parents=True, exist_ok=True)
    files = [output / f"voice-{voice:02d}.h5" for voice in range(len(VOICES))]
    missing = [voice for voice, file in enumerate(files) if not is_intact(file)]
    jobs = jobs or joblib.cpu_count()
    total = len(missing) * len(CLASSES) * N_REPETITIONS
    with progress(total, "synthetic spoken digits", "utterance") as bar, ThreadPoolExecutor(jobs) as pool:
        lock = threading.Lock()
        list(pool.map(lambda voice: _run_voice(voice, files[voice], bar, lock), missing))
    paths = {}
    for part, voices in voices_of_part().items():
        paths[part] = output / f"digits_{part}.h5"
        if missing or not is_intact(paths[part]):
            write_shd(paths[part], concatenate([read_shd(files[voice]) for voice in voices]))
            note_checksum(paths[part])
    return paths


def _run_voice(voice: int, path: Path, bar, lock: threading.Lock) -> None:
    """Run `generate_voice` in a fresh process and pass its progress on."""
    command = [sys.executable, "-m", __name__, str(voice), str(path)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as job:
        for _ in job.stdout:
            with lock:
                bar.update(1)
        error = job.stderr.read()
    if job.returncode != 0:
        raise RuntimeError(
            f"voice {voice} could not be made: {error.strip().splitlines()[-1] if error else job.returncode}"
        )


def generate_command(output: str | None, jobs: int | None) -> None:
    """`python -m lib data digits`."""
    if jobs is not None and jobs < 1:
        raise InputError(f"--jobs: {jobs} is not a number of processes; give 1 or more")
    for part, path in generate(Path(output) if output else None, jobs).items():
        print(f"{part}: {path}")


if __name__ == "__main__":
    generate_voice(int(sys.argv[1]), Path(sys.argv[2]))
