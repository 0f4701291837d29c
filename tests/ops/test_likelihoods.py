"""Likelihoods against torch.distributions, sums over all levels, and slow formulas in double precision."""

import math

import pytest
import torch
from scipy.stats import logistic, norm
from torch.distributions import Bernoulli, Normal

from urbild.ops import likelihoods

DISCRETISED = [likelihoods.discretised_logistic, likelihoods.discretised_gaussian]


def test_bernoulli_equals_that_of_torch() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(0, 2, (4, 1, 3, 3), generator=generator).double()
    logits = torch.randn(4, 1, 3, 3, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(likelihoods.bernoulli(x, logits), Bernoulli(logits=logits).log_prob(x).flatten(1).sum(1))


def test_bernoulli_on_grey_is_the_expectation_over_binarised_images() -> None:
    x = torch.tensor([[0.2, 0.9, 0.5]], dtype=torch.float64)
    logits = torch.tensor([[0.3, -1.0, 2.0]], dtype=torch.float64)
    expected = 0.0
    for bits in range(8):
        b = torch.tensor([[float(bits >> i & 1) for i in range(3)]], dtype=torch.float64)
        chance = math.prod(float(p if bit else 1 - p) for p, bit in zip(x[0], b[0], strict=True))
        expected += chance * float(likelihoods.bernoulli(b, logits))
    assert float(likelihoods.bernoulli(x, logits)) == pytest.approx(expected)


def test_gaussian_equals_that_of_torch() -> None:
    x, mean = torch.randn(2, 3, 2, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    log_scale = torch.tensor([-1.0, 0.5], dtype=torch.float64)[:, None, None]
    expected = Normal(mean, log_scale.exp()).log_prob(x).flatten(1).sum(1)
    torch.testing.assert_close(likelihoods.gaussian(x, mean, log_scale), expected)


@pytest.mark.parametrize("density", DISCRETISED)
@pytest.mark.parametrize("levels", [2, 16, 256, 65_536])
@pytest.mark.parametrize(("mean", "scale"), [(0.4, 0.1), (0.0, 0.01), (1.3, 0.05), (0.5, 5.0), (0.7501, 0.002)])
def test_discretised_probabilities_sum_to_one(density, levels: int, mean: float, scale: float) -> None:  # type: ignore[no-untyped-def]
    x = torch.linspace(0, 1, levels, dtype=torch.float64)[:, None]
    log_scale = torch.tensor(math.log(scale), dtype=torch.float64)
    total = density(x, torch.tensor(mean, dtype=torch.float64), log_scale, levels=levels).exp().sum()
    assert float(total) == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize(("density", "law"), [(DISCRETISED[0], logistic), (DISCRETISED[1], norm)])
def test_discretised_equals_differences_of_the_distribution_function(density, law) -> None:  # type: ignore[no-untyped-def]
    levels, mean, scale = 11, 0.33, 0.2
    for level in range(levels):
        below = -math.inf if level == 0 else (level - 0.5) / (levels - 1)
        above = math.inf if level == levels - 1 else (level + 0.5) / (levels - 1)
        expected = math.log(law.cdf(above, mean, scale) - law.cdf(below, mean, scale))
        x = torch.tensor([[level / (levels - 1)]], dtype=torch.float64)
        found = density(x, torch.tensor(mean), torch.tensor(math.log(scale)), levels=levels)
        assert float(found) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("density", DISCRETISED)
def test_discretised_stays_finite_far_from_the_mean_in_single_precision(density) -> None:  # type: ignore[no-untyped-def]
    x = torch.linspace(0, 1, 256)[:, None]
    mean = torch.zeros(256, 1, requires_grad=True)
    value = density(x, mean, torch.tensor(-5.0), levels=256)
    value.sum().backward()
    assert torch.isfinite(value).all()
    assert mean.grad is not None
    assert torch.isfinite(mean.grad).all()
    assert (value[1:-1].diff(dim=0) < 0).all(), "farther from the mean is less probable"


@pytest.mark.parametrize("density", DISCRETISED)
def test_gradients(density) -> None:  # type: ignore[no-untyped-def]
    x = torch.tensor([[0.0, 0.2, 0.6, 1.0]], dtype=torch.float64)
    mean = torch.tensor([[0.1, 0.3, 0.4, 0.8]], dtype=torch.float64, requires_grad=True)
    log_scale = torch.tensor([-2.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda m, s: density(x, m, s, levels=6), (mean, log_scale))
    assert torch.autograd.gradcheck(lambda m: likelihoods.bernoulli(x, m), (mean,))
    assert torch.autograd.gradcheck(lambda m, s: likelihoods.gaussian(x, m, s), (mean, log_scale))
