"""The cochlea against the SHD authors' own converter, stage by stage, and on sounds with known answers."""

import numpy as np
import pytest

from lib.data import cochlea
from lib.errors import InputError

lauscher = pytest.importorskip("lauscher", reason="the oracle of the cochlea is not installed")
RATE = 48_000


@pytest.fixture(scope="module")
def stages():
    """A short noise through the first stages of the converter, at five places."""
    from lauscher.audiowaves import MonoAudioWave
    from lauscher.helpers import CommandLineArguments
    from lauscher.transformations import BasilarMembrane, HairCell, HanningWindow, RmsNormalizer

    CommandLineArguments().num_concurrent_jobs = 1
    sound = np.random.default_rng(0).standard_normal(6000) * np.linspace(0.1, 1, 6000)
    prepared = MonoAudioWave(sound.copy(), RATE).transform(RmsNormalizer(0.3)).transform(HanningWindow())
    samples = prepared.samples.copy()
    membrane = prepared.transform(BasilarMembrane(channels=5))
    return sound, samples, membrane.channels, membrane.transform(HairCell()).channels


def test_preparation_equals_the_converter(stages):
    """RMS normalisation and Hann window are the converter's."""
    sound, samples, _, _ = stages
    ours, rate = cochlea.prepare(sound, RATE, window="hann")
    assert rate == RATE
    np.testing.assert_allclose(ours, samples, atol=1e-12)


