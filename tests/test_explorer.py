"""The explorer: its networks, its words, and what it says of them."""

from __future__ import annotations

import base64
import re

import numpy as np
import pytest
import soundfile
import torch
from scipy.signal import resample_poly

from lib import perturb
from lib.__main__ import main
from lib.data import shipped, speech
from lib.data.digits import CLASSES, voices_of_part
from lib.errors import InputError
from lib.explorer import make, networks, page, picture, samples, sounds, widgets
from lib.explorer.respond import Change, changed, respond
from lib.train import batch_of, evaluate


@pytest.fixture(scope="module")
def nets():
    """Both networks."""
    return networks.load()


@pytest.fixture(scope="module")
def words():
    """All words."""
    return samples.examples().data


def one(words, number: int = 3):
    """A single word."""
    return words.select(np.array([number]))


# What comes with the code


def test_networks_are_small_and_what_they_are_called(nets):
    """A file below 300 kB; two layers of 64; one has no delays, the other some behind inputs and first hidden layer."""
    assert networks.FILE.stat().st_size < 300_000
    without, with_delays = (nets[arm] for arm in networks.ARMS)
    assert [tuple(w.shape) for w in without.weights] == [(64, 267), (64, 64), (20, 64)]
    assert len(without.delays) == 0 and [len(d) for d in with_delays.delays] == [267, 64]
    assert all(0 <= d.min() and 10 < d.max() < 64 for d in with_delays.delays)
    for parameter in [*without.weights, *with_delays.weights]:
        assert parameter.dtype == torch.float64
        assert torch.equal(parameter * 1024, (parameter * 1024).round())


def test_stored_accuracy_is_that_of_the_stored_networks(nets):
    """What the page says of all test words is what the networks do, to the digit."""
    _, about = networks.read()
    for arm, network in nets.items():
        assert make.test_accuracy(network, make.run_of(arm)) == pytest.approx(about[arm]["test"], abs=1e-9)


def test_small_networks_show_what_the_experiments_show():
    """Delays help on words as spoken, and reversal costs the network with them more: what the page tells a reader."""
    _, about = networks.read()
    without, with_delays = (about[arm]["test"] for arm in networks.ARMS)
    assert with_delays["clean"] > without["clean"] + 0.05 > 0.5
    assert with_delays["reversed"] < 0.15 < 0.25 < without["reversed"]


def test_words_are_the_first_of_every_test_voice(words):
    """Each word of each test voice once; no earlier recording has enough spikes; every unit has its quota."""
    minimum, everything = speech.minimum("digits"), speech.load("digits", "test")
    voices = voices_of_part()["test"]
    assert sorted(zip(words.speakers, words.labels, strict=True)) == [(v, c) for v in sorted(voices) for c in range(20)]
    for number, recording in enumerate(samples.examples().recordings):
        own = np.flatnonzero(everything.speakers == words.speakers[number])
        same = own[everything.labels[own] == words.labels[number]]
        fits = same[minimum.enough(everything.select(same))]
        assert own[recording] == fits[0]
    assert (words.counts() == minimum.counts).all()


def test_sounds_are_those_of_the_words(words):
    """The first test voice's sounds are the shipped recordings, resampled and rounded to 8 bits."""
    recorded, found = sounds.read(), samples.examples()
    assert len(recorded) == len(words)
    compared = 0
    for number in np.flatnonzero((words.speakers == voices_of_part()["test"][0]) & (found.recordings < len(CLASSES))):
        name = f"voice-{words.speakers[number]:02d}_class-{words.labels[number]:02d}.flac"
        sound, rate = soundfile.read(shipped.FOLDER / "audio" / name)
        expected = resample_poly(sound, sounds.SAMPLE_RATE, rate)
        assert len(expected) == len(recorded[number])
        assert np.corrcoef(expected, sounds.decode(recorded[number]))[0, 1] > 0.999
        compared += 1
    assert compared > 10


