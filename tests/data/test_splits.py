import numpy as np
import pytest

from urbild.data import split
from urbild.data.keys import below, draw, shuffled, uniform
from urbild.errors import DataError, OptionError


def parts(found):
    return found.train, found.validation, found.calibration


@pytest.mark.parametrize(
    ("n", "calibration"), [(2, 1), (3, 1), (10, 5), (39, 19), (40, 20), (60, 20), (100, 20), (150, 30), (1000, 200)]
)
def test_the_size_of_the_calibration_part(n, calibration):
    found = split(n)
    assert len(found.calibration) == calibration
    assert len(found.validation) == min(round(0.1 * n), (n - calibration) // 2)
    assert len(found.train) >= 1
    assert np.sort(np.concatenate(parts(found))).tolist() == list(range(n))


def test_parts_are_sorted_and_follow_the_seed_alone():
    one, again, other = split(200, seed=3), split(200, seed=3), split(200, seed=4)
    for a, b in zip(parts(one), parts(again), strict=True):
        np.testing.assert_array_equal(a, b)
        assert (np.diff(a) > 0).all()
    assert one.calibration.tolist() != other.calibration.tolist()


def test_shares_of_nothing():
    found = split(50, validation=0, calibration=0)
    assert len(found.train) == 50
    assert len(split(50, validation=0).validation) == 0


def test_groups_of_any_layout_are_never_split():
    rng = np.random.default_rng(0)
    for trial in range(300):
        n = int(rng.integers(2, 200))
        kinds = int(rng.integers(2, n + 1))
        groups = rng.choice(kinds, size=n, p=rng.dirichlet(np.full(kinds, rng.choice([0.1, 1, 10]))))
        if len(np.unique(groups)) < 2:
            continue
        found = split(
            n, groups=groups, seed=trial, calibration=rng.choice([0.1, 0.2, 0.5]), validation=rng.choice([0, 0.1, 0.5])
        )
        sides = [set(groups[rows].tolist()) for rows in parts(found)]
        assert sum(len(side) for side in sides) == len(set(groups.tolist()))
        assert np.sort(np.concatenate(parts(found))).tolist() == list(range(n))
        assert len(found.train)
        assert len(found.calibration) <= n // 2
        assert len(sides[2]) <= len(np.unique(groups)) // 2


def test_groups_count_as_one_each():
    groups = np.repeat(np.arange(200), 5)
    assert len(np.unique(groups[split(1000, groups=groups).calibration])) == 40
    few = np.repeat(np.arange(30), 5)
    assert len(np.unique(few[split(150, groups=few).calibration])) == 15


def test_every_row_calibrates_equally_often():
    hits = np.zeros(30)
    for seed in range(2000):
        hits[split(30, seed=seed).calibration] += 1
    # A row is drawn with probability 1/2; the largest of 30 deviations stays well below 5 standard errors.
    assert np.abs(hits - 1000).max() < 5 * np.sqrt(2000 / 4)


def test_names_of_groups_do_not_matter():
    words = np.array(["b", "a", "c", "a"] * 10)
    numbers = np.array([7, 2, 9, 2] * 10)
    np.testing.assert_array_equal(split(40, groups=words).train, split(40, groups=numbers).train)


def test_what_cannot_be_split():
    with pytest.raises(DataError, match="1 normal sample found, but at least two"):
        split(1)
    with pytest.raises(DataError, match="all 9 samples belong to one group"):
        split(9, groups=np.zeros(9))
    with pytest.raises(DataError, match="3 groups were given for 4 samples"):
        split(4, groups=np.arange(3))
    with pytest.raises(OptionError, match=r"calibration=0\.6"):
        split(9, calibration=0.6)


def test_keyed_numbers_never_change():
    assert draw(0, 0)[0] == np.uint64(draw(0, np.zeros(3))[2])
    np.testing.assert_array_equal(draw(5, 2, np.arange(4))[3], draw(5, 2, 3)[0])
    assert shuffled(8, 1).tolist() == [5, 7, 3, 1, 4, 6, 0, 2]
    assert int(draw(1, 2, 3)[0]) == 994304914565992574
    assert len({int(draw(s, e, r)[0]) for s in range(5) for e in range(5) for r in range(5)}) == 125


def test_keyed_numbers_are_uniform():
    u = uniform(3, 1, np.arange(100_000))
    assert abs(u.mean() - 0.5) < 0.005
    assert abs(u.var() - 1 / 12) < 0.002
    assert np.bincount(below(7, 3, np.arange(70_000)), minlength=7).min() > 9_500
