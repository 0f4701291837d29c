"""Fitting, deciding, recalibrating, saving: the promises of the detector."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from detection_fixtures import Distance, Mute, images, table
from scipy.stats import betabinom
from sklearn.exceptions import NotFittedError

from urbild import runs
from urbild.contract import DataSpec
from urbild.data import as_records
from urbild.detection import CalibrationWarning, Detector, fit_detector
from urbild.errors import ArtifactError, DataError, NotScoringError, OptionError, OutputError, ShapeError


@pytest.fixture(scope="module")
def fitted() -> Detector:
    return Detector("pca", components=2, random_state=0).fit(table())


def test_the_parts_are_disjoint_and_counted(fitted: Detector) -> None:
    assert {part: fitted.run_.data[part] for part in ("train", "validation", "calibration")} == {
        "train": 168,
        "validation": 24,
        "calibration": 48,
    }
    assert fitted.calibration_ is not None
    assert fitted.calibration_.n == 48


def test_what_calibrates_did_not_train() -> None:
    """Nearest neighbours would know the samples they were given: distance 0 to themselves."""
    data = table()
    detector = Detector("nearest", neighbours=1, random_state=0).fit(data)
    zero = (detector.score_samples(data) == 0).sum()
    assert zero == detector.run_.data["train"]
    assert detector.calibration_ is not None
    assert (detector.calibration_.scores > 0).all()


def test_false_alarms_follow_their_law_through_the_whole_detector() -> None:
    alpha, fresh, seeds = 0.1, 1500, 12
    counts = []
    for seed in range(seeds):
        detector = Detector("pca", components=2, alpha=alpha, random_state=seed).fit(table(200, seed=seed))
        counts.append(int((detector.predict(table(fresh, seed=1000 + seed)) == -1).sum()))
    k = int(alpha * 41)
    law = betabinom(fresh, k, 41 - k)
    found = np.array(counts)
    assert (found >= law.ppf(0.0005 / seeds)).all()
    assert (found <= law.ppf(1 - 0.0005 / seeds)).all()
    assert found.mean() / fresh <= alpha + 4 * law.std() / fresh / np.sqrt(seeds)


def test_groups_stay_whole_and_are_counted() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(80), 3)
    data = np.repeat(table(80), 3, axis=0) + 1e-3 * rng.normal(size=(240, 5))
    detector = Detector("nearest", neighbours=1, random_state=0).fit(data, groups=groups)
    assert detector.calibration_ is not None
    assert detector.calibration_.grouped
    assert detector.calibration_.n == 20
    near = -detector.score_samples(data) < 0.01  # rows whose siblings trained
    per_group = near.reshape(80, 3)
    assert (per_group.all(1) | ~per_group.any(1)).all()
    assert detector.calibration_.scores.min() > 0.01


def test_alpha_is_decided_after_fitting(fitted: Detector) -> None:
    new = table(400, seed=5)
    flagged = []
    for alpha in (0.03, 0.1, 0.3):
        fitted.alpha = alpha
        flagged.append((fitted.predict(new) == -1).sum())
        np.testing.assert_array_equal(fitted.predict(new) == -1, fitted.p_values(new) <= alpha)
    fitted.alpha = 0.05
    assert flagged[0] < flagged[1] < flagged[2]


def test_an_unreachable_alpha_warns_and_flags_nothing(fitted: Detector) -> None:
    new = np.concatenate([table(50, seed=5), np.full((1, 5), 1e6)])
    fitted.alpha = 0.02
    with pytest.warns(CalibrationWarning, match="flags nothing"):
        verdict = fitted.predict(new)
    with pytest.warns(CalibrationWarning):
        decision = fitted.decision_function(new)
    fitted.alpha = 0.05
    assert (verdict == 1).all()
    assert np.isfinite(decision).all()
    np.testing.assert_array_equal(np.argsort(decision), np.argsort(fitted.score_samples(new)))


def test_few_samples_warn() -> None:
    with pytest.warns(CalibrationWarning, match="fewer than 20"):
        Detector("pca", alpha=0.2, random_state=0).fit(table(30))


def test_recalibrate_changes_the_threshold_and_not_the_scores(fitted: Detector) -> None:
    new = table(100, seed=3)
    detector = Detector("pca", components=2, random_state=0).fit(table())
    before = detector.score_samples(new)
    assert detector.recalibrate(2 * table(99, seed=4)) is detector
    np.testing.assert_array_equal(detector.score_samples(new), before)
    assert detector.calibration_ is not None
    assert detector.calibration_.n == 99
    assert detector.offset_ < fitted.offset_
    assert (detector.predict(2 * table(300, seed=6)) == -1).mean() < 0.15
    detector.recalibrate(table(60), groups=np.arange(60) // 2)
    assert detector.calibration_.n == 30


def test_scores_ignore_company_and_order() -> None:
    data, spots = images(), images(9, spot=True, seed=1)
    for options in ({}, {"patch": 24, "patches_per_image": 4}):
        detector = Detector("autoencoder", latent=4, width=8, steps=5, random_state=0, **options).fit(data)
        together = detector.score_samples(spots)
        np.testing.assert_allclose(detector.score_samples(spots[::-1])[::-1], together, rtol=1e-5)
        alone = np.concatenate([detector.score_samples(spots[row : row + 1]) for row in range(9)])
        np.testing.assert_allclose(alone, together, rtol=1e-5)


def test_scoring_leaves_gradients_and_autocast_aside(fitted: Detector) -> None:
    expected = fitted.score_samples(table(10))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        np.testing.assert_array_equal(fitted.score_samples(table(10)), expected)
    assert not fitted.model_.training


def test_the_same_seed_gives_the_same_detector() -> None:
    one, other, third = (
        Detector("autoencoder", latent=2, steps=15, random_state=seed).fit(table()) for seed in (1, 1, 2)
    )
    new = table(20, seed=9)
    np.testing.assert_array_equal(one.score_samples(new), other.score_samples(new))
    assert (one.score_samples(new) != third.score_samples(new)).any()


def test_labelled_records_train_on_their_normals_and_arrays_ignore_y() -> None:
    data = np.concatenate([table(100), table(40) + 50])
    labels = np.repeat([0, 1], [100, 40])
    detector = Detector("pca", random_state=0).fit(as_records(data, y=labels))
    assert sum(detector.run_.data[part] for part in ("train", "validation", "calibration")) == 100
    ignored = Detector("pca", random_state=0).fit(data, labels)
    assert sum(ignored.run_.data[part] for part in ("train", "validation", "calibration")) == 140


def test_patience_watches_validation_normals_alone() -> None:
    detector = Detector("autoencoder", latent=2, steps=40, random_state=0).fit(table())
    assert detector.run_.training["patience"] == 10
    without = Detector("autoencoder", latent=2, steps=40, validation=0.0, random_state=0).fit(table())
    assert without.run_.training["patience"] is None
    assert {row.split for row in detector.run_.rows} == {"train", "validation"}
    assert {row.split for row in without.run_.rows} == {"train"}


def test_systems_that_do_not_score_are_refused() -> None:
    with pytest.raises(NotScoringError, match=r"these do: autoencoder, .*vae"):
        Detector(Mute(DataSpec(shape=(5,), kind="vector"))).fit(table())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"alpha": 0.0}, "alpha is 0"),
        ({"alpha": 1.5}, "alpha is 1.5"),
        ({"reduction": "maxx"}, "unknown reduction 'maxx'; did you mean max"),
        ({"overlap": 1.0}, "overlap is 1"),
        ({"calibration": 0.0}, "calibration is 0"),
        ({"calibration": 0.7}, "calibration is 0.7"),
        ({"validation": 1.5}, "validation=1.5"),
        ({"patches_per_image": 0}, "patches_per_image is 0"),
        ({"steps": 0}, "steps must be greater than 0"),
        ({"precision": "8"}, "unknown precision '8'"),
        ({"device": "tpu"}, "unknown device 'tpu'"),
        ({"size": 32}, "options for images"),
    ],
)
def test_values_out_of_range_are_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        Detector("pca", **options).fit(table())


def test_bad_samples_are_refused_in_a_sentence(fitted: Detector) -> None:
    bad = table()
    bad[7, 3] = np.nan
    with pytest.raises(DataError, match="NaN in row 7, column 3"):
        Detector("pca").fit(bad)
    with pytest.raises(DataError, match="NaN in row 7, column 3"):
        fitted.predict(bad)
    bad[7, 3] = np.inf
    with pytest.raises(DataError, match="inf in row 7, column 3"):
        Detector("pca").fit(torch.from_numpy(bad))
    with pytest.raises(DataError, match="minimum of 2"):
        Detector("pca").fit(table(1))
    with pytest.raises(DataError, match="identical"):
        Detector("pca").fit(np.ones((50, 3)))
    with pytest.raises(DataError, match="at least two"):
        Detector("pca").fit(as_records(table(5), y=[0, 1, 1, 1, 1]))
    with pytest.raises(DataError, match="one group"):
        Detector("pca").fit(table(50), groups=np.zeros(50))
    with pytest.raises(ShapeError, match="features"):
        fitted.predict(table()[:, :2])
    with pytest.raises(ShapeError, match="image data"):
        fitted.predict(images(2))


def test_before_fitting_nothing_is_given(tmp_path: Path) -> None:
    for use in (Detector().predict, Detector().score_samples, Detector().p_values, Detector().heatmaps):
        with pytest.raises(NotFittedError):
            use(table(2))
    with pytest.raises(NotFittedError):
        Detector().save(tmp_path)
    with pytest.raises(NotFittedError):
        Detector().recalibrate(table())


def test_words_of_a_table_are_scored_and_contributions_summed_by_column() -> None:
    rng = np.random.default_rng(0)
    size = rng.normal(size=300)
    frame = pd.DataFrame({"size": size, "weight": 2 * size, "colour": rng.choice(["red", "blue"], 300)})
    detector = Detector("pca", components=2, random_state=0).fit(frame)
    strange = pd.DataFrame({"size": [0.1, 0.1], "weight": [0.2, 9.0], "colour": ["red", "red"]})
    found = detector.scoring(strange)
    assert found.columns == ("size", "weight", "colour")
    assert found.contributions is not None
    assert found.contributions.shape == (2, 3)
    assert (found.contributions >= 0).all()
    assert found.score[1] > found.score[0]
    assert set(np.argsort(-found.contributions[1])[:2]) == {0, 1}
    assert found.anomalous is not None
    assert found.anomalous[1]
    np.testing.assert_array_equal(detector.contributions(strange), found.contributions)
    spec = detector.preparation_.spec
    prepared = next(detector.preparation_.source(as_records(strange)).batches()).x
    shares = detector.model_.anomaly(prepared).map.numpy()  # type: ignore[operator]
    colour = [at for at, name in enumerate(spec.columns) if name == "colour"]
    assert len(colour) == 2
    np.testing.assert_allclose(found.contributions[:, 2], shares[:, colour].sum(1), rtol=1e-6)
    with pytest.raises(NotScoringError, match="no heat maps"):
        detector.heatmaps(strange)


FRESH = """
import sys
import numpy as np
from urbild.detection import Detector
new = np.load(sys.argv[1])
for place in sys.argv[2:]:
    detector = Detector.load(place)
    np.savez(place + ".npz", score=detector.score_samples(new), p=detector.p_values(new), predict=detector.predict(new))
