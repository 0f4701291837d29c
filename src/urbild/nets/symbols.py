"""What an autoregressive model says of a site: values that are passed to a builder, and the heads that they make.

A network gives each site numbers for each of its groups of channels (one group a channel, or one for all); a head reads
them as probabilities of symbols, and draws symbols by them from uniform numbers.
"""

# ruff: noqa: D102 -- the methods are documented at their abstract classes

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import log
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from urbild.contract import DataSpec
from urbild.errors import DataError, OptionError
from urbild.ops import likelihoods
from urbild.ops.precision import full

LOWEST_LOG_SCALE = -7.0  # of a logistic, on values in [-1, 1]


class SymbolHead(ABC):
    """Reads a network's output. It holds nothing that is learned.

    Attributes:
        levels: K, the number of symbols.
        groups: of channels that are drawn one after the other.
        outputs: numbers that it needs for each group.
        draws: uniform numbers that a draw of one group takes.
    """

    levels: int
    groups: int
    outputs: int
    draws: int

    def symbols(self, x: Tensor, *, training: bool = False) -> Tensor:  # noqa: ARG002 -- what binarises draws in training
        """Symbols int64 [N, C, H, W] of x in [0, 1]; values outside count as the nearest."""
        return (x.clamp(0, 1) * (self.levels - 1)).round().long()

    def values(self, symbols: Tensor) -> Tensor:
        """Values in [0, 1] of symbols."""
        return symbols.float() / (self.levels - 1)

    @abstractmethod
    def surprise(self, output: Tensor, symbols: Tensor) -> Tensor:
        """Negative log-probability, in nats, of symbols [N, C, H, W] by output [N, groups * outputs, H, W].

        One number for each channel [N, C, H, W], or for all of them [N, 1, H, W].
        """

    def mean(self, output: Tensor, symbols: Tensor) -> Tensor:  # noqa: ARG002 -- heads with a closed form read it
        """Expected values [N, C, H, W] in [0, 1] by output of `symbols`; those themselves without a closed form."""
        return self.values(symbols)

    @abstractmethod
    def draw(self, output: Tensor, noise: Tensor, temperature: float = 1.0) -> Tensor:
        """Symbols [N, C / groups] of a site's group by its output [N, outputs] and uniform numbers [N, draws].

        Raises:
            OptionError: the temperature is not positive.
        """


class Symbols(ABC):
    """A choice of p(symbol | what came before)."""

    @abstractmethod
    def head(self, spec: DataSpec) -> SymbolHead:
        """The head for such data.

        Raises:
            OptionError: they cannot be described so.
        """


@dataclass(frozen=True, slots=True)
class Binary(Symbols):
    """Black or white.

    Attributes:
        grey: what becomes of grey values: they are refused; or white where above one half; or drawn at each visit,
            white with the probability that the value says (dynamic binarisation). Where nothing may be drawn, as in
            scoring, the same uniform numbers are compared with every image.
    """

    grey: Literal["refuse", "threshold", "dynamic"] = "refuse"

    def head(self, spec: DataSpec) -> SymbolHead:
        if self.grey == "refuse" and spec.levels not in (None, 2):
            msg = f"Binary takes black or white, and the data have {spec.levels} levels; choose its grey='dynamic' or "
            msg += "'threshold', or describe all levels with Softmax."
            raise OptionError(msg)
        return _BinaryHead(spec, self.grey)


@dataclass(frozen=True, slots=True)
class Softmax(Symbols):
    """A probability for each level, without any order among them.

    Attributes:
        levels: that values are rounded to; None keeps those of the data.
    """

    levels: int | None = None

    def head(self, spec: DataSpec) -> SymbolHead:
        return _SoftmaxHead(spec, _levels(spec, self.levels, "Softmax"))


@dataclass(frozen=True, slots=True)
class Mixture(Symbols):
    """A mixture of discretised logistics for all channels of a site at once; G depends linearly on R, B on R and G.

    Levels are ordered: near ones have near probabilities, and a site needs few numbers however many levels there are.

    Attributes:
        components: M.
        levels: that values are rounded to; None keeps those of the data.
    """

    components: int = 10
    levels: int | None = None

    def head(self, spec: DataSpec) -> SymbolHead:
        if self.components < 1:
            msg = f"Mixture needs at least 1 component, and has {self.components}."
            raise OptionError(msg)
        if spec.channels not in (1, 3):
            msg = f"Mixture takes grey images or colour, and these have {spec.channels} channels; use Softmax."
            raise OptionError(msg)
        return _MixtureHead(spec, self.components, _levels(spec, self.levels, "Mixture"))


def _levels(spec: DataSpec, own: int | None, name: str) -> int:
    levels = own or spec.levels
    if levels is None or levels < 2:
        msg = f"{name} needs the number of levels of a value, at least 2, and has {levels}; give levels=256."
        raise OptionError(msg)
    return levels


def _check_temperature(temperature: float) -> None:
    if not temperature > 0:
        msg = f"temperature={temperature} is out of range; it must be more than 0."
        raise OptionError(msg)


def default_symbols(spec: DataSpec) -> Symbols:
    """Binary for two levels, else Softmax."""
    return Binary() if spec.levels == 2 else Softmax()


