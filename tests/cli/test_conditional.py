"""Sampling a class and filling in images, on a small system of known answers."""

import shutil
from pathlib import Path

import numpy as np
import planted_system
import pytest
from PIL import Image

from urbild import catalogue
from urbild.cli.main import main
from urbild.ops.sheets import CAPTION


class Point:
    def load(self):
        return planted_system.CARD


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setattr(catalogue, "entry_points", lambda **_: [Point()])
    catalogue.cards.cache_clear()
    yield
    catalogue.cards.cache_clear()


@pytest.fixture
def bars(tmp_path) -> Path:
    """Images of 12 x 8 in three classes, each of one brightness; names whose numbers are not their order."""
    rng = np.random.default_rng(0)
    for value, name in ((60, "dark"), (120, "grey"), (200, "light")):
        for part, count in {"train": 6, "test": 3}.items():
            folder = tmp_path / "bars" / part / name
            folder.mkdir(parents=True)
            for number in range(count):
                image = value + rng.integers(-5, 6, size=(12, 8))
                Image.fromarray(image.astype(np.uint8)).save(folder / f"{number}.png")
    return tmp_path / "bars"


@pytest.fixture
def conditional(bars, tmp_path) -> Path:
    words = ["train", "planted", bars, "--conditional", "--out", tmp_path / "run", "--quiet"]
    assert main([str(word) for word in words]) == 0
    return tmp_path / "run"


@pytest.fixture
def plain(bars, tmp_path) -> Path:
    words = ["train", "planted", bars, "--out", tmp_path / "plain", "--quiet"]
    assert main([str(word) for word in words]) == 0
    return tmp_path / "plain"


def brightness(path: str) -> np.ndarray:
    return np.load(path).reshape(len(np.load(path)), -1).mean(1)


@pytest.mark.parametrize("given", ["light", "2"])
def test_a_class_by_its_name_or_number(cli, conditional, given):
    assert cli("sample", conditional, "--given", given, "--n", 5, "--out", "x.npy").code == 0
    assert np.abs(brightness("x.npy") - 200).max() < 10


def test_all_classes_in_turn_across_batches(cli, conditional):
    assert cli("sample", conditional, "--n", 130, "--out", "x.npy").code == 0
    wanted = np.resize([60, 120, 200], 130)
    assert np.abs(brightness("x.npy") - wanted).max() < 10


def test_the_evaluation_shows_all_classes_in_turn(conditional):
    from urbild import runs
    from urbild.evaluation.examples import new_samples

    run = runs.load(conditional)
    shown = new_samples(run.model, run.preparation, 6, seed=0)
    assert np.abs(shown.reshape(6, -1).mean(1) - np.resize([60, 120, 200], 6)).max() < 10


def test_an_unknown_class_shows_the_nearest(cli, conditional):
    sentence = cli("sample", conditional, "--given", "drak", "--out", "x.npy").sentence
    assert "drak" in sentence
    assert "did you mean dark?" in sentence
    for number in ("3", "-1", "1.5"):
        assert "dark, grey, light" in cli("sample", conditional, f"--given={number}", "--out", "x.npy").sentence
    assert not Path("x.npy").exists()


def test_a_run_without_classes_refuses_one(cli, plain, bars):
    assert "not conditioned on a class" in cli("sample", plain, "--given", "dark", "--out", "x.npy").sentence
    assert "not conditioned" in cli("complete", plain, bars, "--given", "dark", "--out", "x.npy").sentence
    assert not Path("x.npy").exists()
    assert cli("sample", plain, "--n", 2, "--out", "x.npy").code == 0


def originals(bars: Path) -> np.ndarray:
    return np.stack([np.asarray(Image.open(path)) for path in sorted((bars / "test").rglob("*.png"))])


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        ((), np.s_[:6]),
        (("--observed", "top", "--share", 0.25), np.s_[:3]),
        (("--observed", "left"), np.s_[:, :4]),
        (("--observed", "mask.npy"), np.s_[2:5, 1:3]),
        (("--observed", "mask.png"), np.s_[2:5, 1:3]),
    ],
)
def test_what_is_observed_is_kept_and_the_rest_is_drawn(cli, plain, bars, words, kept):
    mask = np.zeros((12, 8), np.uint8)
    mask[2:5, 1:3] = 255
    np.save("mask.npy", mask > 0)
    Image.fromarray(mask).save("mask.png")
    answer = cli("complete", plain, bars, *words, "--n", 20, "--draws", 2, "--out", "x.npz")
    assert answer.out == "18 completions: x.npz\n"
    with np.load("x.npz") as found:
        made, ids = found["x"], found["ids"]
    assert made.shape == (9, 2, 12, 8, 1)
    assert len(ids) == 9
    given = np.broadcast_to(originals(bars)[:, None], made.shape[:-1])
    observed = np.zeros((12, 8), bool)
    observed[kept] = True
    assert (made[..., 0][..., observed] == given[..., observed]).all()
    assert (made[..., 0][..., ~observed] != given[..., ~observed]).mean() > 0.5
    assert (made[:, 0] != made[:, 1]).any()


