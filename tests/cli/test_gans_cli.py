"""Adversarial networks from the command line: they sample, and say so where a score is asked of them."""

import json
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def points(tmp_path) -> Path:
    """A table of points in the plane, in two classes."""
    rng = np.random.default_rng(0)
    rows = [f"{x:.3f},{y:.3f},{'left' if x < 0 else 'right'}" for x, y in rng.normal(size=(60, 2))]
    (tmp_path / "points.csv").write_text("\n".join(["a,b,label", *rows]) + "\n")
    return tmp_path / "points.csv"


SMALL = ("--generator.width", 8, "--critic.width", 8, "--steps", 4, "--quiet")


def test_a_gan_of_a_table_is_trained_and_samples(cli, points):
    parts = ("--constraint", "RealPenalty", "--constraint.weight", 2, "--habits.packing", 2)
    assert cli("train", "gan", points, *SMALL, *parts, "--out", "run").code == 0
    assert json.loads(cli("sample", "run", "--n", 5, "--json").out)["samples"] == 5
    lines = Path("run/samples.csv").read_text().splitlines()
    assert lines[0] == "a,b"
    assert len(lines) == 6


def test_a_plain_gan_does_not_score(cli, points):
    told = cli("fit", points, "--model", "wgan_gp").sentence
    assert "wgan_gp does not score" in told
    assert "vae" in told
    assert cli("train", "gan", points, *SMALL, "--out", "run").code == 0
    told = cli("score", "run", points).sentence
    assert "score" in told
    assert "vae" in told


def test_conditional_training_without_labels_leaves_nothing(cli):
    np.save("bare.npy", np.random.default_rng(0).normal(size=(20, 3)))
    told = cli("train", "conditional_gan", "bare.npy", "--steps", 4, "--quiet", "--out", "run").sentence
    assert "needs labelled data" in told
    assert not Path("run").exists()


def test_a_class_is_asked_for_by_its_name(cli, points):
    assert cli("train", "conditional_gan", points, "--steps", 4, "--quiet", "--out", "run").code == 0
    assert cli("sample", "run", "--n", 3, "--given", "right", "--out", "right.csv").code == 0
    assert len(Path("right.csv").read_text().splitlines()) == 4
    assert "knows no such class" in cli("sample", "run", "--given", "top").sentence


def test_fewer_samples_than_a_batch_are_refused(cli):
    sentence = cli("train", "gan", "ring8", "--batch", 200_000, "--out", "run").sentence
    assert "--batch 200000 is more than the 100000 samples of ring8; give 100000 or less." in sentence
    assert not Path("run").exists()
