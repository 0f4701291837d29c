"""Convolutions that see only what comes before a site, in raster order and, within a site, in the order of channels.

Van den Oord, Kalchbrenner and Kavukcuoglu 2016, Pixel recurrent neural networks, https://arxiv.org/abs/1601.06759 (the
masks), and van den Oord et al. 2016, Conditional image generation with PixelCNN decoders,
https://arxiv.org/abs/1606.05328 (two stacks instead of one mask).

A masked k x k convolution is the sum of two parts: `Above` sees the rows above, all of whose sites are known, and
`Left` the sites to the left in the row and the site itself. The parts are also what sampling needs apart: what comes
from above is computed once a row, what comes from the left once a site.

Features belong to the channels of the data in groups: feature f of F belongs to channel f C // F. At the site itself a
feature sees features of earlier channels (mask A), and those of its own channel too (mask B).
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

Mask = Literal["A", "B"]


def groups_of(features: int, channels: int) -> Tensor:
    """The channel [features] that each feature belongs to."""
    return torch.arange(features) * channels // features


def group_width(width: int, channels: int) -> int:
    """The width, raised to a multiple of the channels, so that each has as many features."""
    return -(-width // channels) * channels


class Above(nn.Module):
    """Sees kernel // 2 rows above, `kernel` sites wide, and with `inclusive` the same stretch of its own row.

    Inclusive is for maps whose row i depends on rows above i alone already.
    """

    def __init__(self, before: int, after: int, kernel: int, *, inclusive: bool = False, bias: bool = True) -> None:
        super().__init__()
        self.reach, self.inclusive, self.before = kernel // 2, inclusive, before
        self.rows = self.reach + inclusive
        self.convolution = nn.Conv2d(before, after, (self.rows, kernel), bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """[N, after, H, W] of [N, before, H, W]."""
        known = x if self.inclusive else x[:, :, :-1]
        padded = functional.pad(known, (self.reach, self.reach, self.reach, 0))
        result: Tensor = self.convolution(padded)
        return result

    def row(self, rows: Tensor) -> Tensor:
        """One row of the result [N, after, W], of the `rows` input rows that it sees [N, before, rows, W]."""
        result: Tensor = self.convolution(functional.pad(rows, (self.reach, self.reach)))
        return result.squeeze(2)

    def taps(self, features: slice = slice(None)) -> Tensor:
        """The weights of some output features as a matrix [rows * kernel * before, features], for a site's window."""
        return self.convolution.weight[features].permute(2, 3, 1, 0).flatten(0, 2).contiguous()


class Left(nn.Module):
    """Sees kernel // 2 sites to the left, and the site itself through a mask; a kernel of 1 is a masked 1 x 1.

    Args:
        before: groups of the input's features (see `groups_of`).
        after: groups of the output's features.
        kernel: odd.
        mask: of the site itself.
        bias: whether there is one.
    """

    mask: Tensor

    def __init__(self, before: Tensor, after: Tensor, kernel: int = 1, *, mask: Mask = "B", bias: bool = True) -> None:
        super().__init__()
        self.reach = kernel // 2
        layer = nn.Conv2d(len(before), len(after), (1, self.reach + 1), bias=bias)
        self.weight, self.bias = layer.weight, layer.bias
        seen = after[:, None] > before if mask == "A" else after[:, None] >= before
        whole = torch.ones_like(self.weight)
        whole[:, :, 0, -1] = seen
        self.register_buffer("mask", whole, persistent=False)

    def masked(self) -> Tensor:
        """The weights [after, before, 1, reach + 1], 0 where nothing may be seen."""
        return self.weight * self.mask

    def forward(self, x: Tensor) -> Tensor:
        """[N, after, H, W] of [N, before, H, W]."""
        return functional.conv2d(functional.pad(x, (self.reach, 0)), self.masked(), self.bias)

    def taps(self, features: Tensor | slice = slice(None)) -> Tensor:
        """The weights of some output features as a matrix [(reach + 1) * before, features], for a site's window."""
        return self.masked()[features, :, 0].permute(2, 1, 0).flatten(0, 1).contiguous()


class Causal(nn.Module):
    """A masked k x k convolution: rows above and sites to the left, the site itself through a mask."""

    def __init__(self, before: Tensor, after: Tensor, kernel: int, *, mask: Mask) -> None:
        super().__init__()
        self.above = Above(len(before), len(after), kernel, bias=False)
        self.left = Left(before, after, kernel, mask=mask)
        # the two parts are drawn as the one convolution that they are
        bound = (len(before) * (kernel * self.above.reach + self.left.reach + 1)) ** -0.5
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        """[N, after, H, W] of [N, before, H, W]."""
        above, left, reach = self.above.convolution.weight, self.left.masked(), self.left.reach
        # one convolution: training it costs less than half of two and their sum
        weight = torch.cat([above, functional.pad(left, (0, reach))], dim=2)
        result = functional.conv2d(functional.pad(x, (reach, reach, reach, 0)), weight, self.left.bias)
        # a map of one channel has no order of its own to pass on
        return result.contiguous(memory_format=torch.channels_last) if x.shape[1] == 1 else result


class Past:
    """The last rows of a map that is being drawn: what `Above` sees.

    Args:
        layer: that reads them.
        n: samples.
        width: sites of a row.
    """

    def __init__(self, layer: Above, n: int, width: int) -> None:
        rows = layer.convolution.weight.new_zeros(n, layer.before, layer.rows, width)
        self.rows = rows.contiguous(memory_format=torch.channels_last)

    def push(self, row: Tensor) -> None:
        """Takes the row [N, features, W] that follows."""
        self.rows = torch.cat([self.rows[:, :, 1:], row[:, :, None]], dim=2)


class Window:
    """A row of a map that is being drawn: sites are written, and the stretch that `Left` sees is read as one vector.

    Args:
        layer: that reads it.
        n: samples.
        width: sites of a row.

    Attributes:
        seen: for each site, a view [N, (reach + 1) * features] of what the layer sees there.
        site: for each site, a view [N, features] of its own place.
    """

    def __init__(self, layer: Left, n: int, width: int) -> None:
        features, self._reach = layer.weight.shape[1], layer.reach
        self.row = layer.weight.new_zeros(n, self._reach + width, features)
        self.seen = [self.row[:, j : j + self._reach + 1].flatten(1) for j in range(width)]
        self.site = [self.row[:, self._reach + j] for j in range(width)]

    def whole(self) -> Tensor:
        """The row as [N, features, W]."""
        return self.row[:, self._reach :].transpose(1, 2)
