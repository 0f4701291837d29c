"""Observation models: what the output of a decoder says of x, as values that are passed to a builder.

A part (`Gaussian(scale=0.1)`) is a frozen dataclass of plain fields; `head` makes the module that belongs to it, which
holds what is learned (a scale) and turns the decoder's output [N, ...] into a mean or a log-likelihood.
"""

# ruff: noqa: D102 -- the methods are documented at their abstract classes

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import log
from typing import Literal

import torch
from torch import Tensor, nn

from urbild.contract import DataSpec
from urbild.errors import OptionError
from urbild.ops import likelihoods
from urbild.ops.precision import full

IMAGE_SCALE = 0.3
LOWEST_LOG_SCALE = -7.0  # about 1/1000: a scale that goes to 0 on constant columns would make the density infinite


class Head(nn.Module, ABC):
    """Reads the output of a decoder [N, *sample]."""

    @abstractmethod
    def mean(self, output: Tensor) -> Tensor:
        """E[x | z] in the range of the data: [N, *sample]."""

    @abstractmethod
    def log_likelihood(self, x: Tensor, output: Tensor) -> Tensor:
        """Log-density or log-probability of x given z, in nats: [N]."""


class Observation(ABC):
    """A choice of p(x | z)."""

    @abstractmethod
    def head(self, spec: DataSpec) -> Head:
        """The module that reads a decoder's output.

        Raises:
            OptionError: such data cannot be observed so.
        """


@dataclass(frozen=True, slots=True)
class Bernoulli(Observation):
    """Black or white pixels; grey ones count as drawn anew at each visit (expected nats of dynamic binarisation)."""

    def head(self, spec: DataSpec) -> Head:
        _need_image(spec, "Bernoulli")
        return _BernoulliHead()


@dataclass(frozen=True, slots=True)
class Gaussian(Observation):
    """A density of continuous values around the decoder's mean.

    Attributes:
        scale: standard deviation, in units of the prepared data; None learns one for each channel or column.
    """

    scale: float | None = None

    def head(self, spec: DataSpec) -> Head:
        _need_positive(self.scale)
        return _GaussianHead(spec, self.scale)


@dataclass(frozen=True, slots=True)
class Discretised(Observation):
    """Probabilities of the levels that pixels really have, from a continuous noise around the decoder's mean.

    Attributes:
        levels: number of values that a pixel has; None takes it from the data.
        noise: the continuous distribution.
        scale: of the noise, on pixels in [0, 1]; None learns one for each channel.
    """

    levels: int | None = None
    noise: Literal["logistic", "gaussian"] = "logistic"
    scale: float | None = None

    def head(self, spec: DataSpec) -> Head:
        _need_image(spec, "Discretised")
        _need_positive(self.scale)
        levels = self.levels or spec.levels
        if levels is None or levels < 2:
            msg = f"Discretised needs the number of levels of a pixel, at least 2, and has {levels}; give levels=256."
            raise OptionError(msg)
        return _DiscretisedHead(spec, levels, self.noise, self.scale)


def default_observation(spec: DataSpec) -> Observation:
    """Gaussian, of scale .3 for images and of learned scales for the rest.

    Learned scales make the better density, and on images the worse detector: they end near the error of a good
    reconstruction, where the KL no longer counts and strange images are rebuilt too. (MNIST training digits, 8 or 2
    normal: AUROC .92 and .95 at scale .3, .90 and .95 with a learned one.)
    """
    return Gaussian(scale=IMAGE_SCALE) if spec.kind in ("image", "video") else Gaussian()


def _need_image(spec: DataSpec, name: str) -> None:
    if spec.kind not in ("image", "video"):
        msg = f"{name} needs pixels in [0, 1], and {spec.kind} data are not bounded; use likelihood=Gaussian()."
        raise OptionError(msg)


def _need_positive(scale: float | None) -> None:
    if scale is not None and not scale > 0:
        msg = f"the scale of a likelihood must be positive, and is {scale}."
        raise OptionError(msg)


class _BernoulliHead(Head):
    def mean(self, output: Tensor) -> Tensor:
        return torch.sigmoid(full(output))

    def log_likelihood(self, x: Tensor, output: Tensor) -> Tensor:
        return likelihoods.bernoulli(x, full(output))


class _GaussianHead(Head):
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


class _DiscretisedHead(Head):
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


def _add_scale(head: Head, spec: DataSpec, scale: float | None, *, start: float) -> None:
    """Gives the head its ln of the scale, shaped to broadcast over [N, *sample]: a parameter where it is learned."""
    shape = (spec.channels, 1, 1) if spec.kind in ("image", "video") else (spec.channels,)
    if scale is None:
        head.log_scale = nn.Parameter(torch.full(shape, log(start)))
    else:
        head.register_buffer("log_scale", torch.full(shape, log(scale)), persistent=False)
