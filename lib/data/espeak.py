"""eSpeak NG through ctypes: text to sound, in memory.

The library and its voices come with the package `espeakng-loader` (GPL-3.0, loaded at run time). Two things
make its sound differ from call to call. The breath of some voices is random, from a seed that the clock sets:
here a call gives it. And eSpeak NG keeps state from one call to the next, so that the same call made twice in
a process still differs slightly; a whole sequence of calls made in the same order in a fresh process repeats
exactly. Data sets are therefore made with one process per voice, in a fixed order (`lib.data.digits`).
"""

from __future__ import annotations

import ctypes

import numpy as np

_SYNCHRONOUS, _DONT_EXIT, _UTF8 = 2, 0x8000, 1  # synchronous: no thread of its own, so nothing can race
_RATE, _PITCH, _RANGE = 1, 3, 4
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


class Speaker:
    """The eSpeak NG engine, of which a process has one; a new `Speaker` starts it again.

    Attributes:
        sample_rate: of the sound it makes, Hz (22,050).
    """

    def __init__(self) -> None:
        import espeakng_loader

        self._engine = ctypes.CDLL(espeakng_loader.get_library_path())
        data = espeakng_loader.get_data_path().encode()
        self.sample_rate = self._engine.espeak_Initialize(_SYNCHRONOUS, 0, data, _DONT_EXIT)
        if self.sample_rate <= 0:
            raise RuntimeError("eSpeak NG did not start; reinstall the package espeakng-loader")
        self._pieces: list[np.ndarray] = []
        self._callback = _CALLBACK(self._collect)  # kept: ctypes does not hold a reference
        self._engine.espeak_SetSynthCallback(self._callback)

    def _collect(self, wave, n_samples: int, _events) -> int:
        if wave and n_samples > 0:
            self._pieces.append(np.ctypeslib.as_array(wave, shape=(n_samples,)).copy())
        return 0

    def say(self, text: str, voice: str, rate: int, pitch: int, pitch_range: int, seed: int) -> np.ndarray:
        """Speak `text` and return its sound, int16, at `sample_rate`.

        Args:
            text: the words.
            voice: eSpeak NG voice and variant, for example `de+m3`.
            rate: words per minute (80 to 450).
            pitch: base pitch, 0 to 100.
            pitch_range: pitch variation, 0 to 100.
            seed: of the voice's breath, 1 or more (0 would be the clock).

        Raises:
            ValueError: the voice is not known.
        """
        if self._engine.espeak_SetVoiceByName(voice.encode()) != 0:
            raise ValueError(f"eSpeak NG has no voice {voice!r}")
        for parameter, value in ((_RATE, rate), (_PITCH, pitch), (_RANGE, pitch_range)):
            self._engine.espeak_SetParameter(parameter, int(value), 0)
        self._engine.espeak_ng_SetRandSeed(ctypes.c_long(seed))
        self._pieces.clear()
        data = text.encode()
        self._engine.espeak_Synth(data, ctypes.c_size_t(len(data) + 1), 0, 1, 0, _UTF8, None, None)
        return np.concatenate(self._pieces) if self._pieces else np.empty(0, np.int16)
