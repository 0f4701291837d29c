"""`evaluate --features` and `--samples`: what is said of generated samples, and what is refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from urbild.cli.main import main
from urbild.evaluation import Evaluation


def trained(place: Path, *words: object) -> Path:
    assert main([str(word) for word in ("train", *words, "--out", place, "--quiet")]) == 0
    return place


@pytest.fixture(scope="module")
def judge(tmp_path_factory) -> Path:
    return trained(tmp_path_factory.mktemp("judge") / "run", "classifier", "digits", "--width", 16, "--steps", 120)


@pytest.fixture(scope="module")
def generator(tmp_path_factory) -> Path:
    return trained(tmp_path_factory.mktemp("vae") / "run", "vae", "digits", "--latent", 4, "--width", 16, "--steps", 60)


@pytest.fixture
def run(generator, tmp_path) -> Path:
    return Path(shutil.copytree(generator, tmp_path / "run"))


def test_samples_are_measured_in_the_space_of_a_judge(cli, run, judge):
    answer = cli("evaluate", run, "digits", "--features", judge)
    assert answer.code == 0
    for said in ("FID", "real samples", "KID", "recall (k = 3)", "Inception score", "nearest training sample"):
        assert said in answer.out, said
    assert "300 samples beside 300 real ones" in answer.out + answer.err
    found = Evaluation.load(run)
    assert {"fid", "fid_real", "coverage", "density", "sliced_wasserstein", "distinct"} <= set(found.metrics)
    assert found.nearest.shape == found.samples.shape
    assert cli("report", run).code == 0
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "FID, n 300" in page
    assert "FID, n 300, real samples" in page
    assert "nearest to sample 16, at a distance of" in page
    assert "real images that were held out" in page


def test_one_object(cli, run):
    found = json.loads(cli("evaluate", run, "digits", "--samples", 100, "--part", "all", "--json").out)
    assert found["samples"]["samples_measured"] == 100
    assert "pixels themselves: 64 values" in found["samples"]["feature_space"]
    assert found["measures"]["fid"]["value"] > 0
    assert "nearest_training" not in found["measures"]
    assert any("--training" in note for note in found["notes"])


def test_without_being_asked_no_samples_are_measured(cli, run):
    found = json.loads(cli("evaluate", run, "digits", "--normal", "3", "--json").out)
    assert "fid" not in found["measures"]
    assert found["samples"] == {}


def test_what_only_samples_is_measured_by_its_samples(cli, tmp_path):
    place = trained(tmp_path / "gan", "gan", "ring8", "--steps", 3)
    found = json.loads(cli("evaluate", place, "ring8", "--json").out)
    assert {"fid", "modes_held"} <= set(found["measures"])


def test_points_have_modes(cli, tmp_path):
    place = trained(tmp_path / "points", "vae", "ring8", "--steps", 20)
    found = json.loads(cli("evaluate", place, "ring8", "--samples", 300, "--json").out)["measures"]
    assert found["good_samples"]["value"] < 0.5
    assert found["modes_held"]["value"] < 8
    assert found["nearest_training_real"]["value"] < found["nearest_training"]["value"]


def test_bad_input(cli, run, fitted, digits, judge):
    def refused(*words):
        sentence = cli("evaluate", *words).sentence
        assert not (Path(words[0]) / "evaluation.json").exists()
        return sentence

    assert "is not at hand; give a network" in refused(run, "digits", "--features", "inception")
    assert "tells no classes" in refused(run, "digits", "--features", run)
    assert "does not sample" in refused(fitted, digits, "--samples", 20, "--part", "all")
    assert "--samples: 0 is too small" in refused(run, "digits", "--samples", 0)
    assert "needs more than 64 samples" in refused(run, "digits", "--samples", 20)
    assert "give --samples 300 or less" in refused(run, "digits", "--samples", 5000)
    assert "needs more than 128 samples" in refused(run, "digits", "--samples", 100, "--features", judge)
    np.save("other.npy", np.zeros((40, 9, 9), np.uint8))
    assert "9, 9, 1" in refused(run, "other.npy", "--samples", 20)
