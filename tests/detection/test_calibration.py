"""A threshold that means something: promise 2, its edges and its signs."""

import warnings

import numpy as np
import pytest
from scipy.stats import betabinom

from urbild.detection.calibration import Calibration, CalibrationWarning
from urbild.errors import DataError, OptionError


def slow_p(calibration: np.ndarray, score: float) -> float:
    return (1 + sum(other >= score for other in calibration)) / (len(calibration) + 1)


def test_p_values_are_their_definition() -> None:
    rng = np.random.default_rng(0)
    known, new = rng.integers(0, 6, 23).astype(float), np.arange(-1, 8, 0.5)
    found = Calibration.fit(known).p_value(new)
    np.testing.assert_array_equal(found, [slow_p(known, s) for s in new])


@pytest.mark.parametrize("n", [1, 2, 9, 19, 20, 99, 100])
@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.1, 0.29, 0.3, 0.5, 1 / 20, 1 / 3, 0.999])
def test_threshold_and_margin_say_what_p_values_say(n: int, alpha: float) -> None:
    rng = np.random.default_rng(n)
    known = rng.integers(0, max(2, n // 2), n).astype(float)  # with ties
    calibration = Calibration.fit(known)
    new = np.concatenate([known, known + 1e-9, known - 1e-9, [-1e9, 1e9, np.inf, np.nan, -np.inf]])
    flagged = calibration.p_value(new) <= alpha
    np.testing.assert_array_equal(calibration.margin(new, alpha) < 0, flagged)
    np.testing.assert_array_equal(np.nan_to_num(new, nan=np.inf, posinf=1e300) > calibration.threshold(alpha), flagged)
    order = np.argsort(np.nan_to_num(new, nan=np.inf))
    assert (np.diff(calibration.margin(new, alpha)[order]) <= 0).all()


def test_alpha_exactly_at_the_smallest_p_value() -> None:
    for n in range(1, 200):
        calibration = Calibration.fit(np.arange(n))
        assert calibration.threshold(1 / (n + 1)) == n - 1
        assert calibration.threshold(np.nextafter(1 / (n + 1), 0)) == np.inf
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            calibration.check(calibration.smallest_alpha)
        with pytest.warns(CalibrationWarning, match="flags nothing"):
            calibration.check(1 / (n + 1.01))


def test_few_scores_warn_and_none_are_refused() -> None:
    with pytest.warns(CalibrationWarning, match="fewer than 20"):
        Calibration.fit(np.arange(19)).check_size(0.1)
    with pytest.warns(CalibrationWarning, match="flags nothing") as seen:
        Calibration.fit(np.arange(18)).check_size(0.05)
    assert len(seen) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Calibration.fit(np.arange(20)).check_size(0.05)
    with pytest.raises(DataError, match="no normal samples"):
        Calibration.fit([])


@pytest.mark.parametrize("alpha", [0, 1, -0.1, 5, float("nan")])
def test_alpha_outside_its_range_is_refused(alpha: float) -> None:
    with pytest.raises(OptionError, match="between 0 and 1"):
        Calibration.fit([1.0, 2.0]).threshold(alpha)


def false_alarms(n: int, m: int, alpha: float, seed: int, *, ties: bool) -> int:
    rng = np.random.default_rng(seed)
    scores = rng.gamma(2.0, size=n + m)
    scores = np.round(scores, 1) if ties else scores
    return int((Calibration.fit(scores[:n]).p_value(scores[n:]) <= alpha).sum())


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(("n", "alpha"), [(40, 0.05), (99, 0.01), (99, 0.1), (250, 0.05)])
def test_false_alarms_follow_their_law(n: int, alpha: float, ties: bool) -> None:
    m, seeds = 2000, 40
    k = int(np.floor(alpha * (n + 1) + 1e-9))
    law = betabinom(m, k, n + 1 - k)
    counts = np.array([false_alarms(n, m, alpha, seed, ties=ties) for seed in range(seeds)])
    each = 0.001 / seeds  # the band of all seeds together is the 99.9 % one
    assert (counts <= law.ppf(1 - each / 2)).all()
    assert ties or (counts >= law.ppf(each / 2)).all()
    assert counts.mean() / m <= alpha + 4 * law.std() / m / np.sqrt(seeds)
    assert ties or counts.mean() / m >= k / (n + 1) - 4 * law.std() / m / np.sqrt(seeds)


def test_groups_keep_the_promise_for_groups() -> None:
    m, n, size, alpha, seeds = 1000, 99, 5, 0.05, 30
    k = int(alpha * (n + 1))
    law = betabinom(m, k, n + 1 - k)
    counts = []
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        scores = rng.normal(size=(n + m, 1)) + 0.3 * rng.normal(size=(n + m, size))
        groups = np.repeat(np.arange(n + m), size).reshape(n + m, size)
        calibration = Calibration.fit(scores[:n].ravel(), groups[:n].ravel())
        assert calibration.n == n
        counts.append(int((calibration.p_value(scores[n:].max(1)) <= alpha).sum()))
    found = np.array(counts)
    assert (found >= law.ppf(0.0005 / seeds)).all()
    assert (found <= law.ppf(1 - 0.0005 / seeds)).all()


def test_without_groups_the_promise_for_groups_is_broken() -> None:
    """Or the test above would say nothing."""
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(2000, 1)) + 0.3 * rng.normal(size=(2000, 5))
    flagged = Calibration.fit(scores[:1000].ravel()).p_value(scores[1000:].max(1)) <= 0.05
    assert flagged.mean() > 0.08


def test_display_rises_from_0_to_1_and_is_set_on_the_calibration() -> None:
    rng = np.random.default_rng(0)
    calibration = Calibration.fit(rng.normal(3.0, 0.01, 200))
    middle, high = np.quantile(calibration.scores, (0.5, 0.95))
    assert calibration.display([middle, high]) == pytest.approx([0.25, 0.5])
    shown = calibration.display([-np.inf, 0.0, 2.9, 3.0, 3.1, 4.0, 100.0, np.inf])
    assert (np.diff(shown) > 0).all()
    assert shown[0] >= 0
    assert shown[-1] <= 1
    flat = Calibration.fit(np.zeros(30)).display([0.0, 1.0])
    assert flat == pytest.approx([0.5, 0.75])


def test_it_survives_json_to_the_last_bit() -> None:
    import json

    calibration = Calibration.fit(np.random.default_rng(0).normal(size=50) / 3, np.arange(50) // 2)
    back = Calibration.from_json(json.loads(json.dumps(calibration.to_json())))
    np.testing.assert_array_equal(back.scores, calibration.scores)
    assert back.grouped
    assert back.n == 25
