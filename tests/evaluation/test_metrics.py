"""Metrics against second implementations, and intervals against what they claim."""

from time import perf_counter

import numpy as np
import pytest
import torch
from scipy import ndimage
from scipy.stats import binomtest
from sklearn import metrics as reference
from torchmetrics.functional.classification import binary_auroc

from urbild.errors import DataError, ShapeError
from urbild.evaluation.metrics import Ranking, curves, detection_metrics, image_metrics, mean, rate
from urbild.evaluation.metrics import _measure as measure_images
from urbild.evaluation.pixels import LIMIT, Pixels


def scores(seed: int, n: int = 60, *, ties: bool = False) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    abnormal = rng.uniform(size=n) < 0.3
    abnormal[:2] = True, False
    score = rng.normal(size=n) + abnormal
    return (np.round(score) if ties else score), abnormal


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_values_agree_with_scikit_learn(seed: int, ties: bool) -> None:
    score, abnormal = scores(seed, ties=ties)
    found = {name: one.value for name, one in image_metrics(score, abnormal, resamples=2).items()}
    precision, recall, _ = reference.precision_recall_curve(abnormal, score)
    f1 = [2 * p * r / (p + r) if p + r else 0 for p, r in zip(precision, recall, strict=True)]
    false, hits, _ = reference.roc_curve(abnormal, score, drop_intermediate=False)
    assert found == pytest.approx(
        {
            "image_auroc": reference.roc_auc_score(abnormal, score),
            "image_aupr": reference.average_precision_score(abnormal, score),
            "f1_max": max(f1),
            "fpr95": min(f for f, h in zip(false, hits, strict=True) if h >= 0.95),
        },
        abs=1e-6,
    )


def test_the_bootstrap_measures_what_torchmetrics_measures() -> None:
    for seed in range(5):
        score, abnormal = scores(seed, ties=seed % 2 == 0)
        own = measure_images(ranking := Ranking(score, abnormal), ranking.once())
        value = image_metrics(score, abnormal, resamples=1)
        assert {name: float(v[0]) for name, v in own.items()} == pytest.approx(
            {name: one.value for name, one in value.items()}, abs=1e-6
        )


def test_large_scores_are_not_squashed_into_ties() -> None:
    score, abnormal = np.array([1e6, 1e6 + 1, 1e6 + 2, 1e6 + 3]), np.array([False, False, True, True])
    assert image_metrics(score, abnormal, resamples=1)["image_auroc"].value == 1
    assert image_metrics(-score, abnormal, resamples=1)["image_auroc"].value == 0


def test_resampling_is_what_repeating_samples_gives() -> None:
    score, abnormal = scores(0, n=30, ties=True)
    ranking = Ranking(score, abnormal)
    drawn = next(ranking.resample(0, 50))
    found = measure_images(ranking, drawn)
    rng = np.random.default_rng(0)
    order = np.argsort(-np.unique(score, return_inverse=True)[1], kind="stable")
    counts = np.zeros((50, 30), dtype=int)
    for kind in (True, False):
        members = np.flatnonzero(abnormal[order] == kind)
        for line, picks in zip(counts, rng.integers(len(members), size=(50, len(members))), strict=True):
            np.add.at(line, members[picks], 1)
    for b in range(50):
        rows = np.repeat(order, counts[b])
        assert found["image_auroc"][b] == pytest.approx(reference.roc_auc_score(abnormal[rows], score[rows]))
        assert found["image_aupr"][b] == pytest.approx(reference.average_precision_score(abnormal[rows], score[rows]))


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    truth = 0.7602  # P(X + 1 > Y) of two standard normals: Phi(1 / sqrt(2))
    covered, trials = 0, 120
    for seed in range(trials):
        rng = np.random.default_rng(seed)
        abnormal = np.arange(160) < 60
        found = image_metrics(rng.normal(size=160) + abnormal, abnormal, seed=seed, resamples=200)["image_auroc"]
        covered += found.low <= truth <= found.high
    assert 0.88 <= covered / trials <= 0.99


