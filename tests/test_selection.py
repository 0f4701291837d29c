"""Systems are ranked on samples that no fit has seen, beside trivial scores, under one budget."""

import json

import numpy as np
import pytest
from sklearn.datasets import load_digits

from urbild.data import as_records
from urbild.errors import DataError, NotScoringError, OptionError
from urbild.selection import Leaderboard, compare


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    """Zeros are normal; 300 others are not."""
    images, labels = load_digits(return_X_y=True)
    images = (images.reshape(-1, 8, 8) * 15.9).astype(np.uint8)
    order = np.concatenate([np.flatnonzero(labels == 0), np.flatnonzero(labels != 0)[:300]])
    return images[order], (labels[order] != 0).astype(np.int64)


@pytest.fixture(scope="module")
def board(digits: tuple[np.ndarray, np.ndarray]) -> Leaderboard:
    images, labels = digits
    return compare(images, ["pca", "autoencoder"], y=labels, seeds=2, steps=30, options={"pca": {"components": 8}})


def test_the_best_stands_first_beside_the_floors(board: Leaderboard) -> None:
    assert {row.model for row in board.rows} == {"pca", "autoencoder", "mean brightness", "local contrast"}
    means = [row.mean for row in board.rows]
    assert means == sorted(means, reverse=True)
    assert board.best == "pca"
    by_name = {row.model: row for row in board.rows}
    assert by_name["pca"].mean > 0.95 > by_name["mean brightness"].mean
    assert by_name["mean brightness"].floor
    assert not by_name["pca"].floor


def test_each_row_says_what_its_mean_is_of(board: Leaderboard) -> None:
    for row in board.rows:
        assert row.mean == pytest.approx(np.mean(row.values))
        assert len(row.values) == (1 if row.floor else 2)
        assert row.deviation == pytest.approx(np.std(row.values, ddof=1) if len(row.values) > 1 else 0)
        assert row.floor or min(row.fit_seconds, row.rate) > 0
    assert board.protocol["budget"] == {"steps": 30}
    assert board.protocol["seeds"] == [0, 1]
    assert board.protocol["train"] == board.protocol["measured_normal"] == 89
    assert board.protocol["measured_abnormal"] == 300
    assert json.loads(json.dumps(board.to_json()))["metric"] == "image_auroc"
    assert board.frame()["model"].tolist() == [row.model for row in board.rows]


def test_what_trains_is_not_measured(digits: tuple[np.ndarray, np.ndarray]) -> None:
    """Nearest neighbours score 0 for what they were given: any overlap would lift them above what they can know."""
    images, labels = digits
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 255, images.shape).astype(np.uint8)  # normal and abnormal are alike
    found = compare(noise, ["nearest"], y=labels, seeds=1, options={"nearest": {"neighbours": 1}})
    assert 0.4 < next(row.mean for row in found.rows if row.model == "nearest") < 0.6


def test_a_metric_of_which_less_is_better(digits: tuple[np.ndarray, np.ndarray]) -> None:
    images, labels = digits
    found = compare(images, ["pca", "nearest"], y=labels, seeds=[5], metric="fpr95")
    means = [row.mean for row in found.rows]
    assert means == sorted(means)
    assert found.protocol["seeds"] == [5]


def test_separate_test_samples(digits: tuple[np.ndarray, np.ndarray]) -> None:
    images, labels = digits
    found = compare(images[labels == 0][:100], ["pca"], test=as_records(images[100:], y=labels[100:]), seeds=1)
    assert found.protocol["train"] == 100
    assert found.protocol["measured_abnormal"] == 300


def test_bad_wishes_are_refused(digits: tuple[np.ndarray, np.ndarray]) -> None:
    images, labels = digits
    with pytest.raises(DataError, match="no labels, so nothing can be compared"):
        compare(images, ["pca"])
    with pytest.raises(DataError, match="only normal samples"):
        compare(images[:50], ["pca"], y=labels[:50])
    with pytest.raises(OptionError, match=r"unknown model 'pac'.*pca"):
        compare(images, ["pac"], y=labels)
    with pytest.raises(OptionError, match="unknown metric 'auroc'"):
        compare(images, ["pca"], y=labels, metric="auroc")
    with pytest.raises(OptionError, match="leaves nothing"):
        compare(images, ["pca"], y=labels, seeds=0)


def test_systems_that_do_not_score_are_refused(
    digits: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    from urbild import catalogue

    mute = catalogue.Card(
        name="mute", module="m", family="f", title="t", paper="p", url="u", kinds=("image",), verbs=("sample",)
    )
    monkeypatch.setattr(catalogue, "cards", lambda: {"mute": mute, "pca": catalogue._OWN[3]})
    with pytest.raises(NotScoringError, match="these do: pca"):
        compare(digits[0], ["mute"], y=digits[1])