def test_completions_follow_the_seed_and_the_class(cli, conditional, bars):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        cli("complete", conditional, bars, "--given", "light", "--seed", seed, "--out", f"{name}.npy")
    a, b, c = (np.load(f"{name}.npy") for name in "abc")
    assert (a == b).all()
    assert (a != c).any()
    assert a.shape == (8, 3, 12, 8, 1)
    assert np.abs(a[:, :, 6:].mean((2, 3, 4)) - 200).max() < 10


def test_a_picture_has_a_line_for_each_image(cli, plain, bars, tmp_path):
    run = Path(shutil.copytree(plain, tmp_path / "copy"))
    assert cli("complete", run, bars, "--n", 4, "--draws", 5, "--quiet").out == f"{run}/completed.png\n"
    with Image.open(run / "completed.png") as picture:
        shown = np.asarray(picture.convert("L"))
    assert shown.shape == (4 * 60 + 3 * 2, 7 * 40 + 6 * 2), "each pixel five wide"
    assert (shown[30:60, 42:82] == 128).all(), "what is not observed is grey"
    assert (shown[:30, 42:82] == shown[:30, :40]).all()


@pytest.mark.parametrize(
    ("mask", "sentence"),
    [
        (np.ones((8, 12)), "is 8 x 12, and the run works on images of 12 x 8"),
        (np.ones(96), "is 96, and"),
        (np.zeros((12, 8)), "nothing is observed"),
        (np.ones((12, 8)), "everything is observed"),
        (np.full((12, 8), np.nan), "holds what is no number"),
        (np.full((12, 8), "white"), "holds what is no number"),
    ],
)
def test_masks_that_cannot_be(cli, plain, bars, mask, sentence):
    np.save("mask.npy", mask)
    assert sentence in cli("complete", plain, bars, "--observed", "mask.npy", "--out", "x.npz").sentence
    if mask.ndim == 2 and "number" not in sentence:
        Image.fromarray((mask * 255).astype(np.uint8)).save("mask.png")
        assert sentence in cli("complete", plain, bars, "--observed", "mask.png", "--out", "x.npz").sentence
    assert not Path("x.npz").exists()


@pytest.mark.parametrize("name", ["mask.npy", "mask.png"])
@pytest.mark.parametrize("content", [b"", b"no mask at all", b"\x93NUMPY\x01\x00"])
def test_a_mask_that_cannot_be_read_is_named(cli, plain, bars, name, content):
    Path(name).write_bytes(content)
    assert name in cli("complete", plain, bars, "--observed", name, "--out", "x.npz").sentence


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--observed", "bottom"), "neither top nor left nor a file"),
        (("--share", 0), "nothing is observed"),
        (("--share", 1), "everything is observed"),
        (("--share", -2), "nothing is observed"),
        (("--share", "nan"), "share"),
        (("--draws", 0), "--draws"),
        (("--n", -1), "--n"),
        (("--out", "x.txt"), ".npz"),
        (("--observed", "."), "cannot be read"),
    ],
)
def test_options_that_cannot_be(cli, plain, bars, words, sentence):
    out = () if "--out" in words else ("--out", "x.npz")
    assert sentence in cli("complete", plain, bars, *words, *out).sentence
    assert not Path("x.npz").exists()


def test_only_systems_that_complete_images(cli, fitted, digits, table):
    assert "pca cannot complete; systems that can: " in cli("complete", fitted, digits).sentence
    assert cli("train", "planted", table, "--out", "rows", "--quiet").code == 0
    assert "works on vector data" in cli("complete", "rows", table, "--out", "x.npz").sentence


def test_samples_say_their_class(cli, conditional):
    """A column or an entry of a file, which can be learnt from again; a column each in a picture, below their names."""
    assert cli("sample", conditional, "--n", "7", "--out", "x.npz").code == 0
    assert np.load("x.npz")["y"].tolist() == ["dark", "grey", "light", "dark", "grey", "light", "dark"]
    assert cli("sample", conditional, "--n", "4", "--given", "grey", "--out", "one.npz").code == 0
    assert np.load("one.npz")["y"].tolist() == ["grey"] * 4
    assert cli("sample", conditional, "--n", "6", "--out", "x.png").code == 0
    picture = np.asarray(Image.open("x.png").convert("RGB"))
    assert (picture[:CAPTION] < 100).any(), "the names of the classes"
    width = 8 * (len(picture) - CAPTION - 2) // 24  # two rows of images of 12 x 8, enlarged, and a gap
    dark, grey, light = (picture[-5, column * (width + 2) + width // 2].mean() for column in range(3))
    assert dark < grey < light
