"""An evaluation comes back from its files as it was, and damaged files are refused in a sentence."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from urbild.errors import ArtifactError, OutputError
from urbild.evaluation import CalibrationScores, Curve, Evaluation, Example, Interval, Likelihoods


def full() -> Evaluation:
    rng = np.random.default_rng(0)
    line = np.linspace(0, 1, 5)
    return Evaluation(
        data={"origin": "digits", "samples": 3, "abnormal": 1},
        protocol={"model": "pca", "seed": 0},
        metrics={"image_auroc": Interval(0.9, 0.8, 0.95)},
        ids=("a.png", "b/ä.png", "row 17"),
        score=rng.normal(size=3),
        display=rng.uniform(size=3),
        p_value=np.array([0.1, 0.5, 1.0]),
        abnormal=np.array([True, False, False]),
        label=np.array([1, 0, -1]),
        classes=("good", "scratch"),
        curves={"roc": Curve(line, line, line, line), "pr": Curve(line, 1 - line, line, line)},
        alpha=0.05,
        threshold=float("inf"),
        threshold_display=1.0,
        calibration=CalibrationScores(np.sort(rng.normal(size=4)), rng.uniform(size=4)),
        likelihood=Likelihoods("ELBO", 5, Interval(-90.0, -91.0, -89.0), Interval(1.2, 1.1, 1.3), rng.normal(size=3)),
        gallery=[
            Example(id="a.png", score=1.5, abnormal=True, input=rng.integers(0, 255, (4, 5, 3)).astype(np.uint8)),
            Example(id="row 17", score=0.5, columns=(("age", "41", 0.25), ("colour", "red", 0.0))),
        ],
        samples=rng.integers(0, 255, (2, 4, 4, 1)).astype(np.uint8),
        notes=("no masks",),
    )


def assert_same(one: object, other: object) -> None:
    if isinstance(one, dict) and isinstance(other, dict):
        assert list(one) == list(other)
        for name, value in one.items():
            assert_same(value, other[name])
    elif isinstance(one, list) and isinstance(other, list):
        assert len(one) == len(other)
        for first, second in zip(one, other, strict=True):
            assert_same(first, second)
    elif isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    else:
        assert one == other


def test_it_comes_back_as_it_was(tmp_path: Path) -> None:
    full().save(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["evaluation.json", "evaluation.npz"]
    back = asdict(Evaluation.load(tmp_path))
    back["curves"] = {name: back["curves"][name] for name in ("roc", "pr")}
    assert_same(asdict(full()), back)


def test_what_was_not_measured_stays_unsaid(tmp_path: Path) -> None:
    bare = Evaluation(data={"samples": 2}, protocol={}, ids=("a", "b"))
    bare.save(tmp_path)
    assert_same(asdict(bare), asdict(Evaluation.load(tmp_path)))


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="holds no evaluation"):
        Evaluation.load(tmp_path)
    full().save(tmp_path)
    arrays = tmp_path / "evaluation.npz"
    whole = arrays.read_bytes()
    arrays.write_bytes(whole[:-10])
    with pytest.raises(ArtifactError, match="does not belong"):
        Evaluation.load(tmp_path)
    arrays.unlink()
    with pytest.raises(ArtifactError, match="cannot be read"):
        Evaluation.load(tmp_path)
    arrays.write_bytes(whole)
    numbers = tmp_path / "evaluation.json"
    content = json.loads(numbers.read_text())
    for change, words in (({"format": 99}, "newer release"), ({"format": None}, "is not an evaluation")):
        numbers.write_text(json.dumps({**content, **change}))
        with pytest.raises(ArtifactError, match=words):
            Evaluation.load(tmp_path)
    del content["gallery"]
    numbers.write_text(json.dumps(content))
    with pytest.raises(ArtifactError, match="damaged"):
        Evaluation.load(tmp_path)
    numbers.write_text("{")
    with pytest.raises(ArtifactError, match="cannot be read"):
        Evaluation.load(tmp_path)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        full().save(tmp_path / "file" / "below")