def test_mu_law_keeps_quiet_and_loud():
    """Decoding undoes encoding within 2.5 % of the value, and 0.0002; the ends are exact."""
    sound = np.concatenate([-np.logspace(0, -3, 50), [0.0], np.logspace(-3, 0, 50)])
    back = sounds.decode(sounds.encode(sound))
    assert (np.abs(back - sound) <= 0.025 * np.abs(sound) + 2e-4).all()
    assert back[[0, -1]] == pytest.approx([-1, 1])


@pytest.mark.parametrize("reader", [networks.read, sounds.read])
def test_damaged_files_are_named(reader, tmp_path):
    """Missing or cut: one line with the file and what to do."""
    (tmp_path / "cut.npz").write_bytes(networks.FILE.read_bytes()[:5000])
    for name in ("cut.npz", "missing.npz"):
        with pytest.raises(InputError, match=f"{name}: cannot be read .*git checkout"):
            reader(tmp_path / name)


# A word, changed and heard


def test_changes_keep_counts_and_come_in_order(words):
    """No spike is lost; nothing is changed by nothing; the same seed draws the same; reversal comes last."""
    word = one(words)
    mixed = changed(word, Change(0.4, 30.0, True, seed=1))
    assert np.array_equal(mixed.counts(), word.counts())
    assert np.array_equal(changed(word, Change()).bins, word.bins)
    assert np.array_equal(changed(word, Change(0.4, 30.0, True, seed=1)).bins, mixed.bins)
    assert not np.array_equal(changed(word, Change(0.4, 30.0, True, seed=2)).bins, mixed.bins)
    assert np.array_equal(perturb.reverse(mixed).bins, changed(word, Change(0.4, 30.0, seed=1)).bins)
    assert changed(word, Change(f=1.0)).bins.max() > word.bins.max() + 10  # to the end of the grid


def test_bad_changes_are_refused(words):
    """An f above 1, a negative jitter."""
    for change, named in ((Change(f=1.5), "f: 1.5"), (Change(jitter_ms=-1.0), "sd_ms: -1")):
        with pytest.raises(InputError, match=named):
            changed(one(words), change)


@pytest.mark.parametrize("arm", networks.ARMS)
def test_response_is_the_networks_own(arm, nets, words):
    """The last evidence is what the network computes by itself, its decision that of `evaluate`."""
    network, word = nets[arm], one(words)
    response = respond(network, word)
    own = network(batch_of(word, np.array([0])))[0]
    torch.testing.assert_close(torch.from_numpy(response.evidence[-1]), own, rtol=0, atol=1e-12)
    assert response.decision == evaluate(network, word).decisions[0]
    assert [len(layer.bins) / layer.n_units for layer in response.hidden] == pytest.approx(network.hidden_rates)
    assert response.probabilities.sum() == pytest.approx(1) and response.probabilities.argmax() == response.decision
    assert len(response.evidence) == response.hidden[-1].n_bins >= word.n_bins
    assert np.abs(response.evidence[0]).max() < 1e-9 < np.abs(response.evidence[-1]).max()


def test_reversal_changes_decisions_of_delays_above_all(nets, words):
    """Of all words: nearly every answer of the network with delays changes, and not nearly so many of the other."""
    kept = dict.fromkeys(nets, 0)
    for number in range(len(words)):
        word = one(words, number)
        for arm, network in nets.items():
            kept[arm] += respond(network, word).decision == respond(network, perturb.reverse(word)).decision
    assert kept["trained_wide"] < 0.15 * len(words) < 0.3 * len(words) < kept["no_delays"]


def test_wrong_words_are_refused(nets, words):
    """Two words at once, or another number of units."""
    for wrong in (words.select(np.arange(2)), speech.load("digits", "test").select(np.arange(1))):
        with pytest.raises(InputError, match=r"^word: .* give one sample of 267 units"):
            respond(nets["no_delays"], wrong)


