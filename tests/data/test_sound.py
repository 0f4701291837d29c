"""Sound: files of any rate and number of channels become samples of one, whole with a mask or in keyed crops."""

import json
import zipfile
from io import BytesIO
from math import pi
from pathlib import Path

import numpy as np
import pytest
from scipy.io import wavfile

import urbild.data.sounds as sounds_module
from urbild import runs
from urbild.data import Preparation, Reading, as_records, verify
from urbild.data.sounds import SoundArrays
from urbild.data.waves import SILENCE, Waves, WaveSource, resample
from urbild.errors import DataError, ExtraError, OptionError, ShapeError


def tone(hertz: float, rate: int, seconds: float = 0.5, level: float = 0.5) -> np.ndarray:
    return (level * np.sin(2 * pi * hertz * np.arange(int(rate * seconds)) / rate)).astype(np.float32)


def write(path: Path, wave: np.ndarray, rate: int = 8000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    wavfile.write(path, rate, np.rint(wave * 32767).astype(np.int16))
    return path


def folder(root: Path) -> Path:
    """Two classes of three sounds each; one of another rate, one in stereo."""
    for at in range(3):
        write(root / "high" / f"{at}.wav", tone(1000, 8000, 0.1 + 0.05 * at))
        write(root / "low" / f"{at}.wav", tone(200, 8000, 0.2))
    write(root / "low" / "2.wav", tone(200, 16000, 0.2), 16000)
    write(root / "low" / "1.wav", np.stack([tone(200, 8000, 0.2), np.zeros(1600)], axis=1))
    return root


def level(wave: np.ndarray) -> float:
    """Root mean square of the middle half, in dB."""
    return float(20 * np.log10(np.sqrt(np.square(wave[len(wave) // 4 : -len(wave) // 4].astype(np.float64)).mean())))


@pytest.mark.parametrize(("rate", "wanted"), [(16000, 8000), (44100, 8000), (11025, 8000), (8000, 16000)])
def test_a_tone_keeps_its_level_at_another_rate(rate: int, wanted: int) -> None:
    made = resample(tone(1000, rate), rate, wanted)
    assert len(made) == -(-len(tone(1000, rate)) * wanted // rate)
    assert abs(level(made) - level(tone(1000, wanted))) < 0.1
    spectrum = np.abs(np.fft.rfft(made * np.hanning(len(made))))
    assert abs(spectrum.argmax() * wanted / len(made) - 1000) < 3


def test_a_tone_that_the_new_rate_cannot_hold_vanishes() -> None:
    assert level(resample(tone(5000, 16000), 16000, 8000)) < level(tone(5000, 16000)) - 60
    sliced = tone(5000, 16000)[::2]
    assert level(sliced) > -10, "without a filter it would come back at 3 kHz"


def test_a_folder_becomes_samples_of_one_rate_with_a_mask(tmp_path: Path) -> None:
    records = verify(as_records(folder(tmp_path)))
    assert records.kind == "sequence"
    assert records.classes == ("high", "low")
    preparation = Preparation.fit(records)
    assert preparation.spec.shape == (1600, 1)
    assert (preparation.spec.rate, preparation.spec.classes) == (8000, ("high", "low"))
    said = preparation.describe()
    assert "1 mixed down" in said
    assert "1 resampled" in said
    batch = preparation.source(records).fetch(range(6))
    assert batch.mask is not None
    assert batch.mask.sum(1).tolist() == [800, 1200, 1600, 1600, 1600, 1600]
    assert not batch.x[..., 0][~batch.mask].any()
    assert batch.x.abs().max() <= 1
    assert batch.y is not None
    assert batch.y.tolist() == [0, 0, 0, 1, 1, 1]
    np.testing.assert_allclose(batch.x[0, :800, 0], tone(1000, 8000, 0.1), atol=1e-4)
    assert level(batch.x[5, :, 0].numpy()) == pytest.approx(level(batch.x[3, :, 0].numpy()), abs=0.1)
    assert level(batch.x[4, :, 0].numpy()) == pytest.approx(level(batch.x[3, :, 0].numpy()) - 6.02, abs=0.1)


def test_padding_can_be_told_from_digital_silence(tmp_path: Path) -> None:
    wave = tone(500, 8000, 0.1)
    wave[700:] = 0
    records = SoundArrays(ids=["a", "b"], waves=[wave, tone(500, 8000, 0.2)], rate=8000)
    batch = Preparation.fit(records).source(records).fetch([0, 1])
    assert batch.x[0, 799, 0] == float(SILENCE)
    assert not batch.x[0, 800:].any()


@pytest.mark.parametrize(("normalise", "rms", "peak"), [("none", None, 0.5), ("rms", 0.1, None), ("peak", None, 1.0)])
def test_the_level_of_each_sound(normalise: str, rms: float | None, peak: float | None) -> None:
    waves = [tone(500, 8000, level=0.5), tone(500, 8000, level=0.05), np.zeros(800, np.float32)]
    records = SoundArrays(ids=["a", "b", "silent"], waves=waves, rate=8000)
    x = Preparation.fit(records, normalise=normalise).source(records).fetch([0, 1, 2]).x  # type: ignore[arg-type]
    if rms is not None:
        np.testing.assert_allclose(x[:2].square().mean((1, 2)).sqrt(), rms, rtol=1e-4)
    if peak is not None:
        assert float(x[0].abs().max()) == pytest.approx(peak, rel=1e-4)
        assert float(x[1].abs().max()) == pytest.approx(peak if normalise == "peak" else peak / 10, rel=1e-4)
    assert x[2].abs().max() <= SILENCE


def test_crops_are_keyed_by_seed_epoch_and_row_alone() -> None:
    waves = [np.linspace(-1, 1, 500 + 40 * at, dtype=np.float32) for at in range(6)]
    waves.append(waves[0][:30])
    records = SoundArrays(ids=[str(at) for at in range(7)], labels=np.arange(7), waves=waves, rate=8000)
    preparation = Preparation.fit(records, window=64)
    assert preparation.spec.shape == (700, 1)
    assert preparation.crops(16) == 1

    def source(seed: int = 0, memory: int = 1 << 30) -> WaveSource:
        made = preparation.source(records, [1, 3, 5, 6], crops=1, seed=seed, memory=memory)
        assert isinstance(made, WaveSource)
        return made

    batch = source().fetch([0, 1, 2, 3], epoch=2)
    assert source().spec.shape == (64, 1)
    assert batch.x.shape == (4, 64, 1)
    assert batch.mask is not None
    assert batch.mask.sum(1).tolist() == [64, 64, 64, 30]
    assert batch.index.tolist() == [1, 3, 5, 6]
    assert batch.y is not None
    assert batch.y.tolist() == [1, 3, 5, 6]
    for row, found in zip(batch.index.tolist()[:3], batch.x[:3, :, 0].numpy(), strict=True):
        start = int(np.abs(waves[row] - found[0]).argmin())
        np.testing.assert_array_equal(found, waves[row][start : start + 64])
    alone = source(memory=0).fetch([2], epoch=2)
    assert (alone.x == batch.x[2:3]).all()
    assert not (source().fetch([2], epoch=3).x == alone.x).all()
    assert not (source(seed=1).fetch([2], epoch=2).x == alone.x).all()


def test_without_a_window_sounds_are_trained_on_whole() -> None:
    records = SoundArrays(ids=["a", "b"], waves=[tone(500, 8000, 0.1), tone(500, 8000, 3.0)], rate=8000)
    preparation = Preparation.fit(records)
    assert (preparation.spec.shape, preparation.crops(16)) == ((24000, 1), None)
    assert preparation.source(records).spec == preparation.spec


def test_it_is_saved_as_json_and_prepares_the_same_again(tmp_path: Path) -> None:
    records = as_records(folder(tmp_path))
    preparation = Preparation.fit(records, rate=6000, window=100, normalise="rms")
    again = Preparation.from_json(json.loads(json.dumps(preparation.to_json())))
    assert again == preparation
    assert isinstance(again.how, Waves)
    x = preparation.source(records).fetch([0, 5]).x
    assert (again.source(records).fetch([0, 5]).x == x).all()
    restored = again.restore(x)
    assert isinstance(restored, np.ndarray)
    assert (restored.shape, restored.dtype) == ((2, 1200), np.float32)


def test_a_later_file_of_another_rate_or_length_is_brought_to_the_same(tmp_path: Path) -> None:
    records = as_records(folder(tmp_path / "train"))
    preparation = Preparation.fit(records)
    later = as_records(write(tmp_path / "later.wav", tone(300, 22050, 1.0), 22050))
    batch = preparation.source(later).fetch([0])
    assert batch.x.shape == (1, 1600, 1)
    assert batch.mask is not None
    assert batch.mask.all()
    listed = as_records([tmp_path / "later.wav"])
    assert (preparation.source(listed).fetch([0]).x == batch.x).all()


def test_flac_is_read_and_names_the_extra_where_it_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    soundfile = pytest.importorskip("soundfile")
    for at in range(2):
        soundfile.write(tmp_path / f"{at}.flac", tone(300 + at, 8000), 8000)
        write(tmp_path / f"{at}.wav", tone(300 + at, 8000))
    records = as_records(tmp_path)
    assert np.abs(records.read(0) - records.read(1)).max() < 1e-4
    with_soundfile = [records.read(row) for row in range(4)]
    monkeypatch.setattr(sounds_module, "find_spec", lambda _: None)
    plain = as_records([tmp_path / "0.wav", tmp_path / "1.wav"])
    np.testing.assert_array_equal(plain.read(0), with_soundfile[1])
    assert Preparation.fit(plain).spec.shape == (4000, 1)
    with pytest.raises(ExtraError, match=r"urbild\[audio\]"):
        as_records([tmp_path / "0.flac"]).read(0)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float32])
def test_both_readers_agree_on_every_depth(tmp_path: Path, dtype: type, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("soundfile")
    wave = tone(300, 8000, 0.05)
    made = {np.uint8: wave * 127 + 128, np.int16: wave * 32767, np.int32: wave.astype(np.float64) * 2147483647}
    wavfile.write(tmp_path / "a.wav", 8000, made.get(dtype, wave).astype(dtype))
    records = as_records(tmp_path / "a.wav")
    one = records.read(0)
    monkeypatch.setattr(sounds_module, "find_spec", lambda _: None)
    np.testing.assert_allclose(as_records(tmp_path / "a.wav").read(0), one, atol=1e-6)
    np.testing.assert_allclose(one[:, 0], wave, atol=2 / 128 if dtype == np.uint8 else 1e-4)


def test_bad_sound_is_told_in_one_sentence(tmp_path: Path) -> None:
    good = folder(tmp_path / "good")
    write(tmp_path / "empty" / "a.wav", np.zeros(0))
    with pytest.raises(DataError, match="holds no sample of sound"):
        verify(as_records(tmp_path / "empty"))
    (good / "low" / "3.wav").write_bytes(b"RIFF no sound")
    with pytest.raises(DataError, match=r"3\.wav is no readable sound"):
        verify(as_records(good))
    assert verify(as_records(good), skip_bad=True).skipped == ("low/3.wav",)
    (good / "low" / "3.wav").unlink()
    write(good / "low" / "4.wav", tone(200, 8000, 0.001))
    with pytest.raises(DataError, match=r"4\.wav is too short: 8 samples at 8000 Hz"):
        Preparation.fit(as_records(good))
    (good / "low" / "4.wav").unlink()
    (good / "cover.png").write_bytes(b"")
    with pytest.raises(DataError, match="both images"):
        as_records(good)
    broken = np.full(100, np.nan, np.float32)
    wavfile.write(tmp_path / "nan.wav", 8000, broken)
    with pytest.raises(DataError, match="not finite"):
        as_records(tmp_path / "nan.wav").read(0)


def test_options_of_other_data_are_refused() -> None:
    sounds = SoundArrays(ids=["a", "b"], waves=[tone(500, 8000)] * 2, rate=8000)
    images = as_records(np.zeros((2, 8, 8), np.uint8))
    with pytest.raises(OptionError, match="patch is one of the options for images"):
        Preparation.fit(sounds, patch=8)
    with pytest.raises(OptionError, match="window is one of the options for sound"):
        Preparation.fit(images, window=8)
    with pytest.raises(OptionError, match="window=3"):
        Preparation.fit(sounds, window=3)
    with pytest.raises(OptionError, match="'image' is unknown for sound"):
        Preparation.fit(sounds, normalise="image")
    with pytest.raises(ShapeError, match="image data"):
        Preparation.fit(sounds).check(images)


def test_spoken_digits_by_digit_and_by_speaker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "fsdd").mkdir()
    with zipfile.ZipFile(tmp_path / "fsdd" / "fsdd_recordings.zip", "w") as archive:
        for digit in range(2):
            for speaker in ("george", "lucas"):
                for take in (0, 4, 5, 49):
                    held = BytesIO()
                    wavfile.write(held, 8000, np.rint(tone(200 + digit + take, 8000) * 3e4).astype(np.int16))
                    archive.writestr(f"recordings/{digit}_{speaker}_{take}.wav", held.getvalue())
    monkeypatch.setenv("URBILD_DATA", str(tmp_path))
    train = as_records("fsdd", reading=Reading(part="train", group_by="_([a-z]+)_"))
    assert train.ids[0] == "0_george_49.wav"
    assert (len(train), train.classes) == (8, ("0", "1"))
    assert train.groups is not None
    assert train.groups.tolist() == [0, 0, 1, 1] * 2
    test = as_records("fsdd/speakers", reading=Reading(part="test"))
    assert test.classes == ("george", "lucas")
    assert {name.split("_")[2] for name in test.ids} == {"0.wav", "4.wav"}
    assert train.checksum != test.checksum
    monkeypatch.delenv("URBILD_DATA")
    with pytest.raises(DataError, match="URBILD_DATA"):
        as_records("fsdd")


@pytest.mark.data
def test_the_spoken_digits_are_those_of_their_page(real_data: Path) -> None:
    test, train = (as_records("fsdd", reading=Reading(part=part)) for part in ("test", "train"))  # type: ignore[arg-type]
    assert (len(test), len(train)) == (300, 2700)
    seconds = sum(len(test.read(row)) for row in range(300)) + sum(len(train.read(row)) for row in range(2700))
    assert seconds / 8000 / 60 == pytest.approx(21.9, abs=0.1)
    peaks = [float(np.abs(test.read(row)).max()) for row in range(300)]
    assert float(np.median(peaks)) == pytest.approx(0.27, abs=0.05)


def test_a_system_learns_from_a_folder_and_comes_back(tmp_path: Path) -> None:
    options = {"steps": 3, "window": 64, "cycles": 1, "dilations": 2, "residual": 4, "skip": 4, "device": "cpu"}
    model = runs.train("wavenet", str(folder(tmp_path / "data")), out=tmp_path / "run", **options)
    assert model.spec.shape == (1600, 1)
    again = runs.load(tmp_path / "run", device="cpu")
    assert isinstance(again.preparation.how, Waves)
    assert again.preparation.how.window == 64