"""


def test_a_fresh_process_gives_the_same_bits(tmp_path: Path) -> None:
    systems = {
        "pca": Detector("pca", random_state=0, alpha=0.1),
        "tiled": Detector("pca", components=4, patch=24, random_state=0),
        "autoencoder": Detector(latent=4, width=8, steps=5, normalise="image", random_state=0),
    }
    np.save(tmp_path / "new.npy", new := images(12, spot=True, seed=3))
    for name, detector in systems.items():
        detector.fit(images()).save(tmp_path / name)
    places = [str(tmp_path / name) for name in systems]
    subprocess.run([sys.executable, "-c", FRESH, str(tmp_path / "new.npy"), *places], check=True, timeout=300)
    for name, detector in systems.items():
        found = np.load(tmp_path / f"{name}.npz")
        np.testing.assert_array_equal(found["score"], detector.score_samples(new))
        np.testing.assert_array_equal(found["p"], detector.p_values(new))
        np.testing.assert_array_equal(found["predict"], detector.predict(new))


def test_what_is_loaded_is_what_was_saved(tmp_path: Path) -> None:
    frame = pd.DataFrame(table(), columns=list("abcde"))
    detector = Detector("pca", components=2, alpha=0.1, random_state=np.random.RandomState(0)).fit(frame)
    detector.save(tmp_path / "one")
    loaded = Detector.load(tmp_path / "one")
    assert {**loaded.get_params(), "random_state": None} == {**detector.get_params(), "random_state": None}
    assert loaded.random_state == loaded.seed_ == detector.seed_
    assert loaded.feature_names_in_.tolist() == list("abcde")
    assert loaded.n_features_in_ == 5
    assert loaded.reduction_ == detector.reduction_
    np.testing.assert_array_equal(loaded.predict(frame), detector.predict(frame))
    loaded.recalibrate(frame[:50])
    loaded.save(tmp_path / "one")
    again = Detector.load(tmp_path / "one")
    assert again.calibration_ is not None
    assert again.calibration_.n == 50
    assert {path.suffix for path in (tmp_path / "one").iterdir()} == {".safetensors", ".json", ".csv"}


def test_saving_never_mixes_with_something_else(tmp_path: Path, fitted: Detector) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    with pytest.raises(OutputError, match="holds no saved model"):
        fitted.save(tmp_path / "full")
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["thesis.txt"]
    with pytest.raises(OutputError):
        fitted.save(tmp_path / "full" / "thesis.txt" / "below")
    with pytest.raises(ArtifactError, match="no saved model"):
        Detector.load(tmp_path / "full")


def test_a_model_of_ones_own_is_loaded_around_an_instance(tmp_path: Path) -> None:
    spec = DataSpec(shape=(5,), kind="vector")
    detector = Detector(Distance(spec), random_state=0).fit(table())
    detector.save(tmp_path)
    with pytest.raises(ArtifactError, match="Distance"):
        Detector.load(tmp_path)
    loaded = Detector.load(tmp_path, model=Distance(spec))
    np.testing.assert_array_equal(loaded.predict(table()), detector.predict(table()))
    with pytest.raises(ShapeError, match=r"\(4,\)"):
        Detector(Distance(DataSpec(shape=(4,), kind="vector"))).fit(table())


def test_a_run_that_was_only_trained_scores_raw_until_it_is_calibrated(tmp_path: Path) -> None:
    runs.train("pca", table(), out=tmp_path / "run", components=2)
    detector = Detector.load(tmp_path / "run")
    assert detector.score_samples(table()).shape == (240,)
    found = detector.scoring(table(3))
    assert found.p_value is None
    assert found.anomalous is None
    with pytest.raises(NotFittedError, match="not calibrated"):
        detector.predict(table())
    assert (detector.recalibrate(table(99, seed=1)).predict(table(500, seed=2)) == -1).mean() < 0.2
    detector.save(tmp_path / "run")
    reopened = Detector.load(tmp_path / "run")
    assert reopened.calibration_ is not None
    assert reopened.calibration_.n == 99


def test_fit_detector_saves_and_reports(tmp_path: Path) -> None:
    said: list[str] = []

    class Ears:
        def note(self, text: str) -> None:
            said.append(text)

        def start(self, stage: str, steps: int, done: int) -> None: ...
        def step(self, done: int, losses: object, rate: float) -> None: ...
        def close(self) -> None: ...

    detector = fit_detector(Detector("pca", random_state=0), as_records(table()), directory=tmp_path, reporter=Ears())
    assert any("168 samples train, 24 watch, 48 calibrate" in line for line in said)
    np.testing.assert_array_equal(Detector.load(tmp_path).predict(table()), detector.predict(table()))
