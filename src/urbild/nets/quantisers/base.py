"""What all quantisers are: a choice that is written down, a module, and what the module says of some codes."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from urbild.errors import OptionError
from urbild.ops.precision import full


class Quantised(NamedTuple):
    """Codes after quantisation.

    Attributes:
        z_q: [N, D, *sites] the code vectors that were chosen; its gradient reaches z by the quantiser's estimator.
        indices: int64 [N, *sites], or [N, G, *sites] of several codebooks.
        loss: squared distance of codes and codebook, weighted, mean over all entries; 0 where there is none.
        rate: weighted KL to the uniform prior, in nats, summed over the sites of a sample, mean over samples; 0 where
            there is none.
        logs: scalars: "perplexity" (exp of the entropy of the codes in use, 1 to K) and "active" (codes in use) of
            this batch, and what else the quantiser has to tell.
    """

    z_q: Tensor
    indices: Tensor
    loss: Tensor
    rate: Tensor
    logs: Mapping[str, Tensor]


class Codebook(nn.Module, ABC):
    """Replaces each vector of z [N, D, *sites] by one of K code vectors."""

    @abstractmethod
    def forward(self, z: Tensor, progress: float = 0.0) -> Quantised:
        """Quantises; `progress` of the training, 0 to 1, drives schedules. Learns from z in training mode alone."""

    @abstractmethod
    def indices(self, z: Tensor) -> Tensor:
        """Symbols int64 [N, *sites] of z [N, D, *sites]; draws nothing."""

    @abstractmethod
    def lookup(self, indices: Tensor) -> Tensor:
        """Code vectors [N, D, *sites] of symbols [N, *sites]."""

    @abstractmethod
    def distance(self, z: Tensor, indices: Tensor) -> Tensor:
        """How ill the symbols [N, *sites] fit z [N, D, *sites]: [N, *sites], not negative, 0 for a perfect fit."""


class Quantiser(ABC):
    """A choice of quantiser: a frozen dataclass that has, among its fields, K = `codes`."""

    codes: int

    @abstractmethod
    def build(self, size: int) -> Codebook:
        """The module for vectors of `size` numbers.

        Raises:
            OptionError: a field is out of range.
        """


def rows(z: Tensor) -> Tensor:
    """The vectors [M, D] of z [N, D, *sites], in float32 or wider; a view where the channels lie last."""
    return full(z).movedim(1, -1).reshape(-1, z.shape[1])


def usage(counts: Tensor) -> dict[str, Tensor]:
    """Perplexity and the number of codes in use, of how often each of K codes was chosen."""
    share = counts / counts.sum().clamp(min=1)
    entropy = -torch.special.xlogy(share, share).sum()
    return {"perplexity": entropy.exp(), "active": (counts > 0).sum().to(entropy.dtype)}


def tally(indices: Tensor, codes: int) -> Tensor:
    """How often each of K codes was chosen: float32 [K]."""
    return torch.bincount(indices.reshape(-1), minlength=codes).float()


def need_positive(name: str, **values: float | None) -> None:
    """Refuses fields of a quantiser that are not positive; None stands for "not at all".

    Raises:
        OptionError: one of them is zero or negative.
    """
    for field, value in values.items():
        if value is not None and not value > 0:
            msg = f"{field} of {name} must be positive, and is {value}."
            raise OptionError(msg)
