"""The Frechet distance in closed form, streaming beside whole, and its bias."""

import pytest
import torch

from urbild.ops.frechet import Moments, frechet_distance


def moments(x, block=100):
    found = Moments(x.shape[1])
    for part in x.split(block):
        found.add(part)
    return found


def exactly(x, deviation, mean):
    """The same vectors, moved and stretched so that mean and covariance are exactly those of N(mean, deviation^2 I)."""
    centred = x - x.mean(0)
    white = centred @ torch.linalg.inv(torch.linalg.cholesky(centred.mT @ centred / (len(x) - 1))).mT
    return deviation * white + mean


def test_two_round_gaussians_in_closed_form():
    torch.manual_seed(0)
    x = torch.randn(400, 12, dtype=torch.float64)
    shift = torch.linspace(-1, 2, 12, dtype=torch.float64)
    found = frechet_distance(moments(exactly(x, 1.5, torch.zeros(12))), moments(exactly(x, 0.5, shift)))
    assert found == pytest.approx(float(shift.square().sum()) + 12 * (1.5 - 0.5) ** 2, rel=1e-9)


def test_blocks_give_the_moments_of_the_whole_far_from_the_origin():
    torch.manual_seed(0)
    x = 1e6 + torch.randn(1003, 5, dtype=torch.float64)
    found = moments(x, 97)
    torch.testing.assert_close(found.mean, x.mean(0), rtol=1e-14, atol=0)
    torch.testing.assert_close(found.covariance, x.mT.cov(), rtol=0, atol=1e-8)
    assert found.count == 1003


def test_it_is_that_of_torchmetrics():
    from torchmetrics.image.fid import _compute_fid

    torch.manual_seed(0)
    one, other = (moments(torch.randn(300, 16) @ torch.randn(16, 16) + shift) for shift in (0, 0.3))
    theirs = _compute_fid(one.mean, one.covariance, other.mean, other.covariance)
    assert frechet_distance(one, other) == pytest.approx(float(theirs), rel=1e-8)
    assert frechet_distance(other, one) == pytest.approx(float(theirs), rel=1e-8)
    assert frechet_distance(one, one) == pytest.approx(0, abs=1e-9 * float(one.covariance.trace()))


def test_few_samples_are_biased_as_told():
    torch.manual_seed(0)
    found = [frechet_distance(moments(torch.randn(1000, 64)), moments(torch.randn(1000, 64))) for _ in range(5)]
    assert sum(found) / 5 == pytest.approx(64 * 69 / 2000, rel=0.05)


def test_covariances_that_are_not_of_full_rank():
    torch.manual_seed(0)
    flat = torch.randn(500, 4, dtype=torch.float64) * torch.tensor([1.0, 2.0, 0.0, 0.0])
    found = frechet_distance(moments(flat), moments(3 * flat))
    want = float((2 * flat.mean(0)).square().sum() + 4 * flat.var(0).sum())
    assert found == pytest.approx(want, rel=1e-9)