def test_silence_gets_no_answer(nets, words):
    """A word without spikes: no evidence, no decision, and the picture says so."""
    silent = perturb.delete(one(words), 1.0, np.random.default_rng(0))
    responses = {arm: respond(network, silent) for arm, network in nets.items()}
    assert [response.decision for response in responses.values()] == [-1, -1]
    assert picture.answer(responses["no_delays"], 3) == "no answer"
    picture.draw_responses(silent, responses, "silence")


# In JupyterLab


def test_headless_it_is_a_picture():
    """Without anyone who watches: PNG and a line of text, no widget."""
    bundle = widgets.Explorer("drei")._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "image/png"}
    assert bundle["image/png"].startswith(b"\x89PNG") and bundle["text/plain"] == "drei: as spoken"


def test_watched_it_is_widgets_with_the_picture_beside(monkeypatch):
    """Jupyter is offered the widgets, and the same picture for where they do not run."""
    monkeypatch.setattr(widgets, "interactive", lambda: True)
    bundle = widgets.Explorer()._repr_mimebundle_()
    assert {"application/vnd.jupyter.widget-view+json", "image/png"} <= set(bundle)


def test_controls_change_picture_and_sound():
    """Every control redraws; backwards turns the sound as well; "draw again" draws other places."""
    explorer = widgets.Explorer("three")
    seen = [explorer.png]
    sound = explorer._sound.value

    def redrawn() -> bool:
        seen.append(explorer.png)
        return seen[-1] not in seen[:-1]

    explorer.f.value = 0.3
    assert redrawn()
    explorer.again.click()
    assert redrawn() and explorer.change == Change(0.3, 0.0, False, 1)
    explorer.jitter_ms.value = 50
    assert redrawn() and explorer._sound.value == sound
    explorer.backwards.value = True
    assert redrawn() and explorer._sound.value != sound
    explorer.word.value = "neun"
    assert redrawn()
    explorer.voice.value = 8
    assert redrawn() and explorer.change == Change(0.3, 50, True, 1)


def test_unknown_words_and_voices_are_named():
    """One line with what there is."""
    for choice in (("zehn", None), ("three", 0)):
        with pytest.raises(InputError, match=r"^word, voice: .*; choose a word of zero, .* and a voice of 1, "):
            widgets.Explorer(*choice)


# The web page


def test_page_holds_networks_and_words(nets, words):
    """Weights, delays and spikes of the page are those of the code; six words by four voices."""
    content = page.content()
    for embedded, network in zip(content["networks"], nets.values(), strict=True):
        for kind, parameters in (("weights", network.weights), ("delays", network.delays)):
            step = content[f"{kind[:-1]}Step"]
            values = [step * np.frombuffer(base64.b64decode(text), "<i2") for text in embedded[kind]]
            assert all(np.array_equal(v, p.numpy().ravel()) for v, p in zip(values, parameters, strict=True))
    assert len(content["words"]) == len(samples.WEB_WORDS) * 4
    for word in content["words"]:
        number = samples.examples().find(word["word"], word["voice"])
        span = slice(*words.offsets[number : number + 2])
        assert np.array_equal(np.frombuffer(base64.b64decode(word["bins"]), np.uint8), words.bins[span])
        assert np.array_equal(np.frombuffer(base64.b64decode(word["units"]), "<i2"), words.units[span])


def test_exported_page_is_one_file_that_names_no_other(tmp_path, capsys):
    """`python -m lib explorer`: below 600 kB, no address, and a policy that forbids the browser to fetch anything."""
    output = tmp_path / "new folder" / "explorer.html"
    assert main(["explorer", str(output)]) == 0
    assert capsys.readouterr().out == f"{output}\n"
    text = output.read_text()
    assert len(text) < 600_000 and page.PLACE not in text
    assert re.findall(r"https?://|<link rel=.stylesheet|\bsrc=|@import|url\(|fetch\(|import\(", text) == []
    assert "default-src 'none'" in text and "synthetic spoken digits" in text
