"""Every form of `explore`, on images and tables, and what is refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from urbild.cli.main import main


def trained(name, data, place, *words):
    """A run of few steps."""
    line = ["train", name, data, "--steps", 3, "--out", place, "--quiet", *words]
    assert main([str(word) for word in line]) == 0
    return place


@pytest.fixture(scope="module")
def vae(digits, tmp_path_factory) -> Path:
    return trained("vae", digits, tmp_path_factory.mktemp("vae") / "run", "--latent", 3, "--width", 4)


@pytest.fixture(scope="module")
def gan(digits, tmp_path_factory) -> Path:
    return trained("gan", digits, tmp_path_factory.mktemp("gan") / "run", "--prior.size", 4)


@pytest.fixture(scope="module")
def rows(table, tmp_path_factory) -> Path:
    return trained("autoencoder", table, tmp_path_factory.mktemp("rows") / "run", "--latent", 2, "--width", 4)


def told(cli, *words):
    """The JSON of a command that worked."""
    answer = cli("explore", *words, "--json")
    assert answer.code == 0, answer.err
    return json.loads(answer.out)


def test_ways_between_samples_end_at_their_versions(cli, fitted, digits):
    found = told(cli, fitted, "interpolate", digits, "--n", 3, "--points", 5, "--out", "ways.npz")
    assert found["curve"] == "linear"
    cli("reconstruct", fitted, digits, "--out", "versions.npz")
    with np.load("ways.npz") as ways, np.load("versions.npz") as versions:
        assert ways["x"].shape == (3, 5, 8, 8, 1)
        known = dict(zip(versions["ids"], versions["x"], strict=True))
        for name, line in zip(ways["ids"], ways["x"], strict=True):
            first, last = name.split(" to ")
            assert abs(line[0].astype(int) - known[first]).max() <= 1
            assert abs(line[-1].astype(int) - known[last]).max() <= 1


def test_ways_between_draws_follow_the_seed_and_are_shown(cli, vae):
    found = told(cli, vae, "interpolate", "--n", 2, "--out", "a.npy", "--seed", 1)
    assert (found["curve"], found["law"], found["fitted"]) == ("spherical", "the standard normal prior", False)
    told(cli, vae, "interpolate", "--n", 2, "--out", "b.npy", "--seed", 1)
    told(cli, vae, "interpolate", "--n", 2, "--out", "c.npy", "--seed", 2)
    a, b, c = (np.load(f"{name}.npy") for name in "abc")
    assert a.shape == (2, 9, 8, 8, 1)
    assert (a == b).all()
    assert (a != c).any()
    assert cli("explore", vae, "interpolate", "--n", 2, "--points", 4, "--out", "a.gif").code == 0
    with Image.open("a.gif") as film:
        assert film.format == "GIF"
        assert 1 < film.n_frames <= 6


def test_a_picture_in_the_run_where_no_place_is_given(cli, vae, tmp_path):
    run = Path(shutil.copytree(vae, tmp_path / "run"))
    assert cli("explore", run, "traverse", "--quiet").out == f"{run}/explored-traverse.png\n"
    with Image.open(run / "explored-traverse.png") as picture:
        assert picture.height % 66 > 2, "a line of words stands above the rows"
        assert picture.width > 2 * picture.height  # 9 points of 3 entries


def test_one_entry_of_several_samples_is_traversed(cli, fitted, digits):
    words = ["--entry", 1, "--n", 4, "--points", 3, "--span", 1, "--out", "x.npy"]
    found = told(cli, fitted, "traverse", digits, *words)
    assert found["entries"] == [1]
    assert "fitted to 60 codes" in found["deviations"]
    assert np.load("x.npy").shape == (4, 3, 8, 8, 1)


def test_the_difference_of_two_classes_makes_one_of_the_other(cli, fitted, digits):
    words = ["--plus", "seven", "--minus", "good", "--n", 30, "--points", 2, "--out", "moved.npy"]
    found = told(cli, fitted, "arithmetic", digits, *words)
    assert found["codes"] == {"plus": 30, "minus": 30}
    cli("reconstruct", fitted, digits / "test" / "seven", "--out", "sevens.npy")
    moved, sevens = np.load("moved.npy").astype(float), np.load("sevens.npy").astype(float)
    before, after = (abs(moved[:, at].mean(0) - sevens.mean(0)).mean() for at in (0, 1))
    assert after < 0.2 * before
    assert cli("explore", fitted, "arithmetic", digits, *words[:4], "--on", "seven", "--out", "x.gif").code == 0


def test_codes_of_samples_are_searched(cli, gan, digits):
    words = ["--n", 3, "--starts", 2, "--steps", 20]
    found = told(cli, gan, "project", digits, *words, "--out", "codes.csv")
    assert set(found["start"]) <= {"draw 0", "draw 1"}
    frame = pd.read_csv("codes.csv")
    assert list(frame.columns) == ["id", "error", "start", "z0", "z1", "z2", "z3"]
    np.testing.assert_allclose(frame["error"], found["error"], rtol=1e-5)
    told(cli, gan, "project", digits, *words, "--out", "codes.npz")
    with np.load("codes.npz") as arrays:
        assert arrays["x"].shape == (3, 8, 8, 1)
        np.testing.assert_allclose(arrays["z"], frame[["z0", "z1", "z2", "z3"]], rtol=1e-4, atol=1e-5)
    assert cli("explore", gan, "project", digits, *words, "--out", "pairs.png").code == 0


def test_a_search_begins_at_the_encoder_where_there_is_one(cli, fitted, digits):
    found = told(cli, fitted, "project", digits, "--n", 2, "--steps", 5, "--out", "codes.csv")
    assert found["start"] == ["encoder", "encoder"]


def test_a_way_between_samples_of_a_model_without_encoder(cli, gan, digits):
    words = ["--n", 1, "--steps", 5, "--starts", 1, "--out", "x.png"]
    assert told(cli, gan, "interpolate", digits, *words)["curve"] == "spherical"


@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_a_map_has_a_point_for_each_sample(cli, fitted, digits, method):
    told(cli, fitted, "map", digits, "--method", method, "--samples", 20, "--out", "map.csv")
    frame = pd.read_csv("map.csv")
    assert list(frame.columns) == ["id", "label", "u", "v"]
    assert set(frame["label"]) == {"good", "seven"}
    assert len(frame) == 20
    assert cli("explore", fitted, "map", digits, "--method", method, "--out", "map.png").code == 0


def test_symbols_are_mapped_and_nothing_else(cli, digits, tmp_path):
    words = ["--hidden", 8, "--residual", 1, "--code-size", 4]
    run = trained("vqvae", digits, tmp_path / "vq", *words)
    assert "PCA of symbols" in told(cli, run, "map", digits, "--out", "map.png")["label"]
    for form in ("interpolate", "traverse", "sample", "project", "arithmetic"):
        assert "the codes of vqvae are symbols" in cli("explore", run, form, digits).sentence


@pytest.mark.parametrize("prior", ["auto", "kernel"])
def test_a_model_without_a_prior_draws_from_a_fitted_density_that_is_named(cli, fitted, digits, prior):
    found = told(cli, fitted, "sample", digits, "--n", 4, "--prior", prior, "--out", "x.png")
    assert found["fitted"]
    assert "fitted to 60 codes" in found["law"]
    cli("sample", fitted, "--n", 4)
    with Image.open("x.png") as picture:
        height = picture.height
    grid = 2 * 64 + 2
    assert height > grid  # the words below
    assert "fitted to 60 codes" in cli("explore", fitted, "sample", digits, "--out", "x.npy").out


def test_a_truncated_prior_gives_more_typical_samples(cli, vae):
    told(cli, vae, "sample", "--n", 64, "--out", "a.npy")
    told(cli, vae, "sample", "--n", 64, "--truncation", 0.1, "--out", "b.npy")
    assert np.load("b.npy").std(0).mean() < np.load("a.npy").std(0).mean()


def test_the_class_of_a_conditional_model_is_told(cli, digits, tmp_path):
    words = ["--prior.size", 3, "--normal", "good,seven"]
    run = trained("conditional_gan", digits / "test", tmp_path / "run", *words)
    for given in ("0", "1"):
        told(cli, run, "sample", "--n", 3, "--given", given, "--out", f"{given}.npy")
    assert (np.load("0.npy") != np.load("1.npy")).any()
    told(cli, run, "sample", "--n", 3, "--out", "turn.npy")
    assert (np.load("turn.npy")[1] == np.load("1.npy")[1]).all()


def test_a_table_comes_as_a_table(cli, rows, table):
    found = told(cli, rows, "interpolate", table, "--n", 2, "--points", 3)
    frame = pd.read_csv(found["out"])
    assert {"line", "at", "length", "weight", "colour"} <= set(frame.columns)
    assert frame["at"].tolist() == [0, 0.5, 1] * 2
    told(cli, rows, "traverse", table, "--entry", 0, "--out", "t.csv")
    told(cli, rows, "sample", table, "--out", "s.npz")
    assert len(pd.read_csv("t.csv")) == 8 * 9
    assert cli("explore", rows, "arithmetic", table, "--plus", "heavy", "--minus", "normal", "--out", "a.csv").code == 0
    assert cli("explore", rows, "map", table, "--out", "map.png").code == 0
    told(cli, rows, "project", table, "--n", 3, "--steps", 3, "--out", "p.csv")
    assert "can be written as .csv, .npy, .npz" in cli("explore", rows, "interpolate", table, "--out", "x.png").sentence


def test_a_system_without_codes_names_those_that_have(cli, digits, tmp_path):
    run = trained("nearest", digits, tmp_path / "run")
    for form in ("interpolate", "map"):
        sentence = cli("explore", run, form, digits).sentence
        assert "nearest cannot decode; systems that can: autoencoder, vae" in sentence


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["wander"], "unknown form 'wander' of explore"),
        (["interpolate"], "pca has no prior over its codes; give samples"),
        (["sample"], "pca has no prior over its codes; give samples"),
        (["project"], "project looks at samples, and none are given"),
        (["map"], "map looks at samples, and none are given"),
        (["arithmetic", "DATA", "--plus", "seven"], "name them with --plus and --minus (good, seven)"),
        (["arithmetic", "DATA", "--plus", "sevn", "--minus", "good"], "did you mean seven?"),
        (["arithmetic", "DATA", "--plus", "good", "--minus", "good"], "a class does not differ from itself"),
        (["arithmetic", "DATA/test/good", "--plus", "a", "--minus", "b"], "has no labels"),
        (["interpolate", "DATA/test/good/000.png"], "has only one; give 2 or more"),
        (["interpolate", "DATA", "--points", "1"], "give at least 2"),
        (["interpolate", "DATA", "--truncation", "1"], "these come from samples"),
        (["sample", "DATA", "--prior", "kernel", "--truncation", "1"], "only a normal law can be truncated"),
        (["traverse", "DATA", "--entry", "8"], "entries 0 to 7, and no entry 8"),
        (["map", "DATA", "--entry", "1"], "--entry is an option of traverse, not of map"),
        (["map", "DATA", "--samples", "3"], "at least 5 codes"),
        (["map", "DATA", "--out", "map.gif"], "can be written as .png, .csv"),
        (["project", "DATA", "--steps", "-1"], "cannot be negative"),
        (["project", "DATA", "--n", "0"], "--n: 0 is too small"),
        (["interpolate", "DATA", "--given", "seven"], "not conditioned on a class"),
        (["interpolate", "nowhere"], "neither a path that exists nor a known data set"),
    ],
)
def test_bad_input_gets_one_sentence_and_leaves_nothing(cli, fitted, digits, words, why):
    before = sorted(path.name for path in fitted.iterdir())
    words = [word.replace("DATA", str(digits)) for word in words]
    assert why in cli("explore", fitted, *words).sentence
    assert sorted(path.name for path in fitted.iterdir()) == before
    assert not list(Path().glob("*.*"))


def test_a_prior_of_its_own_needs_no_samples(cli, vae, digits):
    assert "needs no samples" in cli("explore", vae, "sample", digits).sentence
    assert "fitted (--prior kernel)" in cli("explore", vae, "sample", "--prior", "kernel").sentence
