"""Where the symbols of a code lie in the sample that they stand for: cells of an image, or stretches of sound."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

FAINT = 1e-9  # as good as silence, but no padding


class Sites(ABC):
    """A choice of how maps of symbols [N, G, h, w] lie over a sample."""

    @abstractmethod
    def blank(self, x: Tensor, observed: Tensor) -> Tensor:
        """Samples x [N, *sample] that tell nothing where they are not `observed` [N, *sites]."""

    @abstractmethod
    def merge(self, x: Tensor, made: Tensor, observed: Tensor) -> Tensor:
        """Samples x [N, *sample] where `observed` [N, *sites], and those that were `made` elsewhere."""

    @abstractmethod
    def seen(self, observed: Tensor, size: tuple[int, int]) -> Tensor:
        """Which sites [N, h, w] of a map of that size are observed in every part."""

    @abstractmethod
    def counted(self, symbols: Tensor) -> Tensor:
        """Which symbols [N, G, h, w] belong to the sample: bool of the same shape."""

    @abstractmethod
    def spread(self, maps: Sequence[Tensor], sites: tuple[int, ...]) -> Tensor:
        """The sum [N, *sites] of maps [N, h, w], each site having what its symbol has."""


@dataclass(frozen=True, slots=True)
class Grid(Sites):
    """A symbol stands for a cell of an image."""

    def blank(self, x: Tensor, observed: Tensor) -> Tensor:
        """Grey where not observed."""
        return self.merge(x, x.new_tensor(0.5), observed)

    def merge(self, x: Tensor, made: Tensor, observed: Tensor) -> Tensor:
        """See `Sites`."""
        return torch.where(observed[:, None], x, made)

    def seen(self, observed: Tensor, size: tuple[int, int]) -> Tensor:
        """See `Sites`; a cell of which only a part is observed is not."""
        return functional.adaptive_max_pool2d((~observed).float()[:, None], size)[:, 0] == 0

    def counted(self, symbols: Tensor) -> Tensor:
        """All of them."""
        return torch.ones_like(symbols, dtype=torch.bool)

    def spread(self, maps: Sequence[Tensor], sites: tuple[int, ...]) -> Tensor:
        """See `Sites`."""
        spread = [functional.interpolate(one[:, None], size=sites, mode="nearest")[:, 0] for one in maps]
        return sum(spread[1:], start=spread[0])


@dataclass(frozen=True, slots=True)
class Hops(Sites):
    """A symbol stands for `hop` samples of a sound, and one of them for its end: what follows that is padding.

    Attributes:
        hop: samples.
        end: the symbol.
    """

    hop: int
    end: int

    def blank(self, x: Tensor, observed: Tensor) -> Tensor:
        """Silence where not observed. What goes on after its observed part does not end there, however silent it is."""
        last = observed & (observed.flip(1).cumsum(1).flip(1) == 1) & ~observed[:, -1:]  # [N, T] one a row, or none
        begun = torch.where((last & (x[..., 0] == 0))[..., None], FAINT, x)
        return self.merge(begun, torch.zeros_like(x), observed)

    def merge(self, x: Tensor, made: Tensor, observed: Tensor) -> Tensor:
        """See `Sites`."""
        return torch.where(observed[..., None], x, made)

    def seen(self, observed: Tensor, size: tuple[int, int]) -> Tensor:
        """See `Sites`; behind the end of the sound all is as it was."""
        short = size[1] * self.hop - observed.shape[1]
        return functional.pad(observed, (0, short), value=True).view(-1, 1, size[1], self.hop).all(3)

    def counted(self, symbols: Tensor) -> Tensor:
        """Those up to the first end, which is one of them."""
        ended = (symbols == self.end).cumsum(3)
        return (ended - (symbols == self.end).long()) == 0

    def spread(self, maps: Sequence[Tensor], sites: tuple[int, ...]) -> Tensor:
        """See `Sites`; the one map [N, 1, T'] of a sound."""
        (one,) = maps
        return one[:, 0].repeat_interleave(self.hop, dim=1)[:, : sites[0]]
