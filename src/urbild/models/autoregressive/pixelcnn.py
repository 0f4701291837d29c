"""PixelCNN: a stack of masked convolutions.

Van den Oord, Kalchbrenner and Kavukcuoglu 2016, Pixel recurrent neural networks, https://arxiv.org/abs/1601.06759

    p(x) = prod_i p(x_i | x_<i)        pixels in raster order, the channels of a pixel in the order R, G, B

A 7 x 7 convolution with mask A gives 2 h features; residual blocks follow, each ReLU, 1 x 1 to h, ReLU, 3 x 3 with
mask B, ReLU, 1 x 1 back to 2 h (figure 5); then two 1 x 1 convolutions after rectifiers (table 1). The masks leave a
blind spot to the upper right of a site, which `gated_pixelcnn` has not.

Departures from the paper: Adam under a warm-up and a cosine instead of RMSProp; 15 blocks of h = 32 by default, where
the paper takes h = 128 for colour.

Sampling keeps every map, and goes over the image in fronts of one site in each of several rows: a site sees at most 3
sites further right in the rows above, so that a row may follow the one above it at a distance of 4.
"""
# ruff: noqa: ARG002 -- networks may be conditioned, this one is not

from typing import NamedTuple

import torch
from torch import Tensor, nn

from urbild.contract import DataSpec, Model
from urbild.models.autoregressive.raster import Correction, corrected
from urbild.models.autoregressive.raster_network import Condition, Wave, check_kernel, leaving, parts_of
from urbild.models.autoregressive.residual import FIRST_KERNEL, ResidualNetwork
from urbild.nets.masked import Causal, Left
from urbild.nets.stock import check_sizes
from urbild.nets.symbols import SymbolHead, Symbols, default_symbols


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


class PixelNetwork(ResidualNetwork):
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
        super().__init__(
            channels,
            head,
            width=width,
            embedding=embedding,
            middle=lambda wide, narrow: (Block(wide, narrow, kernel) for _ in range(blocks)),
        )

    def cache(self, n: int, size: tuple[int, int], condition: Condition) -> Wave:
        """See `RasterNetwork.cache`."""
        return PixelWave(self, n, size)


class PixelWave(Wave):
    """All maps of the images so far, and the network's weights as matrices by group of channels.

    Maps are skewed: site (i, j) of a row lies at t = j + slope i, so that what a front sees of the row above are
    neighbours too, and all its windows are views.
    """

    slope = FIRST_KERNEL // 2 + 1

    def __init__(self, network: PixelNetwork, n: int, size: tuple[int, int]) -> None:
        height, width = size
        blocks: list[Block] = list(network.middle)  # type: ignore[arg-type]
        convolutions = [network.first, *(block.convolution for block in blocks)]
        self._maps = [_Skewed(convolution, n, height, width, self.slope) for convolution in convolutions]
        self._inputs, self._n = network.inputs, n
        self._groups = [_Group.of(network, blocks, g) for g in range(network.groups)]
        like, narrow = network.hidden.weight, network.width
        self._rectified = [like.new_zeros(height * n, 2 * narrow) for _ in range(len(blocks) + 2)]
        self._inner = [like.new_ones(height * n, narrow + 1) for _ in blocks]  # the last column meets a bias
        self._scratch: dict[tuple[int, int], list[_Scratch]] = {}

    def _places(self, rows: int, group: int) -> "list[_Scratch]":
        """Views of the working memory for so many rows, made once."""
        if (rows, group) not in self._scratch:
            m, own = rows * self._n, self._groups[group]
            inner = [*self._inner, self._inner[0], self._inner[0]]  # the head has none of its own
            self._scratch[rows, group] = [
                _Scratch(wide[:m], wide[:m, own.wide], narrow[:m], narrow[:m, own.narrow])
                for wide, narrow in zip(self._rectified, inner, strict=True)
            ]
        return self._scratch[rows, group]

    def output(self, rows: slice, t: int, group: int) -> Tensor:
        """The network at a front, for one group of channels."""
        own, maps = self._groups[group], self._maps
        *scratch, last, hidden = self._places(rows.stop - rows.start, group)
        above, left = own.first
        state = torch.addmm(own.first_bias, maps[0].above(rows, t), above)
        state.addmm_(maps[0].left(rows, t), left)
        for block, place, skewed in zip(own.blocks, scratch, maps[1:], strict=True):
            torch.clamp_min(state, 0, out=place.own_wide)
            site = skewed.site(rows, t)
            site = site if own.alone else site[:, own.narrow]
            torch.addmm(block.down_bias, place.wide, block.down, out=site).clamp_min_(0)
            seen = torch.addmm(block.bias, skewed.above(rows, t), block.above)
            torch.clamp_min(seen.addmm_(skewed.left(rows, t), block.left), 0, out=place.own_narrow)
            state.addmm_(place.narrow, block.up)
        torch.clamp_min(state, 0, out=last.own_wide)
        torch.clamp_min(torch.addmm(own.hidden_bias, last.wide, own.hidden), 0, out=hidden.own_wide)
        return torch.addmm(own.outputs_bias, hidden.wide, own.outputs)

    def put(self, rows: slice, t: int, group: int, symbols: Tensor) -> None:
        """Writes the symbols as input of the first convolution."""
        self._inputs.write(self._maps[0].site(rows, t), group, symbols)


