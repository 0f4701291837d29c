"""PixelCNN: a stack of masked convolutions.

Van den Oord, Kalchbrenner and Kavukcuoglu 2016, Pixel recurrent neural networks, https://arxiv.org/abs/1601.06759

    p(x) = prod_i p(x_i | x_<i)        pixels in raster order, the channels of a pixel in the order R, G, B

A 7 x 7 convolution with mask A gives 2 h features; residual blocks follow, each ReLU, 1 x 1 to h, ReLU, 3 x 3 with
mask B, ReLU, 1 x 1 back to 2 h (figure 5); then two 1 x 1 convolutions after rectifiers (table 1). The masks leave a
blind spot to the upper right of a site, which `gated_pixelcnn` has not.

Departures from the paper: Adam under a warm-up and a cosine instead of RMSProp; 15 blocks of h = 32 by default, where
the paper takes h = 128 for colour.

Sampling keeps each map's last row: what a 3 x 3 convolution sees of the row above is computed once a row, the rest once
a site and channel.
"""
# ruff: noqa: ARG002 -- networks may be conditioned, this one is not

from typing import NamedTuple

import torch
from torch import Tensor, nn

from urbild.contract import DataSpec, Model
from urbild.models.autoregressive.raster import (
    Cache,
    Condition,
    Inputs,
    Raster,
    RasterNetwork,
    check_kernel,
    leaving,
)
from urbild.nets.masked import Causal, Left, Past, Window, group_width, groups_of
from urbild.nets.stock import check_sizes
from urbild.nets.symbols import SymbolHead, Symbols, default_symbols

FIRST_KERNEL = 7


class Block(nn.Module):
    """2 h features to h, a masked convolution, and back, added to the input.

    Args:
        wide: groups of the 2 h features.
        narrow: groups of the h features.
        kernel: of the convolution.
    """

    def __init__(self, wide: Tensor, narrow: Tensor, kernel: int) -> None:
        super().__init__()
        self.down = Left(wide, narrow)
        self.convolution = Causal(narrow, narrow, kernel, mask="B")
        self.up = Left(narrow, wide)

    def forward(self, x: Tensor) -> Tensor:
        """[N, 2 h, H, W] of the same."""
        inner = torch.relu(self.down(torch.relu(x)))
        result: Tensor = x + self.up(torch.relu(self.convolution(inner)))
        return result


class PixelNetwork(RasterNetwork):
    """The first convolution, the blocks and the head.

    Args:
        channels: C.
        head: whose numbers it gives.
        blocks: how many.
        width: h; raised to a multiple of the channels.
        kernel: of the blocks' convolutions.
        embedding: size of a symbol's learned vector, or None for numbers.
    """

    def __init__(
        self, channels: int, head: SymbolHead, *, blocks: int, width: int, kernel: int, embedding: int | None
    ) -> None:
        super().__init__()
        self.groups = head.groups
        self.width = group_width(width, self.groups)
        self.inputs = Inputs(channels, head.levels, embedding)
        entries = self.inputs.groups if self.groups == channels else torch.zeros_like(self.inputs.groups)
        narrow, wide = groups_of(self.width, self.groups), groups_of(2 * self.width, self.groups)
        self.first = Causal(entries, wide, FIRST_KERNEL, mask="A")
        self.blocks = nn.ModuleList(Block(wide, narrow, kernel) for _ in range(blocks))
        self.hidden = Left(wide, wide)
        self.outputs = Left(wide, groups_of(self.groups * head.outputs, self.groups))

    def forward(self, symbols: Tensor, condition: Condition) -> Tensor:
        """[N, groups * outputs, H, W] of symbols [N, C, H, W]."""
        x = self.first(self.inputs(symbols))
        for block in self.blocks:
            x = block(x)
        result: Tensor = self.outputs(torch.relu(self.hidden(torch.relu(x))))
        return result

    def cache(self, n: int, size: tuple[int, int], condition: Condition) -> Cache:
        """See `RasterNetwork.cache`."""
        return PixelCache(self, n, size[1])


