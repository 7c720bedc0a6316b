"""From sound to spikes: the inner-ear model that made SHD.

Sound -> basilar membrane (hydrodynamic, one place a unit) -> inner hair cells (transmitter pools) -> 40
auditory nerve fibres a unit -> one bushy cell a unit (leaky integrate-and-fire) -> spikes.

Sources: the whole chain, Cramer, Stradmann, Schemmel, Zenke 2022 (appendix); the membrane, Sieroka, Dosch,
Rupp 2006, J. Acoust. Soc. Am. 120, 297; the hair cell, Meddis 1986, J. Acoust. Soc. Am. 79, 702. Parameters
are those of the SHD authors' converter (package `lauscher`), against which the tests compare every stage.

A property of that converter, and so of ours: the membrane moves *before* the sound that moves it, the more so
the lower the frequency (a click is answered 2 ms early at 60 % of the membrane and 12 to 45 ms early at its
end). The model's phases turn as exp(-i omega t), those of the inverse FFT as exp(+i omega t).

Two things differ from the converter on purpose. The membrane is computed by FFT, which takes sound as
periodic: the converter lets the early answer to a recording's beginning appear at its end; here the sound is
padded with silence to a multiple of 0.4 s, which keeps it out (only part of it where less than 45 ms are
padded). And the sound is faded in and out over 30 ms, as the SHD paper says, where the converter by default
lays a Hann window over the whole recording.

What makes it fast: the membrane's transfer function depends on the padded length only and is kept; above its
cut-off frequency a place does not move, so its transfer function is not even computed there; hair cell,
fibres and bushy cell are compiled loops, and the 40 fibres of a unit, being alike, are drawn together.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from math import gcd, inf

import numba
import numpy as np
from scipy import fft, special
from scipy.signal import resample_poly

from ..errors import InputError

SOUND_RATE = 48_000  # Hz; slower recordings are resampled to it
RMS = 0.3  # of the normalised sound
RAMP = 0.030  # s
N_UNITS = 700
PLACES = 3.5  # cm of membrane covered by the units, from the base (high frequencies) on
PAD = 0.4  # s; sounds are padded to a multiple of it
KEPT = 40_320_000  # values of the longest transfer function kept: 700 places, 2.4 s (137 MB)
BLOCK = 50  # units processed together: their membrane motion fits the processor's cache
CUT = 1e-7  # a place is taken to be at rest where its response is below this share of its peak

# Basilar membrane (Sieroka et al. 2006), in cgs units
STIFFNESS, STIFFNESS_OFFSET, STIFFNESS_DECAY = 1e9, 3500.0, 3.0  # dyn/cm^3, dyn/cm^3, 1/cm
MASS, CHANNEL_HEIGHT, DENSITY = 0.05, 0.1, 1.0  # g/cm^2, cm, g/cm^3
DAMPING = 0.15 * np.sqrt(STIFFNESS * MASS)

# Inner hair cell (Meddis 1986)
REPLENISH, RELEASE, LOSS, REUPTAKE, REPROCESS = 5.05, 2000.0, 2500.0, 6580.0, 66.3  # 1/s
PERMEABILITY_A, PERMEABILITY_B, FIRING_GAIN, POOL = 5.0, 300.0, 50_000.0, 1.0

# Auditory nerve fibres and bushy cell
N_FIBRES, TAU_MEMBRANE, TAU_SYNAPSE, REFRACTORY, WEIGHT = 40, 1e-3, 5e-4, 1e-3, 13e3


def sound_to_spikes(
    sound: np.ndarray, sample_rate: float, seed: int, n_channels: int = N_UNITS, window: str = "ramp"
) -> tuple[np.ndarray, np.ndarray]:
    """Convert a recording to the spikes of `n_channels` bushy cells.

    Args:
        sound: (n_samples,), any scale.
        sample_rate: Hz.
        seed: of the auditory nerve; the same seed gives the same spikes.
        n_channels: units, from high (0) to low frequencies.
        window: "ramp" (30 ms at both ends, SHD paper) or "hann" (over all of it, the converter's default).

    Returns:
        Times in seconds, float64, ascending, and units, uint16, of all spikes.

    Raises:
        InputError: the sound is not mono, empty, silent or has values that are not finite; the sample rate,
            the seed, the number of channels or the window is impossible.
    """
    if not 1 <= n_channels <= 2**16:
        raise InputError(f"n_channels: {n_channels} units cannot be numbered; choose 1 to {2**16}")
    if seed < 0:
        raise InputError(f"seed: {seed} is negative; give 0 or more")
    prepared, rate = prepare(sound, sample_rate, window)
    n_steps = len(prepared) // 2
    rng = np.random.default_rng(seed)
    times, units = [], []
    for start, velocity in basilar_membrane(prepared, rate, n_channels):
        spiked, unit = hair_and_bushy_cells(velocity[:, :n_steps], rate / 2, rng)
        times.append(spiked)
        units.append(unit + start)
    step, unit = np.concatenate(times), np.concatenate(units)
    order = np.lexsort((unit, step))
    return step[order] / (rate / 2), unit[order].astype(np.uint16)


def prepare(sound: np.ndarray, sample_rate: float, window: str = "ramp") -> tuple[np.ndarray, float]:
    """Resample to 48 kHz if slower, normalise to an RMS of 0.3, fade in and out.

    Returns:
        The prepared sound, float64, and its sample rate, Hz.

    Raises:
        InputError: see `sound_to_spikes`.
    """
    sound = np.asarray(sound, np.float64)
    if sound.ndim != 1:
        raise InputError(f"sound: it has shape {sound.shape}, one channel is needed; mix it down to mono")
    if len(sound) < 2:
        raise InputError("sound: it is empty; record something")
    if not np.isfinite(sound).all():
        raise InputError("sound: it has values that are not finite; repair the recording")
    if not sound.any():
        raise InputError("sound: it is silent; nothing can be heard in it")
    if not 1 <= sample_rate < inf:
        raise InputError(f"sample_rate: {sample_rate} Hz is impossible; give samples per second")
    if window not in ("ramp", "hann"):
        raise InputError(f"window: {window!r} is not known; choose ramp or hann")
    # By a power of two, which rounds nothing: else the square of a very large or small sound is not a number
    sound = np.ldexp(sound, -np.frexp(np.abs(sound).max())[1])
    if sample_rate < SOUND_RATE:
        divisor = gcd(SOUND_RATE, int(sample_rate))
        sound = resample_poly(sound, SOUND_RATE // divisor, int(sample_rate) // divisor)
        sample_rate = SOUND_RATE
    sound = sound * (RMS / np.sqrt(np.mean(sound**2)))
    fade = len(sound) // 2
    if window == "ramp":
        fade = min(round(RAMP * sample_rate), fade)
    rise = np.hanning(2 * fade)[:fade]
    sound[:fade] *= rise
    sound[len(sound) - fade :] *= rise[::-1]
    return sound, float(sample_rate)


def basilar_membrane(
    sound: np.ndarray, sample_rate: float, n_channels: int = N_UNITS, n_steps: int | None = None
) -> Iterator[tuple[int, np.ndarray]]:
    """Velocity of the membrane at `n_channels` places, at half the sound's sample rate.

    Args:
        sound: (n_samples,), prepared.
        sample_rate: Hz.
        n_channels: places, evenly spaced over 3.5 cm from the base.
        n_steps: steps computed; default: the sound's length padded with silence to a multiple of 0.4 s.

    Yields:
        First place and velocity, float32 (up to 50 places, n_steps).
    """
    if n_steps is None:
        unit = round(PAD * sample_rate / 2)
        n_steps = unit * (len(sound) // 2 // unit + 1)
    spectrum = fft.fft(sound, 2 * (n_steps - 1))[:n_steps].astype(np.complex64)
    half = n_steps // 2 + 1
    transfers = _kept_transfer if n_steps * n_channels <= KEPT else _transfer
    for start, transfer in transfers(n_steps, sample_rate, n_channels):
        moved = transfer * spectrum[: transfer.shape[1]]
        # The real part of the inverse transform of a one-sided spectrum is that of its Hermitian half
        hermitian = np.zeros((len(moved), half), np.complex64)
        hermitian[:, : moved.shape[1]] = moved[:, :half] / 2
        above = np.arange(max(n_steps - half + 1, 1), moved.shape[1])
        hermitian[:, n_steps - above] += moved[:, above].conj() / 2
        hermitian[:, 0] = moved[:, 0].real
        yield start, fft.irfft(hermitian, n_steps)


@lru_cache(maxsize=4)
def _kept_transfer(n_steps: int, sample_rate: float, n_channels: int) -> list[tuple[int, np.ndarray]]:
    return list(_transfer(n_steps, sample_rate, n_channels))


def _transfer(n_steps: int, sample_rate: float, n_channels: int) -> Iterator[tuple[int, np.ndarray]]:
    """First place of each block, and velocity per sound pressure, complex64 (places, frequencies)."""
    omega = 2 * np.pi * np.linspace(1, sample_rate / 2, n_steps)
    coarse = np.geomspace(omega[0], omega[-1], 600)
    places = np.linspace(0, PLACES, n_channels)
    driven, coarse_driven = _drive(omega), _drive(coarse)
    for start in range(0, n_channels, BLOCK):
        block = places[start : start + BLOCK]
        response = np.abs(_velocity(coarse, block[0], coarse_driven))  # the block's highest cut-off
        audible = np.flatnonzero(response > CUT * response.max())[-1]
        stop = int(np.searchsorted(omega, coarse[min(audible + 1, len(coarse) - 1)], side="right"))
        transfer = np.empty((len(block), stop), np.complex64)
        for row, place in zip(transfer, block, strict=True):
            row[:] = _velocity(omega[:stop], place, driven[:stop])
        yield start, transfer


def _velocity(omega: np.ndarray, place: float, driven: np.ndarray) -> np.ndarray:
    """Membrane velocity at `place` (cm) for a sound of unit pressure (Sieroka et al. 2006)."""
    return 2 * omega / _impedance(omega, place) * _pressure(omega, place) * driven


def _drive(omega: np.ndarray) -> np.ndarray:
    """The stapes: input impedance of the cochlea over the pressure at its base."""
    argument = 2 * omega / STIFFNESS_DECAY * np.sqrt(2 / (CHANNEL_HEIGHT * STIFFNESS))
    inward = special.y0(argument) + 1j * special.j0(argument)
    outward = special.j1(argument) - 1j * special.y1(argument)
    return np.sqrt(2 * STIFFNESS / CHANNEL_HEIGHT) * inward / outward / _pressure(omega, 0.0)


def _impedance(omega: np.ndarray, place: float) -> np.ndarray:
    """Stiffness minus inertia minus i damping of the membrane."""
    stiffness = STIFFNESS * np.exp(-STIFFNESS_DECAY * place) - STIFFNESS_OFFSET
    return stiffness - MASS * omega**2 - 1j * omega * DAMPING * np.exp(-STIFFNESS_DECAY * place / 2)


def _wave_number(omega: np.ndarray, place: float) -> np.ndarray:
    """Local wave number of the travelling wave, 1/cm."""
    return omega * np.sqrt(DENSITY / (CHANNEL_HEIGHT * _impedance(omega, place)))


def _pressure(omega: np.ndarray, place: float) -> np.ndarray:
    """Pressure difference across the membrane: a Hankel function of the phase travelled so far."""
    load = STIFFNESS_OFFSET + MASS * omega**2

    def antiderivative(x):
        # of the wave number along the membrane, in closed form: a logarithm of this
        damping = omega * DAMPING * np.exp(-STIFFNESS_DECAY * x / 2)
        return -2 * np.sqrt(_impedance(omega, x)) + 1j * (2 * load + 1j * damping) / np.sqrt(load)

    base, here = antiderivative(0.0), np.exp(STIFFNESS_DECAY * place / 2) * antiderivative(place)
    scale = STIFFNESS_DECAY * np.sqrt(2 * CHANNEL_HEIGHT * load)
    travelled = 2j * np.sqrt(2) * omega / scale * np.log(base / here)
    phase = 2 * _wave_number(omega, 0.0) / STIFFNESS_DECAY - travelled
    return np.sqrt(phase / _wave_number(omega, place)) * special.hankel1(0, phase)


def hair_cell(velocity: np.ndarray, sample_rate: float) -> np.ndarray:
    """Firing probability a step of one fibre at each place (Meddis 1986).

    Velocity and probability: (n_places, n_steps), float64; sample_rate: of the steps, Hz.
    """
    probability = np.empty(velocity.shape)
    for place, motion in enumerate(velocity):
        _hair_cell(np.ascontiguousarray(motion, np.float64), float(sample_rate), probability[place])
    return probability


def hair_and_bushy_cells(
    velocity: np.ndarray, sample_rate: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Spikes of the bushy cells behind a moving membrane.

    Steps and places, int64, place by place, each place's in the order of time.

    Args:
        velocity: (n_places, n_steps).
        sample_rate: of the steps, Hz.
        rng: draws the nerve fibres' spikes.
    """
    steps, places = [], []
    probability = np.empty(velocity.shape[1])
    for place, motion in enumerate(velocity):
        _hair_cell(np.ascontiguousarray(motion, np.float64), float(sample_rate), probability)
        spikes = bushy_cell(nerve(probability, sample_rate, rng), sample_rate)
        steps.append(spikes)
        places.append(np.full(len(spikes), place))
    return np.concatenate(steps), np.concatenate(places)


@numba.njit(cache=True, error_model="numpy")
def _hair_cell(velocity, sample_rate, probability):
    """Transmitter goes round: free pool -> cleft -> (lost, or) reprocessing store -> free pool."""
    dt = 1 / sample_rate
    rest = RELEASE * PERMEABILITY_A / (PERMEABILITY_A + PERMEABILITY_B)
    cleft = POOL * REPLENISH * rest / (LOSS * rest + REPLENISH * (LOSS + REUPTAKE))
    pool = cleft * (LOSS + REUPTAKE) / rest
    store = cleft * REUPTAKE / REPROCESS
    for step in range(len(velocity)):
        drive = velocity[step] + PERMEABILITY_A
        release = RELEASE * dt * drive / (drive + PERMEABILITY_B) if drive > 0 else 0.0
        replenished = REPLENISH * dt * (POOL - pool) if pool < POOL else 0.0
        released = release * pool
        taken_up = REUPTAKE * dt * cleft
        reprocessed = REPROCESS * dt * store
        pool = max(pool + replenished - released + reprocessed, 0.0)
        cleft = max(cleft + released - (LOSS + REUPTAKE) * dt * cleft, 0.0)
        store = max(store + taken_up - reprocessed, 0.0)
        probability[step] = cleft * FIRING_GAIN * dt


@numba.njit(cache=True)
def nerve(probability, sample_rate, rng):
    """Spikes a step of 40 independent fibres that share one firing probability and rest 1 ms after a spike.

    All fibres being alike, only their number matters: a step's count is binomial in the fibres that do not
    rest. It is drawn by inversion, so its distribution is that of 40 separate draws.
    """
    rest = int(np.ceil(REFRACTORY * sample_rate))
    count = np.zeros(len(probability), np.uint8)
    ready = N_FIBRES
    for step in range(len(probability)):
        if step >= rest:
            ready += count[step - rest]
        p = probability[step]
        u = 1 - rng.random()
        if u > ready * p:  # no spike: certain, since (1 - p)^n >= 1 - n p
            continue
        p = min(p, 1.0)
        mass = (1 - p) ** ready
        below = mass
        k = 0
        while 1 - u >= below and k < ready:
            mass *= (ready - k) / (k + 1) * p / (1 - p) if p < 1 else 0.0
            k += 1
            below += mass
        count[step] = k if p < 1 else ready
        ready -= count[step]
    return count


@numba.njit(cache=True)
def bushy_cell(count, sample_rate):
    """Steps at which a leaky integrate-and-fire cell spikes, driven by `count` nerve spikes a step."""
    dt = 1 / sample_rate
    leak, fade = np.exp(-dt / TAU_MEMBRANE), np.exp(-dt / TAU_SYNAPSE)
    gain = WEIGHT / N_FIBRES * dt
    rest = int(np.ceil(REFRACTORY * sample_rate))
    spikes = np.empty(len(count), np.int64)
    n_spikes = 0
    potential, current, resting = 0.0, 0.0, 0
    for step in range(len(count)):
        if resting <= 0:
            if potential >= 1.0:
                spikes[n_spikes] = step - 1
                n_spikes += 1
                resting = rest
                potential = 0.0
            else:
                potential *= leak
        current = current * fade + count[step]
        if resting <= 0:
            potential = min(potential + current * gain, 1.0)
        resting -= 1
    return spikes[:n_spikes].copy()