def test_membrane_equals_the_converter(stages):
    """Basilar membrane velocity: within 1e-5 of each place's largest."""
    _, samples, velocity, _ = stages
    ours = np.concatenate([v for _, v in cochlea.basilar_membrane(samples, RATE, 5, n_steps=len(samples) // 2 + 1)])
    assert (abs(ours - velocity).max(axis=1) <= 1e-5 * abs(velocity).max(axis=1)).all()


def test_hair_cell_equals_the_converter(stages):
    """Firing probability for the same velocity: within 1e-12."""
    _, _, velocity, probability = stages
    np.testing.assert_allclose(cochlea.hair_cell(velocity, RATE / 2), probability, rtol=1e-12)


def test_bushy_cell_equals_the_converter():
    """The same nerve spikes give the same bushy cell spikes, in rest and in bursts."""
    from lauscher.transformations import BushyCell

    rng = np.random.default_rng(1)
    for rate in (0.002, 0.01, 0.1):
        stimuli = (rng.random((3000, 40)) < rate).astype(float)
        theirs = np.flatnonzero(BushyCell()._lif(stimuli, RATE // 2))
        ours = cochlea.bushy_cell(stimuli.sum(axis=1).astype(np.uint8), RATE / 2)
        assert len(theirs) > 0 or rate == 0.002
        assert (ours == theirs).all()


def test_nerve_fibres_are_distributed_as_the_converter_s():
    """Mean and variance of 40 fibres' summed spikes, with dead time, agree with 40 separate fibres."""
    from lauscher.transformations import BushyCell

    probability = np.full(200, 0.02)
    np.random.seed(0)  # the converter has no other seed
    theirs = np.array([BushyCell()._sample(probability, RATE / 2).sum() for _ in range(1500)])
    rng = np.random.default_rng(0)
    ours = np.array([cochlea.nerve(probability, RATE / 2, rng).sum() for _ in range(1500)])
    error = np.sqrt(theirs.var() / 1500 + ours.var() / 1500)
    assert abs(theirs.mean() - ours.mean()) < 4 * error
    assert abs(np.log(theirs.var() / ours.var())) < 4 * np.sqrt(4 / 1500)


def test_nerve_follows_a_changing_probability():
    """Silent where the probability is 0, all fibres at once where it is 1, none while they rest."""
    probability = np.zeros(100)
    probability[50:60] = 1.0
    count = cochlea.nerve(probability, RATE / 2, np.random.default_rng(0))
    assert count[50] == 40 and count.sum() == 40


def test_whole_chain_spikes_as_often_as_the_converter():
    """Spike totals of a buzz (150 clicks a second, like a voice) agree within the error of their means over seeds."""
    from lauscher.audiowaves import MonoAudioWave
    from lauscher.transformations.wave2spike import Wave2Spike

    sound = (np.arange(9600) % 320 == 0).astype(float)
    np.random.seed(1)
    theirs = [MonoAudioWave(sound.copy(), RATE).transform(Wave2Spike(5)).spike_times.size for _ in range(6)]
    ours = [len(cochlea.sound_to_spikes(sound, RATE, seed, 5, "hann")[0]) for seed in range(100)]
    error = np.sqrt(np.var(theirs, ddof=1) / 6 + np.var(ours, ddof=1) / 100)
    assert np.mean(theirs) > 5
    assert abs(np.mean(theirs) - np.mean(ours)) < 4 * error + 0.02 * np.mean(theirs)


def tone(frequency, seconds=0.2):
    return np.sin(2 * np.pi * frequency * np.arange(int(seconds * RATE)) / RATE)


def test_high_tones_excite_low_unit_numbers():
    """Units run from high to low frequencies, and follow the frequency in order."""
    centres = [np.median(cochlea.sound_to_spikes(tone(f), RATE, 0, 100)[1]) for f in (300, 1000, 3000, 8000)]
    assert all(low > high for low, high in zip(centres, centres[1:], strict=False))


def test_same_seed_same_spikes():
    """The seed decides the nerve's spikes, and nothing else does."""
    one, two, other = (cochlea.sound_to_spikes(tone(500), RATE, seed, 40) for seed in (3, 3, 4))
    assert (one[0] == two[0]).all() and (one[1] == two[1]).all()
    assert len(one[0]) != len(other[0]) or (one[0] != other[0]).any()


def test_the_end_does_not_wrap_around():
    """A click at the end excites nothing at the beginning (the transform is circular, the sound is padded)."""
    sound = np.zeros(int(0.399 * RATE))
    sound[-2400:-2300] = 1
    prepared, _ = cochlea.prepare(sound, RATE)
    velocity = np.concatenate([v for _, v in cochlea.basilar_membrane(prepared, RATE, 20)])
    assert abs(velocity[:, :4000]).max() < 0.02 * abs(velocity).max()


def test_slower_recordings_are_resampled():
    """A tone recorded at 8 kHz excites the same place as at 48 kHz, for as long."""
    slow = np.sin(2 * np.pi * 500 * np.arange(1600) / 8000)
    a, b = cochlea.sound_to_spikes(slow, 8000, 0, 100), cochlea.sound_to_spikes(tone(500), RATE, 0, 100)
    assert abs(np.median(a[1]) - np.median(b[1])) <= 1
    assert a[0].max() == pytest.approx(b[0].max(), abs=0.01)


def test_ramps_are_30_ms():
    """The sound fades in over 30 ms and is untouched between the ramps."""
    prepared, _ = cochlea.prepare(np.ones(RATE), RATE)
    ramp = int(0.03 * RATE)
    assert prepared[0] == 0 and prepared[-1] == 0
    assert (np.diff(prepared[:ramp]) > 0).all()
    np.testing.assert_allclose(prepared[ramp:-ramp], 0.3)


@pytest.mark.parametrize(
    ("sound", "message"),
    [
        (np.zeros(1000), "silent"),
        (np.zeros(0), "empty"),
        (np.array([0.0, np.nan, 1.0]), "not finite"),
        (np.ones((1000, 2)), "mono"),
    ],
)
def test_impossible_sounds_are_refused(sound, message):
    """Silent, empty, NaN or stereo sound is an InputError of one line."""
    with pytest.raises(InputError, match=message) as error:
        cochlea.sound_to_spikes(sound, RATE, 0)
    assert "\n" not in str(error.value)
