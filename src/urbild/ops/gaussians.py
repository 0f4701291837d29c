"""Diagonal Gaussians given by mean and log-variance. All values are in nats, summed over the entries of a sample."""

from math import log, pi

import torch
from torch import Tensor


def gaussian_kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL( N(mean, exp(log_variance)) || N(0, 1) ): [N] from two tensors [N, ...].

    Source: Kingma and Welling 2013, appendix B.
    """
    return 0.5 * (mean.square() + torch.expm1(log_variance) - log_variance).flatten(1).sum(1)


def gaussian_log_density(x: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """Log-density of N(mean, exp(log_variance)) at x: [N] from x [N, ...] and parameters that broadcast to it."""
    terms = (x - mean).square() * torch.exp(-log_variance) + log_variance + log(2 * pi)
    return -0.5 * terms.flatten(1).sum(1)


def reparameterise(mean: Tensor, log_variance: Tensor, noise: Tensor) -> Tensor:
    """The draw mean + sigma * noise, through which gradients reach both parameters.

    Source: Kingma and Welling 2013, section 2.4.
    """
    return mean + torch.exp(0.5 * log_variance) * noise
