"""The cochlea against the SHD authors' own converter, stage by stage, and on sounds with known answers."""

import numpy as np
import pytest
from scipy import stats

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


def membrane(sound, n_channels, n_steps=None):
    return np.concatenate([v for _, v in cochlea.basilar_membrane(sound, RATE, n_channels, n_steps)])


def test_preparation_equals_the_converter(stages):
    """RMS normalisation and Hann window are the converter's."""
    sound, samples, _, _ = stages
    ours, rate = cochlea.prepare(sound, RATE, window="hann")
    assert rate == RATE
    np.testing.assert_allclose(ours, samples, atol=1e-12)


def test_membrane_equals_the_converter(stages):
    """Basilar membrane velocity: within 1e-5 of each place's largest."""
    _, samples, velocity, _ = stages
    ours = membrane(samples, 5, n_steps=len(samples) // 2 + 1)
    assert (abs(ours - velocity).max(axis=1) <= 1e-5 * abs(velocity).max(axis=1)).all()


def test_hair_cell_equals_the_converter(stages):
    """Firing probability for the same velocity: within 1e-12."""
    _, _, velocity, probability = stages
    np.testing.assert_allclose(cochlea.hair_cell(velocity, RATE / 2), probability, rtol=1e-12)


@pytest.mark.parametrize("rate", [24_000, 22_050])
def test_bushy_cell_equals_the_converter(rate):
    """Equal nerve spikes give equal bushy cell spikes, in rest and in bursts, also at odd sample rates."""
    from lauscher.transformations import BushyCell

    rng = np.random.default_rng(1)
    for firing in (0.002, 0.01, 0.1):
        stimuli = (rng.random((3000, 40)) < firing).astype(float)
        theirs = np.flatnonzero(BushyCell()._lif(stimuli, rate))
        ours = cochlea.bushy_cell(stimuli.sum(axis=1).astype(np.uint8), rate)
        assert len(theirs) > 0 or firing == 0.002
        assert ours.tolist() == theirs.tolist()


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


@pytest.mark.parametrize("rate", [24_000, 22_050])
def test_nerve_rests_as_long_as_the_converter_s(rate):
    """Fibres that would fire at every step rest exactly as long, at odd sample rates too."""
    from lauscher.transformations import BushyCell

    certain = np.ones(200)
    theirs = BushyCell()._sample(certain, rate).sum(axis=1)
    assert cochlea.nerve(certain, rate, np.random.default_rng(0)).tolist() == theirs.tolist()


@pytest.mark.parametrize("chance", [0.002, 0.03])
def test_nerve_draws_binomial_counts(chance):
    """Before any fibre rests, a step's count is binomial in 40, spikes being rare or not (chi-squared)."""
    rng, probability, n = np.random.default_rng(2), np.array([chance]), 100_000
    counts = np.array([cochlea.nerve(probability, RATE / 2, rng)[0] for _ in range(n)])
    largest = 2 if chance < 0.01 else 5  # larger counts are too few to compare one by one
    seen = np.bincount(np.minimum(counts, largest), minlength=largest + 1)
    expected = n * stats.binom.pmf(np.arange(largest), 40, chance)
    assert stats.chisquare(seen, np.append(expected, n - expected.sum())).pvalue > 1e-3


def test_whole_chain_spikes_as_often_as_the_converter():
    """Padding included, a buzz makes the converter's nerve and bushy cell spikes.

    Expected nerve spikes agree within 0.2 % at each of seven places. Bushy cell spikes at the two places that
    answer most agree within the error of their means over seeds, about 4 %.
    """
    from lauscher.audiowaves import MonoAudioWave
    from lauscher.firing_probability import FiringProbability
    from lauscher.transformations import BasilarMembrane, BushyCell, HairCell, HanningWindow, RmsNormalizer

    sound, n = sum(tone(150 * k, 0.15) / k for k in range(1, 20)), 40
    prepared = MonoAudioWave(sound.copy(), RATE).transform(RmsNormalizer(0.3)).transform(HanningWindow())
    probability = prepared.transform(BasilarMembrane(channels=7)).transform(HairCell())
    velocity = membrane(cochlea.prepare(sound, RATE, "hann")[0], 7)[:, : len(sound) // 2]
    expected = cochlea.hair_cell(velocity, RATE / 2).sum(axis=1)
    np.testing.assert_allclose(expected, probability.channels.sum(axis=1), rtol=2e-3)
    loud = FiringProbability(probability.channels[4:6], probability.sample_rate)
    np.random.seed(1)
    theirs = np.array([loud.transform(BushyCell()).spike_times.size for _ in range(n)])
    units = [cochlea.sound_to_spikes(sound, RATE, seed, 7, "hann")[1] for seed in range(4 * n)]
    ours = np.array([np.isin(unit, (4, 5)).sum() for unit in units])
    error = np.sqrt(theirs.var(ddof=1) / n + ours.var(ddof=1) / (4 * n))
    assert theirs.mean() > 8 and error < 0.05 * theirs.mean()
    assert abs(theirs.mean() - ours.mean()) < 4 * error


def vowel(seconds):
    """Harmonics of 120 Hz with formants at 700 and 1200 Hz."""
    frequencies = 120 * np.arange(1, 30)
    gain = 0.05 + np.exp(-(((frequencies - 700) / 300) ** 2)) + np.exp(-(((frequencies - 1200) / 300) ** 2))
    return sum(g * tone(f, seconds) for g, f in zip(gain, frequencies, strict=True))


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


def test_scale_of_the_sound_does_not_matter():
    """Sounds 2^-600 or 2^600 times as loud, whose squares underflow or overflow, give the same spikes."""
    expected = cochlea.sound_to_spikes(tone(500), RATE, 3, 20)
    for scale in (2.0**-600, 2.0**600):
        times, units = cochlea.sound_to_spikes(scale * tone(500), RATE, 3, 20)
        assert len(times) > 20 and (times == expected[0]).all() and (units == expected[1]).all()


def test_vowel_spikes_as_much_as_speech_in_shd():
    """A vowel of 0.6 s at 700 units: thousands of spikes, in order of time and within the sound."""
    times, units = cochlea.sound_to_spikes(vowel(0.6), RATE, 0)
    assert 3_000 < len(times) < 15_000
    assert times.dtype == np.float64 and units.dtype == np.uint16
    assert (np.diff(times) >= 0).all() and times[0] >= 0 and times[-1] < 0.6
    assert len(np.unique(units)) > 400 and units.max() < 700


def test_membrane_moves_before_the_sound_as_the_converter_s():
    """A click is answered early, earlier at lower frequencies: the converter's property, and ours."""
    from lauscher.audiowaves import MonoAudioWave
    from lauscher.transformations import BasilarMembrane

    click = np.zeros(9600)
    click[4800] = 1
    theirs = MonoAudioWave(click.copy(), RATE).transform(BasilarMembrane(channels=6)).channels[2:]
    ours = membrane(click, 6)[2:, :4800]
    lead = [[2400 - np.abs(place).argmax() for place in velocity] for velocity in (ours, theirs)]
    assert np.abs(np.subtract(*lead)).max() <= 1  # steps of 1/24 ms
    assert lead[0] == sorted(lead[0]) and 10 < lead[0][0] and 400 < lead[0][-1]


def test_padding_keeps_the_beginning_out_of_the_end():
    """The early answer to a recording's beginning does not appear at its end, as it does without padding."""
    sound = np.zeros(int(0.3 * RATE))
    sound[100:200] = 1
    padded, bare = membrane(sound, 20), membrane(sound, 20, n_steps=len(sound) // 2 + 1)
    end = slice(6000, 7200)  # the last 50 ms
    assert np.abs(padded[:, end]).max() < 0.02 * np.abs(bare[:, end]).max()
    np.testing.assert_allclose(padded[2:12, :1200], bare[2:12, :1200], atol=0.01 * np.abs(bare[2:12]).max())


def test_long_recordings_give_the_same_without_a_kept_transfer(monkeypatch):
    """Transfer functions too large to keep are made block by block and change nothing."""
    expected = cochlea.sound_to_spikes(tone(500), RATE, 3, 120)
    kept = cochlea._kept_transfer.cache_info()
    monkeypatch.setattr(cochlea, "KEPT", 0)
    times, units = cochlea.sound_to_spikes(tone(500), RATE, 3, 120)
    assert (times == expected[0]).all() and (units == expected[1]).all()
    assert cochlea._kept_transfer.cache_info() == kept


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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sample_rate": 0}, "sample_rate"),
        ({"sample_rate": np.nan}, "sample_rate"),
        ({"n_channels": 0}, "n_channels"),
        ({"n_channels": 70_000}, "n_channels"),
        ({"seed": -1}, "seed"),
        ({"window": "boxcar"}, "window"),
    ],
)
def test_impossible_arguments_are_refused(arguments, message):
    """Each is an InputError of one line that names the argument."""
    with pytest.raises(InputError, match=f"^{message}: ") as error:
        cochlea.sound_to_spikes(**{"sound": tone(500), "sample_rate": RATE, "seed": 0} | arguments)
    assert "\n" not in str(error.value)
