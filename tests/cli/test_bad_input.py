"""Every bad input gets one sentence on stderr, exit code 2, and leaves nothing half-written."""

import json
import os
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image


@pytest.fixture
def photos(digits, tmp_path) -> Path:
    return Path(shutil.copytree(digits / "train" / "good", tmp_path / "photos"))


@pytest.fixture
def run(fitted, tmp_path) -> Path:
    return Path(shutil.copytree(fitted, tmp_path / "run"))


def fit(cli, path, *words) -> str:
    """The sentence that a fit is refused with; no run is left."""
    sentence = cli("fit", path, "--model", "pca", *words).sentence
    assert not Path("urbild-runs").exists()
    return sentence


def test_nothing_there(cli):
    assert "'photoos' is neither a path that exists nor a known data set" in fit(cli, "photoos")


def test_empty_folder(cli, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "empty" in fit(cli, "empty")


def test_no_image_in_a_folder(cli, tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "read.me").write_text("no image")
    assert "image" in fit(cli, "notes")


@pytest.mark.parametrize("damage", ["zero", "truncated", "corrupt"])
def test_a_bad_image_is_named(cli, photos, damage):
    victim = photos / "007.png"
    content = victim.read_bytes()
    victim.write_bytes({"zero": b"", "truncated": content[: len(content) // 2], "corrupt": os.urandom(200)}[damage])
    sentence = fit(cli, photos)
    assert "007.png" in sentence
    assert "--skip-bad" in sentence


def test_an_image_above_the_limit_is_refused_and_the_limit_can_be_raised(cli, photos):
    Image.new("L", (100, 90)).save(photos / "large.png")
    sentence = fit(cli, photos, "--max-pixels", 5000)
    assert "large.png" in sentence
    assert "--max-pixels" in sentence
    assert cli("fit", photos, "--model", "pca", "--size", 8, "--max-pixels", 9000, "--out", "run").code == 0


def test_a_bomb_is_refused_without_decoding_it(cli, photos):
    Image.new("1", (30_000, 30_000)).save(photos / "bomb.png")
    assert "bomb.png" in fit(cli, photos)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_value_that_is_not_finite_is_named(cli, table, tmp_path, bad):
    frame = pd.read_csv(table)
    frame.loc[17, "weight"] = bad
    frame.to_csv(tmp_path / "bad.csv", index=False)
    sentence = fit(cli, "bad.csv")
    assert "17" in sentence
    assert "weight" in sentence
    np.save(tmp_path / "bad.npy", frame[["length", "weight"]].to_numpy())
    sentence = fit(cli, "bad.npy")
    assert "17" in sentence
    assert "column" in sentence


def test_other_columns_at_scoring_time_are_named(cli, table, tmp_path):
    assert cli("fit", table, "--model", "pca", "--out", "run").code == 0
    pd.read_csv(table).rename(columns={"weight": "mass"}).to_csv(tmp_path / "other.csv", index=False)
    sentence = cli("score", "run", "other.csv", "--out", "scores.csv").sentence
    assert "weight" in sentence
    assert not Path("scores.csv").exists()


def test_other_kinds_and_channels_at_scoring_time(cli, run, table, tmp_path):
    assert "image" in cli("score", run, table).sentence
    Image.new("RGB", (8, 8), (255, 0, 0)).save(tmp_path / "red.png")
    assert cli("score", run, "red.png").sentence


def test_one_normal_sample_is_too_few(cli, tmp_path, digits):
    (tmp_path / "one").mkdir()
    shutil.copy(digits / "train" / "good" / "000.png", tmp_path / "one")
    assert "two" in fit(cli, "one")


def test_samples_that_are_all_alike(cli, tmp_path, digits):
    (tmp_path / "alike").mkdir()
    for number in range(30):
        shutil.copy(digits / "train" / "good" / "000.png", tmp_path / "alike" / f"{number}.png")
    assert "identical" in fit(cli, "alike")


def test_an_output_directory_that_is_not_empty(cli, photos, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    assert "mine is not empty" in fit(cli, photos, "--out", "mine")
    assert [entry.name for entry in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_an_output_path_below_a_file(cli, photos, run, tmp_path):
    (tmp_path / "file").write_text("")
    assert "file/run" in fit(cli, photos, "--out", "file/run")
    for words in (
        ["score", run, photos, "--out", "file/scores.csv"],
        ["score", run, photos, "--heatmaps", "file/maps"],
    ):
        assert "file" in cli(*words).sentence
    assert "is a directory" in cli("score", run, photos, "--out", "photos").sentence


def test_an_empty_directory_given_by_the_user_is_kept_empty(cli, photos, tmp_path):
    (photos / "007.png").write_bytes(b"")
    (tmp_path / "ready").mkdir()
    fit(cli, photos, "--out", "ready")
    assert not list((tmp_path / "ready").iterdir())
    fit(cli, photos, "--out", "deep/er/run")
    assert not (tmp_path / "deep").exists()


def test_bad_input_found_while_training_leaves_nothing(cli, photos):
    assert "components" in fit(cli, photos, "--components", "-1", "--quiet", "--out", "deep/run")
    assert not Path("deep").exists()


@contextmanager
def full_disk() -> Iterator[None]:
    """Files cannot grow beyond 512 bytes: a write fails part of the way."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (512, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_leaves_the_former_state(cli, digits, run, tmp_path):
    (tmp_path / "scores.csv").write_text("of yesterday")
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    with full_disk():
        answers = [
            cli("recalibrate", run, digits / "test" / "good"),
            cli("evaluate", run, digits),
            cli("score", run, digits, "--out", "scores.csv"),
            cli("fit", digits, "--model", "pca", "--out", "new/run"),
        ]
    for answer in answers:
        assert answer.code == 2
        assert answer.err.splitlines()[-1].startswith("urbild: cannot write ")
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before
    assert (tmp_path / "scores.csv").read_text() == "of yesterday"
    assert not (tmp_path / "new").exists()


class TestDamagedRuns:
    def test_missing(self, cli, digits, run, tmp_path):
        (run / "model.safetensors").unlink()
        assert "model.safetensors" in cli("score", run, digits).sentence
        assert "nowhere" in cli("score", "nowhere", digits).sentence
        (tmp_path / "empty").mkdir()
        assert "urbild.json is missing" in cli("evaluate", "empty", digits).sentence
        assert "urbild.json is missing" in cli("report", "empty").sentence

    def test_truncated(self, cli, digits, run):
        for name in ("model.safetensors", "urbild.json"):
            whole = (run / name).read_bytes()
            (run / name).write_bytes(whole[: len(whole) // 2])
            assert name in cli("score", run, digits).sentence
            (run / name).write_bytes(whole)

    def test_tampered(self, cli, digits, run):
        weights = bytearray((run / "model.safetensors").read_bytes())
        weights[-5] ^= 1
        (run / "model.safetensors").write_bytes(weights)
        assert "model.safetensors" in cli("score", run, digits).sentence

    def test_tampered_words(self, cli, digits, run):
        content = json.loads((run / "urbild.json").read_text())
        content["calibration"]["scores"] = [1e9] * 24
        (run / "urbild.json").write_text(json.dumps(content))
        assert "changed" in cli("score", run, digits).sentence

    def test_newer(self, cli, digits, run):
        content = json.loads((run / "urbild.json").read_text())
        (run / "urbild.json").write_text(json.dumps({**content, "format": 99}))
        assert "newer release" in cli("score", run, digits).sentence


def test_labels_are_missing_where_evaluation_needs_them(cli, table, tmp_path):
    assert cli("fit", table, "--model", "nearest", "--out", "run").code == 0
    pd.read_csv(table).drop(columns="label").to_csv(tmp_path / "bare.csv", index=False)
    assert "label" in cli("evaluate", "run", "bare.csv").sentence
    assert "has no class 'fine'; known: heavy, normal." in cli("evaluate", "run", table, "--normal", "fine").sentence
    assert "no column 'klass' for the labels" in cli("evaluate", "run", table, "--label-column", "klass").sentence


def test_systems_that_lack_a_verb_name_those_that_have_it(cli, run, digits):
    sentence = cli("sample", run).sentence
    assert "pca cannot sample; systems that can: vae" in sentence


def test_suffixes_that_cannot_hold_the_result(cli, run, digits):
    assert ".npy, .npz, .png" in cli("reconstruct", run, digits, "--out", "x.csv").sentence
    assert "codes" in cli("encode", run, digits, "--out", "x.png").sentence
