import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from urbild.cli.main import main


@pytest.fixture(scope="module")
def vae(digits, tmp_path_factory) -> Path:
    run = tmp_path_factory.mktemp("vae") / "run"
    words = ["train", "vae", digits, "--latent", 2, "--width", 4, "--steps", 5, "--out", run, "--quiet"]
    assert main([str(word) for word in words]) == 0
    return run


def test_samples_follow_the_seed_and_the_suffix(cli, vae):
    assert cli("sample", vae, "--n", 6, "--out", "a.npy", "--seed", 1).out == "6 samples: a.npy\n"
    cli("sample", vae, "--n", 6, "--out", "b.npz", "--seed", 1)
    cli("sample", vae, "--n", 6, "--out", "c.npy", "--seed", 2)
    a, b, c = np.load("a.npy"), np.load("b.npz")["x"], np.load("c.npy")
    assert a.shape == (6, 8, 8, 1)
    assert a.dtype == np.uint8
    assert (a == b).all()
    assert (a != c).any()
    cli("sample", vae, "--n", 6, "--temperature", 0.01, "--out", "typical.npy")
    assert np.load("typical.npy").std(0).mean() < a.std(0).mean()


def test_samples_are_shown_in_the_run_where_no_place_is_given(cli, vae, tmp_path):
    run = Path(shutil.copytree(vae, tmp_path / "run"))
    assert cli("sample", run, "--n", 9, "--quiet").out == f"{run}/samples.png\n"
    with Image.open(run / "samples.png") as picture:
        assert picture.width >= 3 * 8


def test_reconstructions_are_the_models_version(cli, fitted, digits):
    assert cli("reconstruct", fitted, digits / "test" / "good", "--out", "x.npz").code == 0
    with np.load("x.npz") as found:
        assert found["x"].shape == (30, 8, 8, 1)
        assert found["ids"][3] == "003.png"
        with Image.open(digits / "test" / "good" / "003.png") as picture:
            error = np.abs(found["x"][3, ..., 0].astype(float) - np.asarray(picture)).mean()
    assert 0 < error < 40
    assert cli("reconstruct", fitted, digits, "--out", "x.png").code == 0
    with Image.open("x.png") as picture:
        assert picture.width > picture.height / 2


def test_a_run_on_patches_has_no_version_of_whole_images(cli, digits):
    assert cli("train", "pca", digits, "--patch", 4, "--out", "run").code == 0
    assert "works on patches of 4 px" in cli("reconstruct", "run", digits).sentence


def test_codes(cli, fitted, digits):
    assert cli("encode", fitted, digits / "test" / "good", "--out", "codes.csv").code == 0
    frame = pd.read_csv("codes.csv")
    assert list(frame.columns) == ["id", *(f"z{entry}" for entry in range(8))]
    assert cli("encode", fitted, digits / "test" / "good", "--out", "codes.npz").code == 0
    with np.load("codes.npz") as found:
        np.testing.assert_allclose(found["x"], frame.drop(columns="id").to_numpy(), rtol=1e-5)


def test_a_table_comes_back_in_its_own_units(cli, table):
    assert cli("fit", table, "--model", "pca", "--components", 3, "--out", "run").code == 0
    assert cli("reconstruct", "run", table, "--out", "x.csv").code == 0
    found, given = pd.read_csv("x.csv"), pd.read_csv(table)
    assert {"length", "weight", "colour"} <= set(found.columns)
    assert abs(found["length"][:180] - given["length"][:180]).mean() < 1


def test_the_catalogue_and_one_card(cli):
    listed, shown = cli("models").out, cli("models", "vae").out
    assert "nearest" in listed
    assert "Kingma and Welling 2013" in shown
    assert "--likelihood.scale" in shown
