"""A code autoencoder, and the prior that makes samples of it."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.io import wavfile

from urbild.cli.main import main

SMALL = ["--hidden", "8", "--residual", "1", "--code-size", "4", "--down", "1", "--steps", "5", "--quiet"]


def run(*words: object) -> int:
    return main([str(word) for word in words])


@pytest.fixture(scope="module")
def codes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("codes") / "vqvae"
    assert run("train", "vqvae", "digits", "--out", out, *SMALL) == 0
    return out


def test_without_a_prior_sample_names_the_command_that_trains_one(codes: Path, capsys) -> None:
    assert run("sample", codes) == 2
    said = capsys.readouterr().err
    assert f"no prior over its codes; train one with `urbild train latent_prior DATA --codes {codes}`" in said


def test_a_prior_is_trained_on_a_run_and_samples(codes: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "prior"
    small = ["--prior", "GatedPrior", "--prior.layers", "2", "--prior.width", "4", "--steps", "5", "--quiet"]
    assert run("train", "latent_prior", "digits", "--codes", codes, "--conditional", "--out", out, *small) == 0
    manifest = json.loads((out / "urbild.json").read_text())
    assert manifest["model"]["options"]["autoencoder"]["hidden"] == 8
    assert manifest["training"]["steps"] == {"prior": 5}
    assert run("sample", out, "--given", "3", "--n", "4", "--out", tmp_path / "s.npy", "--quiet") == 0
    assert np.load(tmp_path / "s.npy").shape[0] == 4
    assert run("encode", out, "digits", "--out", tmp_path / "a.npy", "--quiet") == 0
    assert run("encode", codes, "digits", "--out", tmp_path / "b.npy", "--quiet") == 0
    assert np.array_equal(np.load(tmp_path / "a.npy"), np.load(tmp_path / "b.npy"))
    capsys.readouterr()
    again = ["train", "latent_prior", "digits", "--codes", codes, "--size", "16", "--out", tmp_path / "x"]
    assert run(*again) == 2
    assert "leave size out" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_runs_that_fit_no_prior_are_refused(codes: Path, tmp_path: Path, capsys) -> None:
    assert run("train", "vae", "digits", "--steps", "2", "--out", tmp_path / "vae", "--quiet") == 0
    capsys.readouterr()
    assert run("train", "latent_prior", "digits", "--codes", tmp_path / "vae", "--out", tmp_path / "x") == 2
    assert "whose codes are no symbols" in capsys.readouterr().err
    assert run("train", "vae", "digits", "--codes", codes, "--out", tmp_path / "x") == 2
    assert "vae is built on no other run" in capsys.readouterr().err
    words = ["latent_prior", "digits", "--codes", codes, "--autoencoder", "Vqvae2Codes", "--out", tmp_path / "x"]
    assert run("train", *words) == 2
    assert "leave autoencoder out, or codes" in capsys.readouterr().err
    table = tmp_path / "table.csv"
    table.write_text("a,b\n" + "".join(f"{row},{row % 7}\n" for row in range(30)))
    assert run("train", "latent_prior", table, "--codes", codes, "--out", tmp_path / "x") == 2
    assert "vector data" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


SMALL_PRIOR = ["--prior", "GatedPrior", "--prior.layers", "2", "--prior.width", "4", "--steps", "3", "--quiet"]


@pytest.mark.parametrize("system", ["vqvae2", "pixelcnn_vqvae"])
def test_a_prior_is_trained_on_codes_of_other_systems(system: str, tmp_path: Path, capsys) -> None:
    small = {"vqvae2": SMALL, "pixelcnn_vqvae": ["--layers", "2", "--width", "4", "--steps", "3", "--quiet"]}[system]
    assert run("train", system, "digits", "--out", tmp_path / "codes", *small) == 0
    capsys.readouterr()
    assert run("sample", tmp_path / "codes") == 2
    assert "latent_prior DATA --codes" in capsys.readouterr().err
    words = ["latent_prior", "digits", "--codes", tmp_path / "codes", "--conditional", "--out", tmp_path / "prior"]
    assert run("train", *words, *SMALL_PRIOR) == 0
    assert run("sample", tmp_path / "prior", "--given", "3", "--n", "2", "--out", tmp_path / "s.npy", "--quiet") == 0
    assert np.load(tmp_path / "s.npy").shape[0] == 2


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same sounds of 20 to 40 ms in folders by voice, and in folders by word."""
    rng, root = np.random.default_rng(0), tmp_path_factory.mktemp("spoken")
    for number in range(24):
        time = np.arange(8 * (20 + 10 * (number % 3))) / 8000
        wave = np.sin(2 * np.pi * (300 if number % 2 else 700) * time + rng.uniform(0, 6))
        for kind, name in (("voices", "deep" if number % 2 else "high"), ("words", ["a", "be", "see"][number % 3])):
            (root / kind / name).mkdir(parents=True, exist_ok=True)
            wavfile.write(root / kind / name / f"{number:02d}.wav", 8000, np.rint(9000 * wave).astype(np.int16))
    return {kind: root / kind for kind in ("voices", "words")}


def test_a_prior_of_words_is_trained_on_codes_that_any_voice_can_say(spoken, tmp_path: Path, capsys) -> None:
    voice = ["--decoder", "Dilated", "--decoder.cycles", 1, "--decoder.dilations", 3, "--width", 8, "--hop", 16]
    words = ["vqvae_audio", spoken["voices"], "--conditional", "--window", 128, "--out", tmp_path / "codes"]
    assert run("train", *words, *voice, "--steps", 3, "--quiet") == 0
    out = tmp_path / "prior"
    words = ["latent_prior", spoken["words"], "--codes", tmp_path / "codes", "--conditional", "--out", out]
    assert run("train", *words, *SMALL_PRIOR) == 0
    manifest = json.loads((out / "urbild.json").read_text())
    assert manifest["model"]["options"]["autoencoder"]["classes"] == ["deep", "high"]
    assert manifest["preparation"]["spec"]["classes"] == ["a", "be", "see"]
    assert manifest["preparation"]["waves"]["window"] is None
    assert run("sample", out, "--given", "be", "--n", 2, "--out", tmp_path / "be.wav", "--quiet") == 0
    rate, wave = wavfile.read(tmp_path / "be-1.wav")
    assert (rate, wave.shape) == (8000, (320,))
    assert run("score", out, spoken["words"], "--out", tmp_path / "scores.csv", "--quiet") == 0
    assert run("complete", out, spoken["words"], "--n", 1, "--share", 0.5, "--out", tmp_path / "c.wav", "--quiet") == 0
    capsys.readouterr()
    assert run("train", "latent_prior", "digits", "--codes", tmp_path / "codes", "--out", tmp_path / "x") == 2
    said = capsys.readouterr().err
    assert "image data, but the model was trained on sequence data" in said
    assert said.count("\n") == 1
    assert not (tmp_path / "x").exists()