class PixelCache(Cache):
    """The rows that the convolutions still see, and the network's weights as matrices by group of channels."""

    def __init__(self, network: PixelNetwork, n: int, width: int) -> None:
        self._inputs = network.inputs
        blocks: list[Block] = list(network.blocks)  # type: ignore[arg-type]
        self._convolutions = [network.first, *(block.convolution for block in blocks)]
        self._past = [Past(convolution.above, n, width) for convolution in self._convolutions]
        self._windows = [Window(convolution.left, n, width) for convolution in self._convolutions]
        like, groups, narrow = network.hidden.weight, network.groups, network.width
        self._terms = [like.new_zeros(width, n, narrow * (1 + (at == 0))) for at in range(len(self._convolutions))]
        self._state = like.new_zeros(n, 2 * narrow)  # x of the site, from block to block
        self._rectified = [like.new_ones(n, 2 * narrow + 1) for _ in range(len(blocks) + 1)]
        self._seen = [like.new_ones(n, narrow + 1) for _ in blocks]
        self._hidden = like.new_ones(n, 2 * narrow + 1)
        self._groups = [_Group.of(network, blocks, g, groups) for g in range(groups)]

    def row(self, i: int) -> None:
        """What each convolution sees of the rows above."""
        for past, window, convolution, terms in zip(
            self._past, self._windows, self._convolutions, self._terms, strict=True
        ):
            if i > 0:
                past.push(window.whole())
            assert convolution.left.bias is not None
            terms[:] = convolution.above.row(past.rows).permute(2, 0, 1) + convolution.left.bias

    def output(self, j: int, group: int) -> Tensor:
        """The network at a site, for one group of channels."""
        own, wide = self._groups[group], self._groups[group].wide
        state, rectified = self._state[:, wide], self._rectified
        torch.addmm(self._terms[0][j][:, wide], self._windows[0].seen[j], own.first, out=state)
        for at, (down, across, up) in enumerate(own.blocks, start=1):
            torch.clamp_min(state, 0, out=rectified[at - 1][:, wide])
            site = self._windows[at].site[j][:, own.narrow]
            torch.clamp_min(torch.mm(rectified[at - 1], down), 0, out=site)
            inner = torch.addmm(self._terms[at][j][:, own.narrow], self._windows[at].seen[j], across)
            torch.clamp_min(inner, 0, out=self._seen[at - 1][:, own.narrow])
            torch.addmm(state, self._seen[at - 1], up, out=state)
        torch.clamp_min(state, 0, out=rectified[-1][:, wide])
        torch.clamp_min(torch.mm(rectified[-1], own.hidden), 0, out=self._hidden[:, wide])
        return torch.mm(self._hidden, own.outputs)

    def put(self, j: int, group: int, symbols: Tensor) -> None:
        """Writes the symbols as input of the first convolution."""
        self._inputs.write(self._windows[0].site[j], group, symbols)


class _Group(NamedTuple):
    """A group's features, and the matrices that make them."""

    wide: slice
    narrow: slice
    first: Tensor
    blocks: list[tuple[Tensor, Tensor, Tensor]]
    hidden: Tensor
    outputs: Tensor

    @classmethod
    def of(cls, network: PixelNetwork, blocks: list[Block], group: int, groups: int) -> "_Group":
        def part(features: int) -> slice:
            return slice(group * features // groups, (group + 1) * features // groups)

        wide, narrow = part(2 * network.width), part(network.width)
        matrices = [
            (leaving(block.down, narrow), block.convolution.left.taps(narrow), leaving(block.up, wide))
            for block in blocks
        ]
        numbers = part(network.outputs.weight.shape[0])
        return cls(
            wide,
            narrow,
            network.first.left.taps(wide),
            matrices,
            leaving(network.hidden, wide),
            leaving(network.outputs, numbers),
        )


def pixelcnn(
    spec: DataSpec,
    *,
    blocks: int = 15,
    width: int = 32,
    kernel: int = 3,
    likelihood: Symbols | None = None,
    embedding: int | None = None,
    learning_rate: float = 1e-3,
) -> Model:
    """Builds a PixelCNN.

    Args:
        spec: of images.
        blocks: residual blocks.
        width: h, features inside a block; outside it has twice as many. Raised to a multiple of the channels.
        kernel: side of the convolutions after the first (which has 7): odd.
        likelihood: of a symbol; by default Binary for data of two levels, else Softmax.
        embedding: size of a learned vector for each symbol, for symbols without order; None feeds numbers.
        learning_rate: of Adam, at its highest.

    Raises:
        OptionError: an option is out of range.
    """
    check_sizes(blocks=blocks, width=width, embedding=embedding, learning_rate=learning_rate)
    check_kernel(kernel)
    head = (likelihood or default_symbols(spec)).head(spec)
    network = PixelNetwork(spec.channels, head, blocks=blocks, width=width, kernel=kernel, embedding=embedding)
    return Raster(spec, network, head, learning_rate=learning_rate)
