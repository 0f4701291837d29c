"""What reads the output of a decoder as a distribution of x: a head for each part of `nets.observations`."""

# ruff: noqa: D102 -- the methods are documented at the abstract class

from abc import ABC, abstractmethod
from math import log
from typing import Literal

import torch
from torch import Tensor, nn

from urbild.contract import DataSpec
from urbild.ops import likelihoods
from urbild.ops.precision import full

LOWEST_LOG_SCALE = -7.0  # about 1/1000: a scale that goes to 0 on constant columns would make the density infinite


class Head(nn.Module, ABC):
    """Reads the output of a decoder: [N, *sample], or with more channels where the observation needs them."""

    @abstractmethod
    def mean(self, output: Tensor) -> Tensor:
        """E[x | z] in the range of the data: [N, *sample]."""

    @abstractmethod
    def log_likelihood(self, x: Tensor, output: Tensor) -> Tensor:
        """Log-density or log-probability of x given z, in nats: [N]."""

    @abstractmethod
    def sample(self, output: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """A draw of x given z, in the range and on the levels of the data: [N, *sample]."""


class BernoulliHead(Head):
    """Logits of white."""

    def mean(self, output: Tensor) -> Tensor:
        return torch.sigmoid(full(output))

    def log_likelihood(self, x: Tensor, output: Tensor) -> Tensor:
        return likelihoods.bernoulli(x, full(output))

    def sample(self, output: Tensor, generator: torch.Generator | None = None) -> Tensor:
        mean = self.mean(output)
        return (_uniform(mean, generator) < mean).to(mean.dtype)


class GaussianHead(Head):
    """The output is the mean: not squashed, for a sigmoid that saturates at black learns nothing more."""

    log_scale: Tensor

    def __init__(self, spec: DataSpec, scale: float | None) -> None:
        super().__init__()
        self.bounded = spec.kind in ("image", "video")
        _add_scale(self, spec, scale, start=0.1 if self.bounded else 1.0)

    def mean(self, output: Tensor) -> Tensor:
        return full(output).clamp(0, 1) if self.bounded else full(output)

    def log_likelihood(self, x: Tensor, output: Tensor) -> Tensor:
        log_scale = self.log_scale.clamp(min=LOWEST_LOG_SCALE)
        return likelihoods.gaussian(x, full(output), log_scale)

    def sample(self, output: Tensor, generator: torch.Generator | None = None) -> Tensor:
        drawn = full(output) + self.log_scale.exp() * _normal(full(output), generator)
        return drawn.clamp(0, 1) if self.bounded else drawn


class DiscretisedHead(Head):
    """The output is the mean; the scale is the head's own."""

    log_scale: Tensor

    def __init__(
        self, spec: DataSpec, levels: int, noise: Literal["logistic", "gaussian"], scale: float | None
    ) -> None:
        super().__init__()
        self.levels, self.noise = levels, noise
        _add_scale(self, spec, scale, start=0.1)

    def mean(self, output: Tensor) -> Tensor:
        return full(output).clamp(0, 1)

    def log_likelihood(self, x: Tensor, output: Tensor) -> Tensor:
        log_scale = self.log_scale.clamp(min=LOWEST_LOG_SCALE)
        if self.noise == "logistic":
            return likelihoods.discretised_logistic(x, full(output), log_scale, levels=self.levels)
        return likelihoods.discretised_gaussian(x, full(output), log_scale, levels=self.levels)

    def sample(self, output: Tensor, generator: torch.Generator | None = None) -> Tensor:
        mean = full(output)
        noise = torch.logit(_uniform(mean, generator)) if self.noise == "logistic" else _normal(mean, generator)
        return _on_levels(mean + self.log_scale.clamp(min=LOWEST_LOG_SCALE).exp() * noise, self.levels)


class CategoricalHead(Head):
    """Logits of the levels of each channel."""

    def __init__(self, spec: DataSpec, levels: int) -> None:
        super().__init__()
        self.channels, self.levels = spec.channels, levels

    def _logits(self, output: Tensor) -> Tensor:
        """[N, L, C, H, W] of an output [N, C L, H, W]."""
        return full(output).reshape(len(output), self.channels, self.levels, *output.shape[2:]).transpose(1, 2)

    def mean(self, output: Tensor) -> Tensor:
        values = torch.linspace(0, 1, self.levels, device=output.device)
        shares = torch.softmax(self._logits(output), dim=1)
        return torch.einsum("nlchw,l->nchw", shares, values.to(shares.dtype)).clamp(0, 1)

    def log_likelihood(self, x: Tensor, output: Tensor) -> Tensor:
        return likelihoods.categorical(x, self._logits(output))

    def sample(self, output: Tensor, generator: torch.Generator | None = None) -> Tensor:
        logits = self._logits(output)
        return (logits + _gumbel(logits, generator)).argmax(1).to(logits.dtype) / (self.levels - 1)


class MixtureHead(Head):
    """Reads means and coefficients on pixels in [-1, 1], as the paper does, and speaks of pixels in [0, 1]."""

    def __init__(self, spec: DataSpec, components: int, levels: int) -> None:
        super().__init__()
        self.channels, self.components, self.levels = spec.channels, components, levels

    def _parts(self, output: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Logits [N, M, H, W]; means and log-scales [N, M, C, H, W] and coefficients, all on [-1, 1]."""
        each = full(output).reshape(len(output), self.components, -1, *output.shape[2:])
        sizes = [1, self.channels, self.channels, pairs(self.channels)]
        logits, means, log_scales, coefficients = torch.split(each, sizes, dim=2)
        return logits.squeeze(2), means, log_scales.clamp(min=LOWEST_LOG_SCALE), torch.tanh(coefficients)

    def mean(self, output: Tensor) -> Tensor:
        """Of the continuous mixture, without regard to the ends of the range; clipped to it."""
        logits, means, _, coefficients = self._parts(output)
        expected = means
        for _ in range(self.channels - 1):  # each pass settles one more channel
            expected = likelihoods.coupled(expected, means, coefficients)
        mixed = (torch.softmax(logits, dim=1)[:, :, None] * expected).sum(1)
        return ((mixed + 1) / 2).clamp(0, 1)

    def log_likelihood(self, x: Tensor, output: Tensor) -> Tensor:
        logits, means, log_scales, coefficients = self._parts(output)
        means = (likelihoods.coupled(2 * x - 1, means, coefficients) + 1) / 2
        return likelihoods.logistic_mixture(x, logits, means, log_scales - log(2), levels=self.levels)

    def sample(self, output: Tensor, generator: torch.Generator | None = None) -> Tensor:
        logits, means, log_scales, coefficients = self._parts(output)
        chosen = (logits + _gumbel(logits, generator)).argmax(1)[:, None, None]  # [N, 1, 1, H, W]
        means, log_scales, coefficients = (
            part.gather(1, chosen.expand(-1, -1, part.shape[2], -1, -1)) for part in (means, log_scales, coefficients)
        )
        noise = log_scales.squeeze(1).exp() * torch.logit(_uniform(means.squeeze(1), generator))
        x = torch.zeros_like(noise)  # [N, C, H, W]; a channel is final once those before it are
        for _ in range(self.channels):
            raw = likelihoods.coupled(2 * x - 1, means, coefficients).squeeze(1) + noise
            x = _on_levels((raw + 1) / 2, self.levels)
        return x


def pairs(channels: int) -> int:
    """Coefficients of a pixel: of each channel on each before it."""
    return channels * (channels - 1) // 2


def _uniform(like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Numbers strictly between 0 and 1, drawn where the generator is."""
    device = generator.device if generator is not None else like.device
    drawn = torch.rand(like.shape, generator=generator, device=device).to(like)
    return drawn.clamp(1e-7, 1 - 1e-6)


def _normal(like: Tensor, generator: torch.Generator | None) -> Tensor:
    device = generator.device if generator is not None else like.device
    return torch.randn(like.shape, generator=generator, device=device).to(like)


def _gumbel(like: Tensor, generator: torch.Generator | None) -> Tensor:
    return -torch.log(-torch.log(_uniform(like, generator)))


def _on_levels(x: Tensor, levels: int) -> Tensor:
    return (x.clamp(0, 1) * (levels - 1)).round() / (levels - 1)


def _add_scale(head: Head, spec: DataSpec, scale: float | None, *, start: float) -> None:
    """Gives the head its ln of the scale, shaped to broadcast over [N, *sample]: a parameter where it is learned."""
    shape = (spec.channels, 1, 1) if spec.kind in ("image", "video") else (spec.channels,)
    if scale is None:
        head.log_scale = nn.Parameter(torch.full(shape, log(start)))
    else:
        head.register_buffer("log_scale", torch.full(shape, log(scale)), persistent=False)
