"""Log-likelihoods of samples under the outputs of a decoder, in nats, summed over the entries of a sample.

x [N, ...] lies in [0, 1] where the data have levels; level i of L is the value i / (L - 1).
"""

from collections.abc import Callable
from math import log, pi

import torch
from torch import Tensor
from torch.nn import functional


def bernoulli(x: Tensor, logits: Tensor) -> Tensor:
    """The sum of x ln p + (1 - x) ln (1 - p): [N].

    On values between 0 and 1 this is the expected log-likelihood of a pixel that is drawn anew at each visit, black or
    white with probability x (dynamic binarisation), not the density of x itself.
    """
    return -functional.binary_cross_entropy_with_logits(logits, x, reduction="none").flatten(1).sum(1)


def gaussian(x: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    """Log-density of N(mean, exp(log_scale)^2) at x: [N]. `log_scale` broadcasts to x."""
    deviation = (x - mean) * torch.exp(-log_scale)
    return -(0.5 * deviation.square() + log_scale + 0.5 * log(2 * pi)).flatten(1).sum(1)


def discretised_logistic(x: Tensor, mean: Tensor, log_scale: Tensor, *, levels: int) -> Tensor:
    """Log-probability of the level of x under a logistic distribution, whose tails belong to the end levels: [N].

    Source: Salimans et al. 2017, PixelCNN++, section 2.1 (one component).
    """
    return _mass(x, mean, log_scale, levels, functional.logsigmoid).flatten(1).sum(1)


def discretised_gaussian(x: Tensor, mean: Tensor, log_scale: Tensor, *, levels: int) -> Tensor:
    """Log-probability of the level of x under a Gaussian, whose tails belong to the end levels: [N].

    Source: Ho et al. 2020, Denoising diffusion probabilistic models, equation 13.
    """
    return _mass(x, mean, log_scale, levels, torch.special.log_ndtr).flatten(1).sum(1)


def categorical(x: Tensor, logits: Tensor) -> Tensor:
    """Log-probability of the levels of x [N, *sample] by logits [N, L, *sample]: [N]."""
    symbols = (x.clamp(0, 1) * (logits.shape[1] - 1)).round().long()
    return -functional.cross_entropy(logits, symbols, reduction="none").flatten(1).sum(1)


def logistic_mixture(x: Tensor, logits: Tensor, means: Tensor, log_scales: Tensor, *, levels: int) -> Tensor:
    """The sum of `logistic_mixture_sites` over sites: [N]."""
    return logistic_mixture_sites(x, logits, means, log_scales, levels=levels).flatten(1).sum(1)


def logistic_mixture_sites(x: Tensor, logits: Tensor, means: Tensor, log_scales: Tensor, *, levels: int) -> Tensor:
    """Log-probability of the levels of x [N, C, *sites] under a mixture for each site, whose parts span its channels.

    Args:
        x: in [0, 1].
        logits: [N, M, *sites] of the M components.
        means: [N, M, C, *sites] of their logistic distributions, in units of x (`coupled` makes them depend on it).
        log_scales: of the same shape.
        levels: of x.

    Returns:
        [N, *sites], in nats.

    Source: Salimans et al. 2017, PixelCNN++, equations 1 to 3.
    """
    mass = _mass(x[:, None], means, log_scales, levels, functional.logsigmoid).sum(2)  # [N, M, *sites]
    return torch.logsumexp(functional.log_softmax(logits, dim=1) + mass, dim=1)


def coupled(x: Tensor, means: Tensor, coefficients: Tensor) -> Tensor:
    """Means of which each channel's is shifted linearly by the channels before it: [N, M, C, *sites].

    Args:
        x: [N, C, *sites], or [N, M, C, *sites]; the last channel is not read.
        means: [N, M, C, *sites].
        coefficients: [N, M, C (C - 1) / 2, *sites]: of G on R, B on R, B on G, and so on.
    """
    x = x[:, None] if x.dim() < means.dim() else x
    shifted, at = [], 0
    for channel, mean in enumerate(means.unbind(2)):
        before = coefficients[:, :, at : at + channel] * x[:, :, :channel]
        shifted.append(mean + before.sum(2))
        at += channel
    return torch.stack(shifted, 2)


def _mass(x: Tensor, mean: Tensor, log_scale: Tensor, levels: int, log_cdf: Callable[[Tensor], Tensor]) -> Tensor:
    """Log-mass of a symmetric distribution between the edges of the level of each entry of x.

    Edges are mirrored into the lower tail, where the logarithm of the distribution function keeps its digits.
    """
    half = 0.5 / (levels - 1)
    inverse = torch.exp(-log_scale)
    centre = x - mean
    mirrored = torch.where(centre > 0, -1.0, 1.0)
    upper = log_cdf((mirrored * centre + half) * inverse)
    lower = log_cdf((mirrored * centre - half) * inverse)
    inside = upper + _log1mexp((upper - lower).clamp(min=torch.finfo(x.dtype).tiny))
    first, last = x < half, x > 1 - half
    below = log_cdf((centre + half) * inverse)
    above = log_cdf((half - centre) * inverse)
    return torch.where(first, below, torch.where(last, above, inside))


def _log1mexp(gap: Tensor) -> Tensor:
    """ln(1 - exp(-gap)) for gap > 0, in the form that keeps its digits on either side of ln 2."""
    near = gap < log(2)
    safe_near = torch.where(near, gap, 1.0)
    safe_far = torch.where(near, 1.0, gap)
    return torch.where(near, torch.log(-torch.expm1(-safe_near)), torch.log1p(-torch.exp(-safe_far)))