class _BinaryHead(SymbolHead):
    def __init__(self, spec: DataSpec, grey: str) -> None:
        self.levels, self.groups, self.outputs, self.draws = 2, spec.channels, 1, 1
        self._grey = grey

    def symbols(self, x: Tensor, *, training: bool = False) -> Tensor:
        if self._grey == "refuse" and bool(((x > 0) & (x < 1)).any()):
            msg = "the images have grey values, and the model takes black or white; choose Binary(grey='dynamic') or "
            msg += "'threshold' when it is trained."
            raise DataError(msg)
        if self._grey != "dynamic":
            return (x > 0.5).long()
        if training:
            return (torch.rand_like(x) < x).long()
        noise = torch.rand(x.shape[1:], generator=torch.Generator().manual_seed(0)).to(x.device)
        return (noise < x).long()

    def surprise(self, output: Tensor, symbols: Tensor) -> Tensor:
        output = full(output)
        return functional.binary_cross_entropy_with_logits(output, symbols.to(output.dtype), reduction="none")

    def mean(self, output: Tensor, symbols: Tensor) -> Tensor:  # noqa: ARG002 -- symbols matter where channels couple
        return torch.sigmoid(full(output))

    def draw(self, output: Tensor, noise: Tensor, temperature: float = 1.0) -> Tensor:
        _check_temperature(temperature)
        return (noise < torch.sigmoid(output / temperature)).long()


class _SoftmaxHead(SymbolHead):
    def __init__(self, spec: DataSpec, levels: int) -> None:
        self.levels, self.groups, self.outputs, self.draws = levels, spec.channels, levels, 1

    def _logits(self, output: Tensor) -> Tensor:
        """[N, C, K, H, W]."""
        return full(output).view(len(output), self.groups, self.levels, *output.shape[2:])

    def surprise(self, output: Tensor, symbols: Tensor) -> Tensor:
        return functional.cross_entropy(self._logits(output).transpose(1, 2), symbols, reduction="none")

    def mean(self, output: Tensor, symbols: Tensor) -> Tensor:  # noqa: ARG002 -- symbols matter where channels couple
        shares = torch.softmax(self._logits(output), dim=2)
        values = torch.linspace(0, 1, self.levels, device=output.device, dtype=shares.dtype)
        return torch.einsum("nckhw,k->nchw", shares, values).clamp(0, 1)

    def draw(self, output: Tensor, noise: Tensor, temperature: float = 1.0) -> Tensor:
        _check_temperature(temperature)
        cumulated = torch.softmax(output / temperature, dim=1).cumsum(1)  # [N, K]
        return (cumulated < noise * cumulated[:, -1:]).sum(1, keepdim=True).clamp_(max=self.levels - 1)


class _MixtureHead(SymbolHead):
    """Means, scales and coefficients are of values in [-1, 1], as in the paper."""

    def __init__(self, spec: DataSpec, components: int, levels: int) -> None:
        self._channels, self._components = spec.channels, components
        self._sizes = [1, spec.channels, spec.channels, spec.channels * (spec.channels - 1) // 2]
        self.levels, self.groups, self.outputs, self.draws = levels, 1, components * sum(self._sizes), 1 + spec.channels

    def _each(self, output: Tensor) -> Tensor:
        """The numbers [N, M, outputs / M, *sites] of each component."""
        return output.reshape(len(output), self._components, -1, *output.shape[2:])

    def _parts(self, each: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Logits [N, M, *sites], means and log-scales [N, M, C, *sites] and coefficients of [N, M, numbers, *sites]."""
        logits, means, log_scales, coefficients = torch.split(each, self._sizes, dim=2)
        return logits.squeeze(2), means, log_scales.clamp(min=LOWEST_LOG_SCALE), torch.tanh(coefficients)

    def surprise(self, output: Tensor, symbols: Tensor) -> Tensor:
        each = self._each(full(output))
        logits, means, log_scales, coefficients = self._parts(each)
        x = symbols.to(each.dtype) / (self.levels - 1)
        means = (likelihoods.coupled(2 * x - 1, means, coefficients) + 1) / 2
        found = likelihoods.logistic_mixture_sites(x, logits, means, log_scales - log(2), levels=self.levels)
        return -found[:, None]

    def mean(self, output: Tensor, symbols: Tensor) -> Tensor:  # noqa: ARG002 -- it has a closed form
        """Of the continuous mixture, without regard to the ends of the range; clipped to it."""
        logits, means, _, coefficients = self._parts(self._each(full(output)))
        expected = means
        for _ in range(self._channels - 1):  # each pass settles one more channel
            expected = likelihoods.coupled(expected, means, coefficients)
        mixed = (torch.softmax(logits, dim=1)[:, :, None] * expected).sum(1)
        return ((mixed + 1) / 2).clamp(0, 1)

    def draw(self, output: Tensor, noise: Tensor, temperature: float = 1.0) -> Tensor:
        _check_temperature(temperature)
        each = self._each(output)
        cumulated = torch.softmax(each[:, :, 0] / temperature, dim=1).cumsum(1)
        chosen = (cumulated < noise[:, :1] * cumulated[:, -1:]).sum(1).clamp_(max=self._components - 1)
        _, means, log_scales, coefficients = self._parts(each.gather(1, chosen[:, None, None].expand_as(each[:, :1])))
        least = torch.finfo(noise.dtype).eps
        spread = torch.logit(noise[:, 1:], eps=least) * log_scales[:, 0].exp() * temperature  # [N, C]
        x = torch.zeros_like(spread)
        for _ in range(self._channels):  # each pass settles one more channel
            value = (likelihoods.coupled(x, means, coefficients)[:, 0] + spread).clamp(-1, 1)
            x = ((value + 1) / 2 * (self.levels - 1)).round() * (2 / (self.levels - 1)) - 1
        return ((x + 1) / 2 * (self.levels - 1)).round().long()
