"""One recording to one event file, or one clear line and nothing written."""

import numpy as np
import pytest
import soundfile

from lib.__main__ import main
from lib.data.convert import convert
from lib.data.events import read_shd
from lib.errors import InputError


def tone(seconds=0.2, rate=16_000):
    return 0.5 * np.sin(2 * np.pi * 400 * np.arange(int(seconds * rate)) / rate)


def test_a_recording_becomes_an_event_file(tmp_path, capsys):
    """`python -m lib data convert` writes one sample in SHD's layout; the same seed writes the same events."""
    soundfile.write(tmp_path / "hum.wav", tone(), 16_000)
    assert main(["data", "convert", str(tmp_path / "hum.wav"), str(tmp_path / "a.h5"), "--seed", "3"]) == 0
    events = read_shd(tmp_path / "a.h5")
    assert len(events) == 1 and events.keys == ("hum",) and 100 < len(events.times)
    assert 0 < events.times.max() < 0.21
    assert f"{len(events.times)} events" in capsys.readouterr().out
    convert(tmp_path / "hum.wav", tmp_path / "b.h5", seed=3)
    assert (read_shd(tmp_path / "b.h5").times == events.times).all()


BAD = {
    "silent": lambda path: soundfile.write(path, np.zeros(4000), 16_000),
    "empty": lambda path: soundfile.write(path, np.zeros(0), 16_000),
    "mix it down to mono": lambda path: soundfile.write(path, np.ones((4000, 2)) * 0.1, 16_000),
    "more than 60 s": lambda path: soundfile.write(path, np.ones(7000), 100),
    "not a sound file": lambda path: path.write_text("<html>404</html>"),
    "not finite": lambda path: soundfile.write(path, np.array([0.0, np.nan, 0.5] * 100), 16_000, subtype="FLOAT"),
    "no such file": lambda path: None,
}


@pytest.mark.parametrize("fault", BAD)
def test_a_bad_recording_is_said_in_one_line(tmp_path, capsys, fault):
    """Exit 2, one line that names the file, and no output file, whole or half."""
    path = tmp_path / "in.wav"
    BAD[fault](path)
    before = sorted(tmp_path.iterdir())
    assert main(["data", "convert", str(path), str(tmp_path / "out.h5")]) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: ") and message.count("\n") == 1
    assert fault in message and str(path) in message
    assert sorted(tmp_path.iterdir()) == before


def test_a_recording_is_never_written_over(tmp_path):
    """Whatever the path that names it; nor is raw sound, whose rate nobody knows, guessed at."""
    path = tmp_path / "hum.wav"
    soundfile.write(path, tone(), 16_000)
    before = path.read_bytes()
    with pytest.raises(InputError, match="the recording itself"):
        convert(path, tmp_path / "." / "hum.wav")
    assert path.read_bytes() == before
    path.rename(tmp_path / "hum.raw")
    with pytest.raises(InputError, match="hum.raw: not a sound file"):
        convert(tmp_path / "hum.raw", tmp_path / "out.h5")


def test_an_unwritable_place_leaves_nothing(tmp_path):
    """When the output cannot be renamed into place, no temporary file stays behind."""
    soundfile.write(tmp_path / "hum.wav", tone(), 16_000)
    (tmp_path / "out.h5").mkdir()
    (tmp_path / "out.h5" / "something").write_text("")
    with pytest.raises((OSError, InputError)):
        convert(tmp_path / "hum.wav", tmp_path / "out.h5")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["hum.wav", "out.h5"]
