"""Sound on the command line: from a folder of files to samples that can be heard, and to verdicts on files."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.io import wavfile

from urbild.cli.main import main

SMALL = ["--cycles", 1, "--dilations", 3, "--residual", 8, "--skip", 8, "--levels", 16, "--device", "cpu"]


@pytest.fixture(scope="module")
def hums(tmp_path_factory) -> Path:
    """Hums of 30 to 60 ms in two classes; every third one in stereo, every fourth at 16 kHz."""
    root = tmp_path_factory.mktemp("hums")
    rng = np.random.default_rng(0)
    for name, hertz in (("deep", 200), ("high", 900)):
        (root / name).mkdir()
        for number in range(24):
            rate = 16000 if number % 4 == 0 else 8000
            wave = 0.4 * np.sin(2 * np.pi * hertz * np.arange(rate * (30 + number) // 1000) / rate + rng.uniform(0, 6))
            wave = np.stack([wave, wave], axis=1) if number % 3 == 0 else wave
            wavfile.write(root / name / f"{number:02d}.wav", rate, np.rint(wave * 32767).astype(np.int16))
    return root


@pytest.fixture(scope="module")
def trained(hums, tmp_path_factory) -> Path:
    run = tmp_path_factory.mktemp("wavenet") / "run"
    words = ["train", "wavenet", hums, "--conditional", "--steps", 5, "--window", 128, "--out", run, "--quiet"]
    assert main([str(word) for word in [*words, *SMALL]]) == 0
    return run


def test_samples_are_files_that_can_be_heard(cli, trained):
    told = cli("sample", trained, "--n", 2, "--out", "hum.wav")
    assert told.out == "2 samples: hum-0.wav to hum-1.wav\n"
    rate, wave = wavfile.read("hum-0.wav")
    assert (rate, wave.shape, wave.dtype) == (8000, (424,), np.int16)
    cli("sample", trained, "--n", 1, "--out", "one.wav", "--given", "high", "--seed", 3)
    cli("sample", trained, "--n", 1, "--out", "one.npy", "--given", "high", "--seed", 3)
    np.testing.assert_allclose(np.load("one.npy")[0], wavfile.read("one.wav")[1] / 32767, atol=1e-4)
    found = json.loads(cli("sample", trained, "--n", 2, "--out", "hum.wav", "--json").out)
    assert found["out"] == ["hum-0.wav", "hum-1.wav"]
    assert "can be written as .npy, .npz, .wav" in cli("sample", trained, "--out", "hum.png").sentence
    assert "did you mean high" in cli("sample", trained, "--given", "hihg").sentence


def test_what_is_done_to_the_files_is_said(cli, hums):
    told = cli("train", "wavenet", hums, "--steps", 2, "--out", "run", *SMALL)
    assert told.code == 0
    assert "16 mixed down to one channel; 12 resampled; 8,000 Hz" in told.err + told.out
    assert "samples.wav" in told.err + told.out


def test_what_a_trained_model_does_not_hear_is_said(cli, trained, tmp_path):
    later = tmp_path / "later"
    later.mkdir()
    for name, shape in (("long", (425,)), ("stereo", (300, 2))):
        noise = 5e3 * np.random.default_rng(0).normal(size=shape)
        wavfile.write(later / f"{name}.wav", 8000, np.rint(noise).astype(np.int16))
    for words in (("score", trained, later), ("complete", trained, later, "--out", "x.wav")):
        told = cli(*words)
        assert told.out.startswith("1 mixed down to one channel; 8,000 Hz\n")
        assert "1 sound is longer than the 424 samples of the longest training sound" in told.err
    (later / "long.wav").unlink()
    (later / "stereo.wav").unlink()
    wavfile.write(later / "mono.wav", 8000, np.rint(noise[:, 0]).astype(np.int16))
    told = cli("score", trained, later)
    assert "mixed" not in told.out
    assert "longest" not in told.err


@pytest.mark.parametrize("system", ["wavenet", "vqvae_audio"])
def test_classes_without_a_training_sample_are_not_chosen_and_refused(cli, hums, system):
    voice = ("--decoder", "Dilated", "--decoder.cycles", 1, "--decoder.dilations", 3, "--width", 8, "--hop", 16)
    small = SMALL if system == "wavenet" else (*voice, "--device", "cpu")
    words = ("--conditional", "--normal", "deep", "--steps", 2, "--window", 128, "--out", "run", "--quiet")
    assert cli("train", system, hums, *words, *small).code == 0
    if system == "wavenet":
        assert cli("sample", "run", "--n", 3, "--out", "x.npy").code == 0
        assert "'high' had no sample in training" in cli("sample", "run", "--given", "high").sentence
        assert not list(Path("run").glob("samples*"))
        return
    prior = ("--prior", "GatedPrior", "--prior.layers", 2, "--prior.width", 4, "--steps", 2, "--quiet")
    assert cli("train", "latent_prior", hums, "--codes", "run", "--conditional", "--out", "prior", *prior).code == 0
    assert cli("sample", "prior", "--n", 3, "--out", "x.npy").code == 0, "of words that no voice was told"


def test_a_detector_of_sounds_scores_each_file(cli, hums):
    told = cli("fit", hums / "deep", "--model", "wavenet", "--steps", 60, "--normalise", "rms", "--out", "run", *SMALL)
    assert told.code == 0
    cli("score", "run", hums, "--out", "scores.csv")
    scores = pd.read_csv("scores.csv").set_index("id")["score"]
    assert len(scores) == 48
    assert scores[[name.startswith("high") for name in scores.index]].median() > scores.median()
    assert cli("evaluate", "run", hums, "--normal", "deep").code == 0
    assert cli("report", "run").code == 0


def test_bad_sound_is_refused_in_one_sentence(cli, hums, trained, tmp_path):
    flat = tmp_path / "flat"
    flat.mkdir()
    for number in range(3):
        noise = 5e3 * np.random.default_rng(number).normal(size=90)
        wavfile.write(flat / f"{number}.wav", 8000, np.rint(noise).astype(np.int16))
    assert "no classes" in cli("train", "wavenet", flat, "--conditional", "--quiet", *SMALL).sentence
    assert "window=3" in cli("train", "wavenet", flat, "--window", 3, *SMALL).sentence
    assert "options for images" in cli("train", "wavenet", flat, "--patch", 8, *SMALL).sentence
    assert "not sequence" in cli("train", "vae", flat, "--quiet").sentence
    words = ("train", "classifier", hums, "--window", 100, "--steps", 1, "--quiet", "--device", "cpu")
    assert "classifier takes sounds of one length" in cli(*words).sentence
    assert "options for sound" in cli("train", "vae", "digits", "--window", 100).sentence
    wavfile.write(flat / "empty.wav", 8000, np.zeros(0, np.int16))
    assert "empty.wav is empty" in cli("train", "wavenet", flat, *SMALL).sentence
    assert "image data, but the model was trained on sequence data" in cli("score", trained, "digits").sentence


def test_sounds_are_completed_from_their_beginning(cli, hums, trained):
    told = cli("complete", trained, hums, "--n", 2, "--draws", 2, "--share", 0.25, "--out", "rest.wav")
    assert told.out.endswith("4 completions: rest-0.wav to rest-3.wav\n")
    rate, wave = wavfile.read("rest-1.wav")
    assert (rate, wave.shape) == (8000, (424,))
    words = ("--n", 3, "--draws", 2, "--share", 0.25, "--observed", "start", "--given", "high", "--out", "rest.npz")
    assert json.loads(cli("complete", trained, hums, *words, "--json").out)["sounds"] == 3
    with np.load("rest.npz") as found:
        made, ids = found["x"], found["ids"]
    assert made.shape == (3, 2, 424)
    original = wavfile.read(hums / ids[1])[1].astype(np.float32) / 32768
    kept = round(len(original) / 4)
    assert ids[1].endswith("01.wav"), "mono, and of the run's own rate"
    np.testing.assert_allclose(made[1, :, :kept], np.stack([original[:kept]] * 2), atol=1e-6)
    assert (made[1, 0, kept:] != made[1, 1, kept:]).mean() > 0.5


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--share", 0), "a share between 0 and 1"),
        (("--share", 1), "a share between 0 and 1"),
        (("--share", "nan"), "share"),
        (("--observed", "top"), "of sound the beginning is kept"),
        (("--out", "x.png"), ".wav"),
    ],
)
def test_parts_of_sound_that_cannot_be_kept(cli, hums, trained, words, sentence):
    out = () if "--out" in words else ("--out", "x.wav")
    assert sentence in cli("complete", trained, hums, *words, *out).sentence
    assert not list(Path().glob("x*"))
