"""How much of x a latent carries: what shows posterior collapse, where the bound does not.

The posterior q(z|x) is a diagonal Gaussian by mean and log-variance [N, Z], one row for each of N samples of the data.
"""

from math import log, pi

import torch
from torch import Tensor

ACTIVE = 0.01  # variance of the posterior's mean over the data


def active_units(mean: Tensor, threshold: float = ACTIVE) -> Tensor:
    """Which latents are in use: the variance over the data of their posterior's mean is above a threshold. Bool [Z].

    Source: Burda et al. 2015, Importance weighted autoencoders, section 5.2.
    """
    return mean.var(0, correction=0) > threshold


def mutual_information(mean: Tensor, log_variance: Tensor, noise: Tensor) -> Tensor:
    """Estimate of I(x; z) in nats: the mean over samples of ln q(z|x) - ln of the mean of q(z|x') over all samples.

    With N samples no estimate exceeds ln N, which a sharp posterior reaches: the true value is then larger.

    Args:
        mean: [N, Z].
        log_variance: [N, Z].
        noise: [N, Z] normal, that makes the draw z of each sample.

    Source: Hoffman and Johnson 2016, ELBO surgery, section 3.
    """
    z = mean + torch.exp(0.5 * log_variance) * noise
    precision = torch.exp(-log_variance)
    # (z - mean)^2 of all pairs from products of matrices: [N draws, N posteriors]
    squares = z.square() @ precision.T - 2 * z @ (precision * mean).T + (precision * mean.square()).sum(1)
    densities = -0.5 * (squares + (log_variance + log(2 * pi)).sum(1))
    mixed = torch.logsumexp(densities, dim=1) - log(len(mean))
    return (densities.diagonal() - mixed).mean()


def symbol_information(codes: Tensor) -> Tensor:
    """The same estimate in nats for codes [N, ...] that are a function of x: the entropy of whole codes over the data.

    It is ln N where no two samples share a code.
    """
    _, counts = torch.unique(codes.flatten(1), dim=0, return_counts=True)
    share = counts.double() / len(codes)
    entropy: Tensor = -torch.special.xlogy(share, share).sum()
    return entropy


def others(n: int, generator: torch.Generator) -> Tensor:
    """For each of n samples the number [n] of another one, each being taken once: codes are shuffled by it.

    One sample has no other, and takes itself.
    """
    order = torch.randperm(n, generator=generator)
    taken = torch.empty_like(order)
    taken[order] = order.roll(1)
    return taken
