"""The explorer's page in a browser, opened as a single file, and the same spikes in JavaScript and in `lib`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from browser.conftest import DESKTOP, PHONE

from lib import perturb
from lib.data.digits import CLASSES
from lib.data.events import Binned
from lib.explorer import networks, samples, sounds
from lib.explorer.page import export
from lib.explorer.respond import respond

BOTH = ".explorer .both"
ANSWERS = """([place, change]) => {
  const { data, respond, changed } = window.explorer;
  const word = changed(data.words[place].spikes, change, data.binMs);
  const responses = data.networks.map((network) => {
    const { hidden, evidence, nClasses, probabilities, decision } = respond(network, word);
    return { hidden, last: Array.from(evidence.slice(-nClasses)), probabilities: Array.from(probabilities), decision };
  });
  return JSON.stringify({ word, responses });
}"""
CHANGED = """([place, change]) => {
  const { data, changed } = window.explorer;
  return JSON.stringify(changed(data.words[place].spikes, change, data.binMs));
}"""


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    """The page alone in a folder."""
    return export(tmp_path_factory.mktemp("alone") / "explorer.html")


@pytest.fixture
def opened(file, watched):
    """The page, loaded on a desktop."""
    one = watched()
    one.page.goto(file.as_uri())
    yield one.page
    assert one.faults == []


def ask(page, question: str, place: int, change: dict) -> dict:
    """What the page computes for a word, as JSON (which Playwright carries faster than objects)."""
    return json.loads(page.evaluate(question, [place, change]))


def word_of(opened, place: int) -> Binned:
    """The word that stands at a place of the page."""
    word, voice = opened.evaluate(
        "(place) => { const w = window.explorer.data.words[place]; return [w.word, w.voice]; }", place
    )
    found = samples.examples()
    return found.data.select(np.array([found.find(word, voice)]))


def with_spikes(word: Binned, spikes: dict) -> Binned:
    """The word with spikes that the page computed."""
    bins, units = (np.array(spikes[name], np.uint16) for name in ("bins", "units"))
    return Binned(
        bins,
        units,
        np.array([0, len(bins)]),
        word.labels,
        word.speakers,
        word.keys,
        word.n_units,
        word.n_bins,
        word.bin_width,
    )


def check(answer: dict, word: Binned) -> None:
    """Both networks of the page respond as those of `lib`: the same spikes, evidence to rounding, the same decision."""
    for said, network in zip(answer["responses"], networks.load().values(), strict=True):
        expected = respond(network, word)
        for layer, own in zip(said["hidden"], expected.hidden, strict=True):
            assert (layer["nBins"], layer["nUnits"]) == (own.n_bins, own.n_units)
            assert layer["bins"] == own.bins.tolist() and layer["units"] == own.units.tolist()
        np.testing.assert_allclose(said["last"], expected.evidence[-1], rtol=0, atol=1e-11)
        np.testing.assert_allclose(said["probabilities"], expected.probabilities, rtol=0, atol=1e-11)
        assert said["decision"] == expected.decision


def test_javascript_and_lib_give_the_same_spikes(opened):
    """Every word of the page, as spoken and backwards: every spike of every hidden neuron."""
    for place in range(opened.evaluate("window.explorer.data.words.length")):
        word = word_of(opened, place)
        check(ask(opened, ANSWERS, place, {}), word)
        check(ask(opened, ANSWERS, place, {"reverse": True}), perturb.reverse(word))


def test_javascript_perturbs_as_lib_does(opened):
    """Counts stay; places are on the grid or within the word; the shares and distances are those of the law; and
    what is perturbed here is heard alike there."""
    word = word_of(opened, 0)
    counts = word.counts()
    moved, distances, places = [], [], []
    for seed in range(40):
        relocated = with_spikes(word, ask(opened, CHANGED, 0, {"f": 0.5, "seed": seed}))
        assert np.array_equal(relocated.counts(), counts)
        places += relocated.bins[
            ~np.isin(relocated.units * 1000 + relocated.bins, word.units * 1000 + word.bins)
        ].tolist()
        moved.append(np.mean(relocated.bins != word.bins))
        jittered = with_spikes(word, ask(opened, CHANGED, 0, {"jitter": 30, "seed": seed}))
        assert np.array_equal(jittered.counts(), counts)
        assert (jittered.bins.min() >= word.bins.min()) and (jittered.bins.max() <= word.bins.max())
        distances += (jittered.bins.astype(int) - word.bins).tolist()
    expected = [
        perturb.jitter(word, 30.0, np.random.default_rng(seed)).bins.astype(int) - word.bins for seed in range(40)
    ]
    assert np.std(distances) == pytest.approx(np.std(expected), rel=0.03)
    other = [
        np.mean(
            perturb.relocate(word, 0.5, np.random.default_rng(s), 1e3 * word.n_bins * word.bin_width).bins != word.bins
        )
        for s in range(40)
    ]
    assert np.mean(moved) == pytest.approx(np.mean(other), rel=0.03)
    assert np.mean(places) == pytest.approx((word.n_bins - 1) / 2, rel=0.05)
    mixed = ask(opened, ANSWERS, 0, {"f": 0.3, "jitter": 20, "reverse": True, "seed": 5})
    check(mixed, with_spikes(word, mixed["word"]))


def drag(page, name: str, share: float) -> None:
    """Drag a slider with the mouse from its left end to a share of its length."""
    slider = page.locator(f"[name={name}]")
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    height = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 8, height)
    page.mouse.down()
    for step in range(1, 11):
        page.mouse.move(box["x"] + 8 + (box["width"] - 16) * share * step / 10, height)
    page.mouse.up()
    page.wait_for_timeout(100)


def test_reversal_changes_the_decision_of_the_network_with_delays(opened):
    """A click on "play backwards": the delays' answer was right and is another; a second click brings it back."""
    before = opened.inner_text(BOTH)
    assert "delays trained from random: “three” ✓" in before
    opened.click("text=play backwards")
    opened.wait_for_function("(before) => document.querySelector('.explorer .both').innerText !== before", arg=before)
    after = opened.inner_text(f"{BOTH} span >> nth=1")
    assert after.endswith("✗") and "three" not in after
    assert opened.inner_text(".network >> nth=1 >> .answer").startswith(after.split(": ")[1].split("”")[0])
    opened.click("text=play backwards")
    opened.wait_for_function("(before) => document.querySelector('.explorer .both').innerText === before", arg=before)


