"""Diagonal Gaussians against torch.distributions."""

import torch
from torch.distributions import Normal, kl_divergence

from urbild.ops.gaussians import gaussian_kl, gaussian_log_density, reparameterise


def _some(*shape: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x, mean, log_variance = torch.randn(3, *shape, generator=generator, dtype=torch.float64)
    return x, mean, 2 * log_variance


def test_kl_equals_that_of_torch() -> None:
    _, mean, log_variance = _some(7, 4)
    expected = kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(0.0, 1.0)).sum(1)
    torch.testing.assert_close(gaussian_kl(mean, log_variance), expected)


def test_kl_is_zero_at_the_prior_alone() -> None:
    assert gaussian_kl(torch.zeros(1, 3), torch.zeros(1, 3)).item() == 0
    assert gaussian_kl(torch.full((1, 3), 1e-3), torch.zeros(1, 3)).item() > 0


def test_log_density_equals_that_of_torch() -> None:
    x, mean, log_variance = _some(5, 2, 3)
    expected = Normal(mean, (log_variance / 2).exp()).log_prob(x).flatten(1).sum(1)
    torch.testing.assert_close(gaussian_log_density(x, mean, log_variance), expected)


def test_draws_have_the_moments_asked_for() -> None:
    mean, log_variance = torch.tensor([1.5]), torch.tensor([-1.0])
    noise = torch.randn(200_000, 1, generator=torch.Generator().manual_seed(0))
    z = reparameterise(mean, log_variance, noise)
    assert abs(z.mean() - 1.5) < 0.01
    assert abs(z.var().log() + 1.0) < 0.02


def test_gradients() -> None:
    x, mean, log_variance = (t.requires_grad_() for t in _some(2, 3))
    assert torch.autograd.gradcheck(gaussian_kl, (mean, log_variance))
    assert torch.autograd.gradcheck(gaussian_log_density, (x, mean, log_variance))
    assert torch.autograd.gradcheck(reparameterise, (mean, log_variance, x))
