"""The detector is a scikit-learn estimator to the letter."""

import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from detection_fixtures import Distance, table
from sklearn.base import clone, is_outlier_detector
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from urbild.contract import DataSpec
from urbild.detection import EXPECTED_FAILED_CHECKS, CalibrationWarning, Detector
from urbild.errors import OptionError, UrbildError


@pytest.mark.parametrize(("name", "options"), [("pca", {}), ("nearest", {}), ("autoencoder", {"steps": 20})])
def test_check_estimator_passes_but_for_the_declared_checks(name: str, options: dict[str, int]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CalibrationWarning)  # the checks fit to 20 samples
        found = check_estimator(
            Detector(name, random_state=0, **options),
            expected_failed_checks=dict(EXPECTED_FAILED_CHECKS),
            on_skip=None,
            on_fail=None,
        )
    assert len(found) > 40
    assert {entry["check_name"]: entry["exception"] for entry in found if entry["status"] == "failed"} == {}
    assert all(len(reason) > 40 for reason in EXPECTED_FAILED_CHECKS.values())


def test_options_of_the_builder_are_parameters() -> None:
    detector = Detector("vae", latent=3, alpha=0.1)
    assert detector.get_params()["latent"] == 3
    assert detector.get_params()["beta"] == 1.0  # a default of the builder
    assert "beta" not in detector.get_params(deep=False)
    detector.set_params(beta=2.0, alpha=0.2)
    assert detector.get_params()["beta"] == 2.0
    assert detector.alpha == 0.2
    copy = clone(detector)
    assert copy is not detector
    assert copy.get_params() == detector.get_params()
    assert copy.options == {"latent": 3, "beta": 2.0}


def test_setting_every_parameter_to_what_it_is_changes_nothing() -> None:
    detector = Detector("pca", components=2, random_state=3)
    before = detector.get_params()
    assert detector.set_params(**before) is detector
    assert detector.get_params() == before


def test_unknown_options_show_the_nearest() -> None:
    with pytest.raises(OptionError, match="latent") as caught:
        Detector("vae").set_params(latnet=3)
    assert isinstance(caught.value, ValueError)  # what scikit-learn's callers catch
    with pytest.raises(OptionError, match=r"no option 'componnets'.*components"):
        Detector("pca", componnets=3).fit(table())
    with pytest.raises(OptionError, match=r"unknown model 'pcaa'.*pca"):
        Detector("pcaa").fit(table())
    assert "pcaa" in repr(Detector("pcaa", latent=2))


def test_the_model_and_its_options_can_be_set_together() -> None:
    detector = Detector("autoencoder").set_params(model="pca", components=2)
    assert detector.fit(table()).model_.get_buffer is not None
    assert detector.run_.options == {"components": 2}


def test_the_signature_of_the_mathematics() -> None:
    detector = Detector("pca", components=2, random_state=0).fit(table())
    new = np.concatenate([table(100, seed=1), 3 * np.random.default_rng(2).normal(size=(100, 5))])
    score, decision = detector.score_samples(new), detector.decision_function(new)
    assert is_outlier_detector(detector)
    np.testing.assert_array_equal(decision, score - detector.offset_)
    np.testing.assert_array_equal(detector.predict(new) == 1, decision >= 0)
    np.testing.assert_array_equal(detector.predict(new) == -1, detector.p_values(new) <= detector.alpha)
    np.testing.assert_array_equal(detector.scoring(new).score, -score)
    assert score[:100].mean() > score[100:].mean()
    assert (detector.fit_predict(table()) == detector.predict(table())).all()


def test_pipelines_and_searches() -> None:
    data = table()
    pipeline = make_pipeline(StandardScaler(), Detector("pca", components=2, random_state=0))
    pipeline.set_params(detector__alpha=0.1, detector__components=1)
    assert pipeline.fit(data).predict(data).shape == (240,)
    assert pipeline[-1].calibration_.n == 48
    labels = np.where(np.arange(240) % 6 == 0, -1, 1)
    mixed = data + (labels == -1)[:, None] * np.random.default_rng(0).normal(0, 3, size=data.shape)
    search = GridSearchCV(
        Detector(random_state=0),
        [{"model": ["pca"], "components": [1, 2]}, {"model": ["nearest"], "neighbours": [1]}],
        scoring="roc_auc",
        cv=2,
        error_score="raise",
    )
    search.fit(mixed, labels)
    assert search.best_score_ > 0.6
    assert search.best_params_["model"] in ("pca", "nearest")


def test_names_of_columns_are_kept_and_compared() -> None:
    frame = pd.DataFrame(table(), columns=list("abcde"))
    detector = Detector("pca", components=2, random_state=0).fit(frame)
    assert detector.feature_names_in_.tolist() == list("abcde")
    assert detector.n_features_in_ == 5
    same = Detector("pca", components=2, random_state=0).fit(frame.to_numpy())
    np.testing.assert_array_equal(detector.score_samples(frame), same.score_samples(frame.to_numpy()))
    with pytest.raises(ValueError, match="feature names") as caught:
        detector.predict(frame.rename(columns={"a": "z"}))
    assert isinstance(caught.value, UrbildError)
    with pytest.raises(ValueError, match="4 features"):
        same.predict(frame.to_numpy()[:, :4])


def test_a_model_of_ones_own() -> None:
    own = Distance(DataSpec(shape=(5,), kind="vector"))
    detector = Detector(own, random_state=0).fit(table())
    assert own.mean.abs().sum() == 0  # the user's instance is left as it was
    assert detector.model_ is not own
    assert detector.predict(np.full((1, 5), 30.0)).tolist() == [-1]
    assert clone(detector).model is not own
    with pytest.raises(OptionError, match="no option 'latent'"):
        Detector(own, latent=2).fit(table())
    with pytest.raises(OptionError, match="give a system's name"):
        Detector(torch.nn.Linear(2, 2)).fit(table())  # type: ignore[arg-type]


def test_random_state_in_its_three_forms() -> None:
    fixed = Detector("pca", random_state=7).fit(table())
    assert fixed.seed_ == 7
    state = np.random.RandomState(0)
    first, second = (Detector("pca", random_state=state).fit(table()).seed_ for _ in range(2))
    assert first != second
    assert first == Detector("pca", random_state=np.random.RandomState(0)).fit(table()).seed_
    assert Detector("pca").fit(table()).seed_ != Detector("pca").fit(table()).seed_