def test_dragging_moves_spikes(opened):
    """f and jitter by the mouse: numbers, raster and evidence follow; "as spoken" brings all back, the word stays."""
    picture = "document.querySelector('[data-plot=input] .spikes').getAttribute('d')"
    opened.select_option("[name=word]", "zwei")
    opened.wait_for_timeout(100)
    untouched = opened.evaluate(picture)
    drag(opened, "f", 1.0)
    assert opened.inner_text("[name=f] + output") == "100 %"
    relocated = opened.evaluate(picture)
    assert relocated != untouched and len(relocated.split("z")) == len(untouched.split("z"))
    opened.click("text=draw again")
    assert opened.evaluate(picture) not in (relocated, untouched)
    opened.click("text=as spoken")
    opened.wait_for_function(f"(before) => {picture} === before", arg=untouched)
    drag(opened, "jitter", 0.5)
    assert 100 < opened.evaluate("window.explorer.shown().change.jitter") < 200
    assert opened.evaluate(picture) != untouched
    assert opened.input_value("[name=word]") == "zwei"


def test_a_longer_drag_moves_more_of_the_same_spikes(opened):
    """Whoever drags f sees spikes leave one by one: those moved at 0.2 are moved at 0.4 as well."""
    spikes = {f: ask(opened, CHANGED, 0, {"f": f, "seed": 3}) for f in (0.0, 0.2, 0.4)}
    pairs = {f: set(zip(s["units"], s["bins"], strict=True)) for f, s in spikes.items()}
    left = {f: pairs[0.0] - pairs[f] for f in (0.2, 0.4)}
    assert len(left[0.4]) > 1.5 * len(left[0.2]) and len(left[0.2] - left[0.4]) < 0.1 * len(left[0.2])


def test_every_word_and_voice_can_be_chosen(opened):
    """Six words, four voices; each choice shows its own spikes and says whether the answer is right."""
    words, voices = (
        opened.eval_on_selector_all(f"[name={name}] option", "all => all.map(o => o.value)")
        for name in ("word", "voice")
    )
    assert words == list(samples.WEB_WORDS) and len(voices) == 4
    for word, voice in ((words[0], voices[3]), (words[5], voices[1])):
        opened.select_option("[name=word]", word)
        opened.select_option("[name=voice]", voice)
        opened.wait_for_function(
            "(w) => window.explorer.shown().word.word === w[0] && String(window.explorer.shown().word.voice) === w[1]",
            arg=[word, voice],
        )
        shown = opened.evaluate("window.explorer.shown().responses.map((r) => r.decision)")
        for k, decision in enumerate(shown):
            text = opened.inner_text(f".network >> nth={k} >> .answer")
            assert f"“{CLASSES[decision]}”" in text and ("right" if CLASSES[decision] == word else "wrong") in text


def test_sound_is_that_of_the_word(opened):
    """Listening plays the stored sound, and backwards the same turned round."""
    opened.click("[name=listen]")
    heard = np.array(opened.evaluate("Array.from(window.explorer.listen())"))
    found = samples.examples()
    voice = int(opened.input_value("[name=voice]"))
    expected = sounds.decode(sounds.read()[found.find("three", voice)])
    np.testing.assert_allclose(heard, expected, atol=1e-6)
    opened.click("text=play backwards")
    np.testing.assert_allclose(
        np.array(opened.evaluate("Array.from(window.explorer.listen())")), expected[::-1], atol=1e-6
    )


def test_page_says_what_it_shows(opened):
    """Synthetic digits, the rule of choice, and the accuracies that are stored."""
    text = opened.inner_text("body")
    assert "synthetic spoken digits" in text and "none was chosen by how it is answered" in text and "5 %" in text
    _, about = networks.read()
    rows = opened.locator(".explorer tbody tr").all_inner_texts()
    for row, arm in zip(rows, networks.ARMS, strict=True):
        scores = about[arm]["test"]
        assert f"{100 * scores['clean']:.0f} %" in row and f"{100 * scores['reversed']:.0f} %" in row


@pytest.mark.parametrize(("viewport", "touch"), [(DESKTOP, False), (PHONE, True)], ids=["desktop", "phone"])
def test_explorer_works_inside_the_site(site, watched, viewport, touch):
    """Under the site's navigation: reversal by click or tap, nothing wider than the screen, the one file beside it."""
    one = watched(viewport=viewport, has_touch=touch)
    one.page.goto((site / "explorer.html").as_uri())
    before = one.page.inner_text(BOTH)
    box = one.page.locator("[name=reverse]")
    (box.tap if touch else box.click)()
    one.page.wait_for_function("(before) => document.querySelector('.explorer .both').innerText !== before", arg=before)
    assert one.page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    one.page.click("text=one file")
    one.page.wait_for_url("**/timing-alone-explorer.html")
    assert one.page.inner_text(BOTH) == before and one.faults == []