def test_the_bootstrap_is_fast_and_reproducible() -> None:
    score, abnormal = scores(0, n=1000)
    image_metrics(score, abnormal, resamples=1)
    start = perf_counter()
    one = image_metrics(score, abnormal, seed=3, resamples=1000)
    assert perf_counter() - start < 2
    assert one == image_metrics(score, abnormal, seed=3, resamples=1000)
    assert one != image_metrics(score, abnormal, seed=4, resamples=1000)
    for found in one.values():
        assert found.low < found.value < found.high


def test_labels_of_one_kind_are_refused() -> None:
    with pytest.raises(DataError, match="no abnormal one"):
        image_metrics([1.0, 2.0], [False, False])
    with pytest.raises(DataError, match="no normal one"):
        image_metrics([1.0, 2.0], [True, True])
    with pytest.raises(DataError, match="2 scores for 3 labels"):
        image_metrics([1.0, 2.0], [True, True, False])


def test_curves_lie_in_their_bands_and_meet_scikit_learn() -> None:
    score, abnormal = scores(1, n=80)
    found = curves(score, abnormal)
    for curve in found.values():
        assert curve.x.shape == curve.y.shape == curve.low.shape == curve.high.shape == (201,)
        assert ((curve.low <= curve.y) & (curve.y <= curve.high)).all()
    false, hits, _ = reference.roc_curve(abnormal, score, drop_intermediate=False)
    for x, y in zip(found["roc"].x, found["roc"].y, strict=True):
        assert hits[false <= x].max() - 1e-9 <= y <= hits[false >= x].min() + 1 / abnormal.sum() + 1e-9
    precision, recall, _ = reference.precision_recall_curve(abnormal, score)
    for x, y in zip(found["pr"].x[1:], found["pr"].y[1:], strict=True):
        reached = recall[recall >= x - 1e-12].min()
        assert y in (pytest.approx(p) for p in precision[recall == reached])


def test_rate_and_mean_have_sound_intervals() -> None:
    found = rate(np.arange(100) < 20)
    exact = binomtest(20, 100).proportion_ci(method="exact")
    assert (found.value, found.low, found.high) == pytest.approx((0.2, exact.low, exact.high))
    assert rate([False] * 30).high == pytest.approx(binomtest(0, 30).proportion_ci(method="exact").high)
    assert rate([True] * 30).low == pytest.approx(binomtest(30, 30).proportion_ci(method="exact").low)
    values = np.random.default_rng(0).normal(5, 2, 400)
    found = mean(values)
    assert found.value == pytest.approx(values.mean())
    assert found.high - found.low == pytest.approx(2 * 1.96 * 2 / 20, rel=0.2)


def pictures(seed: int, n: int = 7) -> tuple[list[np.ndarray], list[np.ndarray]]:
    rng = np.random.default_rng(seed)
    maps, masks = [], []
    for row in range(n):
        size = tuple(rng.integers(12, 30, 2))
        mask = np.zeros(size, dtype=bool)
        if row % 3:
            mask[2:6, 3:8] = True
            mask[9:11, 9:11] = rng.uniform() < 0.7
        maps.append((rng.gamma(2.0, size=size) * (1 + 0.8 * mask)).astype(np.float32))
        masks.append(mask)
    return maps, masks


