"""Smoothing and resampling of maps and images, and the schedule."""

from itertools import pairwise

import pytest
import torch
from scipy.ndimage import gaussian_filter

from urbild.ops.resampling import resize
from urbild.ops.schedules import warm_cosine
from urbild.ops.smoothing import gaussian_blur


@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.5, 4.0])
@pytest.mark.parametrize("size", [(17, 24), (3, 5), (1, 1)])
def test_blur_equals_that_of_scipy(size: tuple[int, int], sigma: float) -> None:
    maps = torch.rand(2, *size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    blurred = gaussian_blur(maps, sigma)
    for map_, found in zip(maps, blurred, strict=True):
        expected = gaussian_filter(map_.numpy(), sigma, mode="nearest", truncate=4.0)
        torch.testing.assert_close(found, torch.from_numpy(expected), atol=1e-10, rtol=1e-10)


def test_blur_keeps_a_constant_and_does_nothing_at_width_zero() -> None:
    constant = torch.full((1, 4, 9), 3.0)
    torch.testing.assert_close(gaussian_blur(constant, 2.0), constant)
    maps = torch.rand(1, 4, 9)
    assert gaussian_blur(maps, 0.0) is maps


def test_blur_passes_gradients() -> None:
    maps = torch.rand(1, 3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda m: gaussian_blur(m, 0.7), (maps,))


def test_shrinking_by_whole_factors_keeps_the_mean_of_the_interior() -> None:
    x = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    small = resize(x, (8, 8))
    assert small.shape == (2, 3, 8, 8)
    assert abs(small.mean() - x.mean()) < 0.01
    assert small.std() < 0.5 * x.std(), "values are averaged, not picked"


def test_resize_keeps_range_constants_and_its_own_size() -> None:
    x = torch.rand(1, 1, 5, 7)
    assert resize(x, (5, 7)) is x
    grown = resize(x, (13, 9))
    assert grown.min() >= x.min()
    assert grown.max() <= x.max()
    torch.testing.assert_close(resize(torch.full((1, 2, 5, 7), 0.3), (4, 11)), torch.full((1, 2, 4, 11), 0.3))


def test_the_rate_rises_to_one_and_falls_to_zero() -> None:
    rates = [warm_cosine(step / 1000) for step in range(1001)]
    peak = rates.index(max(rates))
    assert rates[0] == pytest.approx(0.04)
    assert (peak, rates[peak], rates[-1]) == (50, pytest.approx(1.0), pytest.approx(0.0))
    assert all(a < b for a, b in pairwise(rates[:51]))
    assert all(a > b for a, b in pairwise(rates[50:]))
    assert rates[525] == pytest.approx(0.5)
