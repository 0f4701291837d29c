"""`classify`, and the accuracy that `evaluate` gives a classifier."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from urbild.cli.main import main
from urbild.evaluation import Evaluation


@pytest.fixture(scope="module")
def judge(tmp_path_factory) -> Path:
    """A classifier of scikit-learn's digits."""
    run = tmp_path_factory.mktemp("judge") / "run"
    words = ["train", "classifier", "digits", "--width", 16, "--steps", 150, "--out", run, "--quiet"]
    assert main([str(word) for word in words]) == 0
    return run


def test_classes_and_their_probabilities(cli, judge):
    answer = cli("classify", judge, "digits", "--out", "classes.csv")
    assert answer.out.endswith("600 classes: classes.csv\n")
    frame = pd.read_csv("classes.csv", dtype={"label": str})
    assert list(frame.columns) == ["id", "label", "probability"]
    assert set(frame["label"]) == set("0123456789")
    assert frame["probability"].between(0.1, 1).all()
    assert frame["probability"].mean() > 0.7


def test_the_place_and_the_object_of_a_classification(cli, judge, tmp_path):
    run = Path(shutil.copytree(judge, tmp_path / "run"))
    assert cli("classify", run, "digits", "--quiet").out == f"{run}/classes.csv\n"
    found = json.loads(cli("classify", run, "digits", "--json").out)
    assert found["samples"] == sum(found["counts"].values()) == 600
    assert (run / "classes.csv").exists()


def test_the_accuracy_has_an_interval(cli, judge, tmp_path):
    run = Path(shutil.copytree(judge, tmp_path / "run"))
    answer = cli("evaluate", run, "digits")
    assert "accuracy" in answer.out
    found = Evaluation.load(run).metrics["accuracy"]
    cli("classify", run, "digits", "--out", "classes.csv")
    labels = pd.read_csv("classes.csv")["label"].to_numpy()
    from urbild.data import Reading, as_records

    truth = as_records("digits", reading=Reading(part="test")).labels
    assert found.value == pytest.approx((labels == truth).mean())
    assert 0.9 < found.low < found.value < found.high <= 1
    assert cli("report", run).code == 0


def test_classes_are_compared_by_name_and_strangers_left_out(cli, judge, tmp_path):
    from sklearn.datasets import load_digits

    run = Path(shutil.copytree(judge, tmp_path / "run"))
    images, labels = load_digits(return_X_y=True)
    images = np.rint(images * 255 / 16).astype(np.uint8).reshape(-1, 8, 8)
    words = np.where(labels == 5, "unknown", labels.astype(str))
    some = np.isin(labels, [3, 5, 9])
    np.savez("some.npz", x=images[some], y=words[some])
    found = json.loads(cli("evaluate", run, "some.npz", "--json").out)
    assert found["measures"]["accuracy"]["value"] > 0.9
    assert any("never saw (unknown)" in note and str((labels == 5).sum()) in note for note in found["notes"])


def test_no_label_no_accuracy(cli, judge, tmp_path):
    run = Path(shutil.copytree(judge, tmp_path / "run"))
    np.save("bare.npy", np.zeros((4, 8, 8), np.uint8))
    assert "no sample of bare.npy has a label" in cli("evaluate", run, "bare.npy").sentence
    np.savez("others.npz", x=np.zeros((4, 8, 8), np.uint8), y=np.array(["a", "b", "a", "b"]))
    assert "that the model knows" in cli("evaluate", run, "others.npz").sentence
    assert not (run / "evaluation.json").exists()
    assert cli("classify", run, "bare.npy").code == 0, "naming classes needs no labels"


def test_bad_input(cli, judge, fitted, digits, table):
    assert "pca cannot classify; systems that can: classifier" in cli("classify", fitted, digits).sentence
    assert "image" in cli("classify", judge, table).sentence
    assert ".csv" in cli("classify", judge, "digits", "--out", "classes.png").sentence
    assert not Path("classes.png").exists()


def test_training_without_classes_is_refused_and_leaves_nothing(cli, tmp_path):
    np.save("bare.npy", np.random.default_rng(0).integers(0, 255, (20, 8, 8)).astype(np.uint8))
    assert "no classes" in cli("train", "classifier", "bare.npy", "--out", "run", "--quiet").sentence
    np.savez("one.npz", x=np.load("bare.npy"), y=np.full(20, "scratch"))
    assert "only one class, 'scratch'" in cli("train", "classifier", "one.npz", "--out", "run", "--quiet").sentence
    assert not Path("run").exists()


def test_a_classifier_is_no_detector(cli, digits):
    assert "classifier does not score" in cli("fit", digits, "--model", "classifier").sentence


def test_a_table_is_classified(cli, table):
    assert cli("train", "classifier", table, "--steps", 200, "--out", "run", "--quiet").code == 0
    found = json.loads(cli("evaluate", "run", table, "--json").out)
    assert found["measures"]["accuracy"]["value"] > 0.9
    assert cli("encode", "run", table, "--out", "features.npz").code == 0
    with np.load("features.npz") as features:
        assert features["x"].shape == (200, 128)
