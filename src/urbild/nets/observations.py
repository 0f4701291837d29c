"""Observation models: what the output of a decoder says of x, as values that are passed to a builder.

A part (`Gaussian(scale=0.1)`) is a frozen dataclass of plain fields; `head` makes the module that belongs to it, which
holds what is learned (a scale) and turns the decoder's output [N, ...] into a mean, a log-likelihood or a draw. Some
need more channels from the decoder than the data have: `outputs` says how many.
"""

# ruff: noqa: D102 -- the methods are documented at their abstract classes

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

from urbild.contract import DataSpec
from urbild.errors import OptionError
from urbild.nets.observation_heads import (
    BernoulliHead,
    CategoricalHead,
    DiscretisedHead,
    GaussianHead,
    Head,
    MixtureHead,
    pairs,
)

IMAGE_SCALE = 0.3


class Observation(ABC):
    """A choice of p(x | z)."""

    @abstractmethod
    def head(self, spec: DataSpec) -> Head:
        """The module that reads a decoder's output.

        Raises:
            OptionError: such data cannot be observed so.
        """

    def outputs(self, spec: DataSpec) -> int:
        """Channels (or columns) that a decoder must give; it also raises what `head` raises."""
        return spec.channels


@dataclass(frozen=True, slots=True)
class Bernoulli(Observation):
    """Black or white pixels; grey ones count as drawn anew at each visit (expected nats of dynamic binarisation)."""

    def head(self, spec: DataSpec) -> Head:
        _need_image(spec, "Bernoulli")
        return BernoulliHead()


@dataclass(frozen=True, slots=True)
class Gaussian(Observation):
    """A density of continuous values around the decoder's mean.

    Attributes:
        scale: standard deviation, in units of the prepared data; None learns one for each channel or column.
    """

    scale: float | None = None

    def head(self, spec: DataSpec) -> Head:
        _need_positive(self.scale)
        return GaussianHead(spec, self.scale)


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
        levels = _levels(spec, self.levels, "Discretised")
        return DiscretisedHead(spec, levels, self.noise, self.scale)


@dataclass(frozen=True, slots=True)
class Categorical(Observation):
    """A probability for each level of each channel, without any order among levels.

    Attributes:
        levels: number of values that a pixel has; None takes it from the data.
    """

    levels: int | None = None

    def head(self, spec: DataSpec) -> Head:
        _need_still(spec, "Categorical")
        return CategoricalHead(spec, _levels(spec, self.levels, "Categorical"))

    def outputs(self, spec: DataSpec) -> int:
        _need_still(spec, "Categorical")
        return spec.channels * _levels(spec, self.levels, "Categorical")


@dataclass(frozen=True, slots=True)
class LogisticMixture(Observation):
    """A mixture of discretised logistics for each pixel, whose channels depend linearly on the ones before: R, G, B.

    Attributes:
        components: M.
        levels: number of values that a pixel has; None takes it from the data.
    """

    components: int = 10
    levels: int | None = None

    def head(self, spec: DataSpec) -> Head:
        _need_still(spec, "LogisticMixture")
        if self.components < 1:
            msg = f"LogisticMixture needs at least 1 component, and has {self.components}."
            raise OptionError(msg)
        return MixtureHead(spec, self.components, _levels(spec, self.levels, "LogisticMixture"))

    def outputs(self, spec: DataSpec) -> int:
        _need_still(spec, "LogisticMixture")
        return self.components * (1 + 2 * spec.channels + pairs(spec.channels))


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


def _need_still(spec: DataSpec, name: str) -> None:
    if spec.kind != "image":
        msg = f"{name} needs images with pixels in [0, 1], not {spec.kind} data; use likelihood=Gaussian()."
        raise OptionError(msg)


def _levels(spec: DataSpec, own: int | None, name: str) -> int:
    levels = own or spec.levels
    if levels is None or levels < 2:
        msg = f"{name} needs the number of levels of a pixel, at least 2, and has {levels}; give levels=256."
        raise OptionError(msg)
    return levels


def _need_positive(scale: float | None) -> None:
    if scale is not None and not scale > 0:
        msg = f"the scale of a likelihood must be positive, and is {scale}."
        raise OptionError(msg)
