"""Networks over the sites of an image in raster order: for every site at once, and site by site.

A network maps symbols to numbers for every site at once, of which those of site i depend on earlier sites alone. It is
also able to do so site by site, keeping what it has computed (`Cache`), or by fronts of sites (`Wave`).
"""

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn

from urbild.errors import OptionError
from urbild.nets.masked import Left, groups_of


class Condition(NamedTuple):
    """What all sites are told.

    Attributes:
        vector: [N, E], told to every site alike, or None.
        maps: [N, M, H, W], told to each site its own, or None.
    """

    vector: Tensor | None = None
    maps: Tensor | None = None


class Inputs(nn.Module):
    """Symbols as a network's input: numbers between -1 and 1, or learned vectors.

    Args:
        channels: C.
        levels: K.
        embedding: size of the learned vector of a symbol, or None for numbers.
    """

    def __init__(self, channels: int, levels: int, embedding: int | None) -> None:
        super().__init__()
        self.levels, self.size = levels, embedding or 1
        self.groups = groups_of(channels * self.size, channels)
        self.vectors = nn.ModuleList(nn.Embedding(levels, embedding) for _ in range(channels) if embedding)

    def forward(self, symbols: Tensor) -> Tensor:
        """[N, C * size, H, W] of symbols [N, C, H, W]."""
        if not self.vectors:
            return symbols.to(torch.get_default_dtype()) * (2 / (self.levels - 1)) - 1
        found = [vectors(symbols[:, c]) for c, vectors in enumerate(self.vectors)]  # each [N, H, W, size]
        return torch.cat(found, dim=-1).movedim(-1, 1)

    def site(self, symbols: Tensor, channel: int) -> Tensor:
        """[N, size] of a site's symbols [N] in one channel."""
        if not self.vectors:
            return symbols[:, None] * (2 / (self.levels - 1)) - 1
        found: Tensor = self.vectors[channel](symbols)
        return found

    def write(self, place: Tensor, group: int, symbols: Tensor) -> None:
        """Writes a group's symbols [N, channels of the group] of a site into the site's input [N, C * size]."""
        for at in range(symbols.shape[1]):
            channel = group * symbols.shape[1] + at
            place[:, channel * self.size : (channel + 1) * self.size] = self.site(symbols[:, at], channel)


class Cache(ABC):
    """A batch of images that is being drawn."""

    @abstractmethod
    def row(self, i: int) -> None:
        """Begins row i: all rows above are drawn."""

    @abstractmethod
    def output(self, j: int, group: int) -> Tensor:
        """The numbers [N, outputs] for a group of channels at column j: earlier groups are drawn."""

    @abstractmethod
    def put(self, j: int, group: int, symbols: Tensor) -> None:
        """Takes the symbols [N, channels of the group] that were drawn at column j."""


class Wave(ABC):
    """A batch of images that is being drawn, many rows at once.

    A network whose sites see no further right in the rows above than `slope` - 1 sites can draw site (i, j) of all rows
    with the same t = j + slope i together: fewer and larger steps, the same symbols.

    Attributes:
        slope: sites by which a row lags behind the one above.
        light: whether its products are too small to be shared among threads.
    """

    slope: int
    light: bool

    @abstractmethod
    def output(self, rows: slice, t: int, group: int) -> Tensor:
        """The numbers [rows * N, outputs] for a group of channels at the sites of front t."""

    @abstractmethod
    def put(self, rows: slice, t: int, group: int, symbols: Tensor) -> None:
        """Takes the symbols [rows * N, channels of the group] that were drawn there."""


class RasterNetwork(nn.Module, ABC):
    """Maps symbols [N, C, H, W] to a head's numbers [N, groups * outputs, H, W]."""

    @abstractmethod
    def forward(self, symbols: Tensor, condition: Condition) -> Tensor:
        """See the class."""

    @abstractmethod
    def cache(self, n: int, size: tuple[int, int], condition: Condition) -> Cache | Wave:
        """A new batch of n images of H x W to draw; called in inference mode."""


def leaving(layer: Left, features: slice) -> Tensor:
    """The matrix of a 1 x 1 convolution with its bias as last row, for some of its outputs."""
    assert layer.bias is not None
    return torch.cat([layer.taps(features), layer.bias[None, features]])


def parts_of(features: int, groups: int) -> list[slice]:
    """The features of each group (see `groups_of`), of which there are as many."""
    return [slice(g * features // groups, (g + 1) * features // groups) for g in range(groups)]


def check_kernel(kernel: int) -> None:
    """Refuses kernels that have no middle.

    Raises:
        OptionError: it is even, or sees nothing but the site itself.
    """
    if kernel < 3 or kernel % 2 == 0:
        msg = f"kernel must be odd and at least 3, and is {kernel}."
        raise OptionError(msg)
