"""One recording to one event file: `python -m lib data convert IN.wav OUT.h5`."""

from __future__ import annotations

from pathlib import Path

import soundfile

from ..errors import InputError
from .cochlea import sound_to_spikes
from .events import Events, write_shd

LONGEST = 60  # s: the inner ear takes about 50 MB for each second of sound


def convert(recording: str | Path, output: str | Path, seed: int = 0) -> Events:
    """Send a recording through the cochlea and write its spikes in SHD's layout (one sample, label 0, speaker 0).

    Args:
        recording: any file that libsndfile reads (wav, flac, ...), mono.
        output: HDF5 file to write, whole or not at all.
        seed: of the auditory nerve.

    Returns:
        The spikes as they were written.

    Raises:
        InputError: no such file, no sound file, stereo, empty, silent, not finite, longer than `LONGEST`, or the file to be written.
    """
    recording = Path(recording)
    if not recording.exists():
        raise InputError(f"{recording}: no such file; check the path")
    if Path(output).exists() and recording.samefile(output):
        raise InputError(f"{output}: this is the recording itself; give another file for the spikes")
    try:
        with soundfile.SoundFile(recording) as file:
            seconds, sample_rate = file.frames / file.samplerate, file.samplerate
            if seconds > LONGEST:
                raise InputError(f"{recording}: it lasts {seconds:.0f} s, more than {LONGEST} s; cut it into pieces")
            sound = file.read()
    except (soundfile.SoundFileError, MemoryError, TypeError) as error:
        raise InputError(f"{recording}: not a sound file ({error}); give a mono wav or flac") from None
    try:
        times, units = sound_to_spikes(sound, sample_rate, seed)
    except InputError as error:
        raise InputError(f"{recording}: {error}") from None
    events = Events.from_list([(times, units)], [0], [0], [recording.stem])
    write_shd(output, events)
    return events