def slow_pro(maps: list[np.ndarray], masks: list[np.ndarray]) -> float:
    regions = []
    for heat, mask in zip(maps, masks, strict=True):
        place, number = ndimage.label(mask, structure=np.ones((3, 3)))
        regions += [heat[place == region] for region in range(1, number + 1)]
    normal = np.concatenate([heat[~mask] for heat, mask in zip(maps, masks, strict=True)])
    points = [(0.0, 0.0)]
    for threshold in np.unique(np.concatenate([heat.ravel() for heat in maps]))[::-1]:
        points.append(((normal >= threshold).mean(), float(np.mean([(r >= threshold).mean() for r in regions]))))
    x, y = np.array(points).T
    cut = np.interp(LIMIT, x, y)
    x, y = np.append(x[x < LIMIT], LIMIT), np.append(y[x < LIMIT], cut)
    return float((np.diff(x) * (y[1:] + y[:-1]) / 2).sum() / LIMIT)


@pytest.mark.parametrize("seed", range(4))
def test_pixel_metrics_agree_with_slow_ones(seed: int) -> None:
    maps, masks = pictures(seed)
    pixels = Pixels()
    for heat, mask in zip(maps, masks, strict=True):
        pixels.add(heat, mask)
    found = pixels.metrics(resamples=50)
    flat, truth = np.concatenate([m.ravel() for m in maps]), np.concatenate([m.ravel() for m in masks])
    assert found["pixel_auroc"].value == pytest.approx(reference.roc_auc_score(truth, flat), abs=2e-4)
    theirs = binary_auroc(torch.from_numpy(flat / flat.max()), torch.from_numpy(truth))
    assert found["pixel_auroc"].value == pytest.approx(float(theirs), abs=2e-4)
    assert found["pro"].value == pytest.approx(slow_pro(maps, masks), abs=1e-3)
    for one in found.values():
        assert one.low < one.value < one.high


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_pixel_metrics_ignore_the_scale(scale: float) -> None:
    maps, masks = pictures(0)
    once = detection_metrics(np.arange(7), np.arange(7) % 3 > 0, maps=maps, masks=masks, resamples=20)
    scaled = [(heat * np.float32(scale)) for heat in maps]
    again = detection_metrics(np.arange(7), np.arange(7) % 3 > 0, maps=scaled, masks=masks, resamples=20)
    assert set(once) == {"image_auroc", "image_aupr", "f1_max", "fpr95", "pixel_auroc", "pro"}
    for name in ("pixel_auroc", "pro"):
        assert again[name].value == pytest.approx(once[name].value, abs=2e-3)


def test_order_of_pixels_holds_for_all_floats() -> None:
    from urbild.evaluation.pixels import _keys

    values = np.array([[-np.inf, -1e30, -1.0, -1e-30, 0.0, 1e-45, 1e-30, 0.5, 0.501, 1.0, 1e30, np.inf]], np.float32)
    keys = _keys(values)[0].astype(np.int64)
    assert (np.diff(keys) >= 0).all()
    assert len(set(keys)) >= 11
    assert len(set(_keys(np.array([[-0.0, 0.0]]))[0])) == 1
    assert _keys(np.array([[np.nan]])) == _keys(np.array([[np.inf]]))
    assert keys.max() < 1 << 20


def test_a_perfect_map_and_a_useless_one() -> None:
    mask = np.zeros((20, 20), dtype=bool)
    mask[5:9, 5:9] = True
    perfect, useless = Pixels(), Pixels()
    perfect.add(mask.astype(np.float32), mask)
    useless.add(np.ones((20, 20), np.float32), mask)
    assert {k: v.value for k, v in perfect.metrics(resamples=3).items()} == {"pixel_auroc": 1.0, "pro": 1.0}
    found = {k: v.value for k, v in useless.metrics(resamples=3).items()}
    assert found == pytest.approx({"pixel_auroc": 0.5, "pro": 0.15})


def test_masks_that_do_not_fit_are_refused() -> None:
    pixels = Pixels()
    with pytest.raises(ShapeError, match="does not fit its mask"):
        pixels.add(np.zeros((4, 4), np.float32), np.zeros((4, 5), bool))
    pixels.add(np.zeros((4, 4), np.float32), np.zeros((4, 4), bool))
    with pytest.raises(DataError, match="both kinds of pixels"):
        pixels.metrics()