class _Skewed:
    """A convolution's input map: [1 + rows above, N, t, features], zero around the image."""

    def __init__(self, layer: Causal, n: int, height: int, width: int, slope: int) -> None:
        self._reach, self._slope, self._n = layer.left.reach, slope, n
        self._features = layer.left.weight.shape[1]
        length = width + slope * (height + self._reach) + 2 * self._reach
        self._map = layer.left.weight.new_zeros(height + self._reach, n, length, self._features)
        self._stride = length * self._features

    def _view(self, rows: slice, first: int, count: int) -> Tensor:
        """[rows * N, count * features] of `count` sites from skewed place `first` on, in rows counted with padding."""
        row, features = self._stride, self._features
        shape = ((rows.stop - rows.start) * self._n, count * features)
        return self._map.as_strided(shape, (row, 1), (rows.start * self._n * row) + first * features)

    def _at(self, t: int) -> int:
        return t + self._slope * self._reach + self._reach

    def site(self, rows: slice, t: int) -> Tensor:
        """Each row's site of front t: [rows * N, features]."""
        return self._view(slice(rows.start + self._reach, rows.stop + self._reach), self._at(t), 1)

    def left(self, rows: slice, t: int) -> Tensor:
        """What `Left` sees at them: [rows * N, (reach + 1) * features]."""
        own = slice(rows.start + self._reach, rows.stop + self._reach)
        return self._view(own, self._at(t) - self._reach, self._reach + 1)

    def above(self, rows: slice, t: int) -> Tensor:
        """What `Above` sees at them: [rows * N, reach * kernel * features]."""
        seen = []
        for up in range(self._reach, 0, -1):
            at = slice(rows.start + self._reach - up, rows.stop + self._reach - up)
            seen.append(self._view(at, self._at(t) - self._slope * up - self._reach, 2 * self._reach + 1))
        return seen[0] if len(seen) == 1 else torch.cat(seen, dim=1)


class _Scratch(NamedTuple):
    """Working memory of a block for some rows: rectified features, the convolution's, and a group's part of each."""

    wide: Tensor
    own_wide: Tensor
    narrow: Tensor
    own_narrow: Tensor


class _Matrices(NamedTuple):
    """A block's weights for one group."""

    down: Tensor
    down_bias: Tensor
    above: Tensor
    left: Tensor
    bias: Tensor
    up: Tensor  # with the bias as last row


class _Group(NamedTuple):
    """A group's features, and the matrices that make them."""

    wide: slice
    narrow: slice
    first: tuple[Tensor, Tensor]
    first_bias: Tensor
    blocks: list[_Matrices]
    hidden: Tensor
    hidden_bias: Tensor
    outputs: Tensor
    outputs_bias: Tensor
    alone: bool

    @classmethod
    def of(cls, network: PixelNetwork, blocks: list[Block], group: int) -> "_Group":
        def part(features: int) -> slice:
            return parts_of(features, network.groups)[group]

        def linear(layer: Left, features: slice) -> tuple[Tensor, Tensor]:
            assert layer.bias is not None
            return layer.taps(features), layer.bias[features]

        def whole(layer: Causal, features: slice) -> tuple[Tensor, Tensor, Tensor]:
            return layer.above.taps(features), *linear(layer.left, features)

        wide, narrow = part(2 * network.width), part(network.width)
        above, left, bias = whole(network.first, wide)
        return cls(
            wide,
            narrow,
            (above, left),
            bias,
            [
                _Matrices(*linear(block.down, narrow), *whole(block.convolution, narrow), leaving(block.up, wide))
                for block in blocks
            ],
            *linear(network.hidden, wide),
            *linear(network.outputs, part(network.outputs.weight.shape[0])),
            alone=network.groups == 1,
        )


def pixelcnn(
    spec: DataSpec,
    *,
    blocks: int = 15,
    width: int = 32,
    kernel: int = 3,
    likelihood: Symbols | None = None,
    embedding: int | None = None,
    correction: Correction = "none",
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
        correction: of the score, by the complexity of the image (see `raster.Raster`).
        learning_rate: of Adam, at its highest.

    Raises:
        OptionError: an option is out of range.
    """
    check_sizes(blocks=blocks, width=width, embedding=embedding, learning_rate=learning_rate)
    check_kernel(kernel)
    head = (likelihood or default_symbols(spec)).head(spec)

    def network() -> PixelNetwork:
        return PixelNetwork(spec.channels, head, blocks=blocks, width=width, kernel=kernel, embedding=embedding)

    return corrected(spec, network, head, correction, learning_rate=learning_rate)
