"""A code autoencoder, and the prior that makes samples of it."""

import json
from pathlib import Path

import numpy as np
import pytest

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
    table = tmp_path / "table.csv"
    table.write_text("a,b\n" + "".join(f"{row},{row % 7}\n" for row in range(30)))
    assert run("train", "latent_prior", table, "--codes", codes, "--out", tmp_path / "x") == 2
    assert "vector data" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
