"""The mode suites under both rules: ceilings of a perfect sampler, and what noise scores."""

import numpy as np
import pytest

from urbild.data.mixtures import MIXTURES, grid, ring
from urbild.evaluation.modes import mixture_modes, stacked_modes, to_uniform

N, RUNS = 2500, 10


def runs(mixture, draw):
    found = [mixture_modes(draw(np.random.default_rng(seed)), mixture) for seed in range(RUNS)]
    return {name: np.mean([getattr(each, name) for each in found]) for name in ("covered", "held", "quality", "kl")}


@pytest.mark.parametrize(("name", "floor"), [("ring8", 0.0014), ("grid25", 0.0048)])
def test_a_perfect_sampler_reaches_the_ceilings(name, floor):
    mixture = MIXTURES[name]
    found = runs(mixture, lambda rng: mixture.draw(N, seed=int(rng.integers(1 << 30)))[0])
    assert found["covered"] == found["held"] == len(mixture.centres)
    assert found["quality"] == pytest.approx(1 - np.exp(-4.5), abs=0.003)
    assert found["kl"] == pytest.approx(floor, rel=0.35)


@pytest.mark.parametrize(
    ("mixture", "half", "covered", "quality"),
    [(ring(radius=1, deviation=0.01), 1.065, (5.8, 6.9), 0.005), (grid(), 4.15, (22.6, 23.8), 0.026)],
)
def test_noise_covers_most_modes_and_holds_none(mixture, half, covered, quality):
    found = runs(mixture, lambda rng: rng.uniform(-half, half, (N, 2)))
    assert covered[0] < found["covered"] < covered[1]
    assert found["held"] == 0
    assert found["quality"] == pytest.approx(quality, abs=0.004)


@pytest.mark.parametrize("n", [300, 1000, 10_000])
def test_the_rule_holds_for_other_numbers_of_samples(n):
    mixture = MIXTURES["grid25"]
    points = mixture.draw(n, seed=4)[0]
    assert mixture_modes(points, mixture).held == 25
    blob = np.random.default_rng(4).multivariate_normal(points.mean(0), np.cov(points.T), n)
    assert mixture_modes(blob, mixture).held == 0


def test_a_circle_covers_the_ring():
    def circle(rng):
        angle = rng.uniform(0, 2 * np.pi, N)
        return np.stack([np.cos(angle), np.sin(angle)], 1) + 0.01 * rng.normal(size=(N, 2))

    found = runs(ring(radius=1, deviation=0.01), circle)
    assert found["covered"] == 8
    assert found["held"] == pytest.approx(5.7, abs=0.8)
    assert found["quality"] == pytest.approx(0.071, abs=0.01)


def test_the_rule_does_not_depend_on_the_scale():
    points = ring(radius=1, deviation=0.01).draw(N, seed=3)[0]
    assert mixture_modes(points, ring(radius=1, deviation=0.01)) == mixture_modes(
        4 * points, ring(8, radius=4, deviation=0.04)
    )


def test_one_mode_and_none():
    one = mixture_modes(np.tile(MIXTURES["ring8"].centres[:1], (100, 1)), MIXTURES["ring8"])
    assert (one.covered, one.held, one.quality, one.kl) == (1, 1, 1.0, pytest.approx(np.log(8)))
    far = mixture_modes(np.full((100, 2), 50.0), MIXTURES["ring8"])
    assert (far.covered, far.held, far.quality, far.kl) == (0, 0, 0.0, pytest.approx(np.log(8)))


def test_stacked_digits_have_a_floor():
    told = np.random.default_rng(0).integers(1000, size=26_000)
    found = stacked_modes(told, 1000)
    assert (found.covered, found.n, found.held, found.quality) == (1000, 26_000, None, None)
    assert found.kl == pytest.approx(0.0192, rel=0.1)
    assert stacked_modes([7] * 10, 100).kl == pytest.approx(np.log(100))
    assert to_uniform(np.array([5, 5, 5])) == pytest.approx(0)
