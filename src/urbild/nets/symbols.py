"""What an autoregressive model says of a site: values that are passed to a builder, and the heads that they make.

A network gives each site numbers for each of its groups of channels (one group a channel, or one for all); a head reads
them as probabilities of symbols, and draws symbols by them from uniform numbers.
"""

# ruff: noqa: D102 -- the methods are documented at their abstract classes

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from urbild.contract import DataSpec
from urbild.errors import DataError, OptionError
from urbild.ops.precision import full


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

    @abstractmethod
    def draw(self, output: Tensor, noise: Tensor, temperature: float = 1.0) -> Tensor:
        """Symbols [N, C / groups] of a site's group by its output [N, outputs] and uniform numbers [N, draws]."""


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
        levels = self.levels or spec.levels
        if levels is None or levels < 2:
            msg = f"Softmax needs the number of levels of a value, at least 2, and has {levels}; give levels=256."
            raise OptionError(msg)
        return _SoftmaxHead(spec, levels)


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

    def draw(self, output: Tensor, noise: Tensor, temperature: float = 1.0) -> Tensor:
        return (noise < torch.sigmoid(output / temperature)).long()


class _SoftmaxHead(SymbolHead):
    def __init__(self, spec: DataSpec, levels: int) -> None:
        self.levels, self.groups, self.outputs, self.draws = levels, spec.channels, levels, 1

    def surprise(self, output: Tensor, symbols: Tensor) -> Tensor:
        logits = full(output).view(len(output), self.groups, self.levels, *output.shape[2:])
        return functional.cross_entropy(logits.transpose(1, 2), symbols, reduction="none")

    def draw(self, output: Tensor, noise: Tensor, temperature: float = 1.0) -> Tensor:
        cumulated = torch.softmax(output / temperature, dim=1).cumsum(1)  # [N, K]
        return (cumulated < noise * cumulated[:, -1:]).sum(1, keepdim=True).clamp_(max=self.levels - 1)
