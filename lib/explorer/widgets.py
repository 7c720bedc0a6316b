"""The explorer in JupyterLab."""

from __future__ import annotations

import io
from typing import Any

import ipywidgets as widgets
import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Audio

from ..data.digits import CLASSES
from ..errors import InputError
from ..progress import interactive
from . import sounds
from .networks import load
from .picture import draw_responses, language
from .respond import Change, changed, respond
from .samples import examples

AS_SPOKEN = Change()
DPI = 150  # of the picture below the sliders


class Explorer:
    """A word, three sliders and two networks. Show it as a cell's last line.

    With a person in front and widgets that run, it is interactive; elsewhere the same cell shows the picture of the
    first choice.

    Attributes:
        word, voice, f, jitter_ms, backwards, again: its controls (ipywidgets).
    """

    def __init__(self, word: str = "one", voice: int | None = None, change: Change = AS_SPOKEN) -> None:
        """Start with a word, a test voice (default: the first) and a change.

        Raises:
            InputError: no such word or voice.
        """
        self.examples, self.networks, self.recordings = examples(), load(), sounds.read()
        voices = sorted(set(self.examples.data.speakers.tolist()))
        voice = voices[0] if voice is None else voice
        if word not in CLASSES or voice not in voices:
            choice = f"a word of {', '.join(CLASSES)} and a voice of {', '.join(map(str, voices))}"
            raise InputError(f"word, voice: {word!r}, {voice!r} are not both there; choose {choice}")
        words = [(f"{name} ({language(label)})", name) for label, name in enumerate(CLASSES)]
        dragged = {"continuous_update": False, "style": {"description_width": "9em"}, "layout": {"width": "32em"}}
        self.word = widgets.Dropdown(options=words, value=word, description="word")
        self.voice = widgets.Dropdown(options=voices, value=voice, description="voice")
        self.f = widgets.FloatSlider(change.f, min=0, max=1, step=0.05, description="relocated, f", **dragged)
        self.jitter_ms = widgets.FloatSlider(
            change.jitter_ms, min=0, max=300, step=5, description="jitter (s.d., ms)", **dragged
        )
        self.backwards = widgets.Checkbox(change.reverse, description="play backwards")
        self.again = widgets.Button(description="draw again", tooltip="other random places")
        self._seed = change.seed
        self._picture = widgets.Image(format="png", layout={"max_width": "100%"})
        self._sound = widgets.HTML()
        for control in (self.word, self.voice, self.f, self.jitter_ms, self.backwards):
            control.observe(self._update, "value")
        self.again.on_click(self._draw_again)
        self._update()

    @property
    def change(self) -> Change:
        """What the controls say."""
        return Change(self.f.value, self.jitter_ms.value, self.backwards.value, self._seed)

    @property
    def png(self) -> bytes:
        """The picture as it is now."""
        return bytes(self._picture.value)

    def _draw_again(self, _button: widgets.Button) -> None:
        self._seed += 1
        self._update()

    def _update(self, _event: dict | None = None) -> None:
        number = self.examples.find(self.word.value, self.voice.value)
        word = changed(self.examples.data.select(np.array([number])), self.change)
        responses = {arm: respond(network, word) for arm, network in self.networks.items()}
        title = f'"{self.word.value}" ({language(int(word.labels[0]))}), voice {self.voice.value}, {self.change}'
        fig = draw_responses(word, responses, title)
        content = io.BytesIO()
        fig.savefig(content, format="png", dpi=DPI)
        plt.close(fig)
        self._picture.value = content.getvalue()
        sound = sounds.decode(self.recordings[number])
        self._sound.value = Audio(sound[::-1] if self.backwards.value else sound, rate=sounds.SAMPLE_RATE)._repr_html_()

    def box(self) -> widgets.VBox:
        """Controls above the picture."""
        return widgets.VBox(
            [
                widgets.HBox([self.word, self.voice, self._sound]),
                self.f,
                self.jitter_ms,
                widgets.HBox([self.backwards, self.again]),
                self._picture,
            ]
        )

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        """The picture, and where someone watches the widgets, which Jupyter prefers."""
        bundle = (
            self.box()._repr_mimebundle_(**kwargs)
            if interactive()
            else {"text/plain": f"{self.word.value}: {self.change}"}
        )
        return bundle | {"image/png": self.png}
