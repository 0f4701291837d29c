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
    return _discretised(x, mean, log_scale, levels, functional.logsigmoid)


def discretised_gaussian(x: Tensor, mean: Tensor, log_scale: Tensor, *, levels: int) -> Tensor:
    """Log-probability of the level of x under a Gaussian, whose tails belong to the end levels: [N].

    Source: Ho et al. 2020, Denoising diffusion probabilistic models, equation 13.
    """
    return _discretised(x, mean, log_scale, levels, torch.special.log_ndtr)


def _discretised(
    x: Tensor, mean: Tensor, log_scale: Tensor, levels: int, log_cdf: Callable[[Tensor], Tensor]
) -> Tensor:
    """Mass of a symmetric distribution between the edges of the level of x: [N].

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
    return torch.where(first, below, torch.where(last, above, inside)).flatten(1).sum(1)


def _log1mexp(gap: Tensor) -> Tensor:
    """ln(1 - exp(-gap)) for gap > 0, in the form that keeps its digits on either side of ln 2."""
    near = gap < log(2)
    safe_near = torch.where(near, gap, 1.0)
    safe_far = torch.where(near, 1.0, gap)
    return torch.where(near, torch.log(-torch.expm1(-safe_near)), torch.log1p(-torch.exp(-safe_far)))
