"""PixelCNN: a stack of masked convolutions.

Van den Oord, Kalchbrenner and Kavukcuoglu 2016, Pixel recurrent neural networks, https://arxiv.org/abs/1601.06759

    p(x) = prod_i p(x_i | x_<i)        pixels in raster order, the channels of a pixel in the order R, G, B

A 7 x 7 convolution with mask A gives 2 h features; residual blocks follow, each ReLU, 1 x 1 to h, ReLU, 3 x 3 with
mask B, ReLU, 1 x 1 back to 2 h (figure 5); then two 1 x 1 convolutions after rectifiers (table 1). The masks leave a
blind spot to the upper right of a site, which `gated_pixelcnn` has not.

Departures from the paper: Adam under a warm-up and a cosine instead of RMSProp; 15 blocks of h = 32 by default, where
the paper takes h = 128 for colour.

Sampling keeps every map, and goes over the image in fronts of one site in each of several rows: with kernels of up to 7
a site sees at most 3 sites further right in the rows above, so that a row may follow the one above it at a distance of
4, and at more where kernels are larger.
"""
# ruff: noqa: ARG002 -- networks may be conditioned, this one is not

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from urbild.contract import DataSpec, Model
from urbild.models.autoregressive.raster import Correction, corrected
from urbild.models.autoregressive.raster_network import Condition, Wave, check_kernel, leaving, parts_of
from urbild.models.autoregressive.residual import ResidualNetwork
from urbild.nets.masked import Causal, Left
from urbild.nets.stock import check_sizes
from urbild.nets.symbols import SymbolHead, Symbols, default_symbols
from urbild.nets.threads import SMALL


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
    neighbours too, and all its windows are views. What the convolutions of all blocks see of sites that are drawn is
    one product for all of them; a block then adds the site itself. Matrices that follow a rectifier have their bias as
    last row, and what they multiply a last column of ones.
    """

    def __init__(self, network: PixelNetwork, n: int, size: tuple[int, int]) -> None:
        height, width = size
        blocks: list[Block] = list(network.middle)  # type: ignore[arg-type]
        self.slope = 1 + max(layer.left.reach for layer in (network.first, *(each.convolution for each in blocks)))
        self._inputs, self._n = network.inputs, n
        self._first = _Skewed([network.first], n, height, width, self.slope)
        self._inner = _Skewed([block.convolution for block in blocks], n, height, width, self.slope)
        self._groups = [_Group.of(network, blocks, g) for g in range(network.groups)]
        like, narrow = network.hidden.weight, network.width
        self._wide = [like.new_ones(height * n, 2 * narrow + 1) for _ in range(len(blocks) + 2)]
        self._narrow = [like.new_ones(height * n, narrow + 1) for _ in blocks]
        rows = min(height, -(-width // self.slope))  # of the longest front
        self.light = rows * n * 2 * narrow * narrow < SMALL
        self._scratch: dict[tuple[int, int], list[tuple[Tensor, Tensor]]] = {}

    def _places(self, rows: int, group: int) -> list[tuple[Tensor, Tensor]]:
        """Working memory for so many rows, made once: all of it, and the group's part; wide, then narrow."""
        if (rows, group) not in self._scratch:
            m, own = rows * self._n, self._groups[group]
            wide = [(each[:m], each[:m, own.wide]) for each in self._wide]
            self._scratch[rows, group] = wide + [(each[:m], each[:m, own.narrow]) for each in self._narrow]
        return self._scratch[rows, group]

    def output(self, rows: slice, t: int, group: int) -> Tensor:
        """The network at a front, for one group of channels."""
        own, places = self._groups[group], self._places(rows.stop - rows.start, group)
        count = len(own.blocks)
        (site,) = self._first.sites(rows, t)
        (state,) = self._first.past(rows, t, own.first)
        state.addmm_(site, own.first.site[0])
        sites, past = self._inner.sites(rows, t), self._inner.past(rows, t, own.inner)
        for block, site, seen, wide, narrow in zip(
            own.blocks, sites, past, places[:count], places[count + 2 :], strict=True
        ):
            torch.clamp_min(state, 0, out=wide[1])
            torch.relu_(torch.mm(wide[0], block.down, out=site if own.alone else site[:, own.narrow]))
            torch.clamp_min(seen.addmm_(site, block.site), 0, out=narrow[1])
            state.addmm_(narrow[0], block.up)
        last, hidden = places[count : count + 2]
        torch.clamp_min(state, 0, out=last[1])
        torch.clamp_min(torch.mm(last[0], own.hidden), 0, out=hidden[1])
        return torch.mm(hidden[0], own.outputs)

    def put(self, rows: slice, t: int, group: int, symbols: Tensor) -> None:
        """Writes the symbols as input of the first convolution."""
        self._inputs.write(self._first.sites(rows, t)[0], group, symbols)


class _Taps(NamedTuple):
    """The weights of the convolutions of some maps for one group of their features, which are F.

    Attributes:
        above: for each row above, the farthest first: [maps, kernel * features, F].
        left: of the sites to the left: [maps, reach * features, F].
        site: of the site itself: [maps, features, F].
        bias: [maps, 1, F].
    """

    above: list[Tensor]
    left: Tensor
    site: Tensor
    bias: Tensor

    @classmethod
    def of(cls, layers: Sequence[Causal], features: slice) -> "_Taps":
        before, reach = layers[0].left.weight.shape[1], layers[0].left.reach
        above = torch.stack([layer.above.taps(features) for layer in layers])
        left = torch.stack([layer.left.taps(features) for layer in layers])
        bias = torch.stack([layer.left.bias[None, features] for layer in layers if layer.left.bias is not None])
        return cls(list(above.chunk(reach, dim=1)), left[:, : reach * before], left[:, reach * before :], bias)


class _Skewed:
    """The input maps of like convolutions, zero around the image: [maps, numbers].

    Row i of sample n begins `slope` i sites into line i N + n, so that a front is one column of all the lines. As every
    row lies where those above have left off, lines are a row and its margin apart, however far the skew goes: most of
    the time of a draw may otherwise be that of clearing the memory.
    """

    def __init__(self, layers: Sequence[Causal], n: int, height: int, width: int, slope: int) -> None:
        like = layers[0].left
        self._reach, self._slope, self._n = like.reach, slope, n
        self._features = like.weight.shape[1]
        rows, self._line = height + self._reach, (width + self._reach) * self._features
        self._maps = like.weight.new_zeros(len(layers), rows * (n * self._line + slope * self._features))

    def _view(self, rows: slice, up: int, first: int, count: int) -> Tensor:
        """[maps, rows * N, count * features]: of the row `up` above each, `count` sites from skewed place `first`."""
        shape = (len(self._maps), (rows.stop - rows.start) * self._n, count * self._features)
        start = (rows.start + self._reach - up) * self._n * self._line + first * self._features
        return self._maps.as_strided(shape, (self._maps.stride(0), self._line, 1), start)

    def _at(self, t: int) -> int:
        return t + self._slope * self._reach + self._reach

    def sites(self, rows: slice, t: int) -> tuple[Tensor, ...]:
        """For each map each row's site of front t: [rows * N, features]."""
        return self._view(rows, 0, self._at(t), 1).unbind()

    def past(self, rows: slice, t: int, taps: _Taps) -> tuple[Tensor, ...]:
        """For each map what its convolution makes of the sites before those of front t: [rows * N, F]."""
        at, reach = self._at(t), self._reach
        seen = torch.baddbmm(taps.bias, self._view(rows, 0, at - reach, reach), taps.left)
        for up, matrix in zip(range(reach, 0, -1), taps.above, strict=True):
            seen.baddbmm_(self._view(rows, up, at - self._slope * up - reach, 2 * reach + 1), matrix)
        return seen.unbind()


class _Matrices(NamedTuple):
    """A block's weights for one group, but for what its convolution sees of other sites."""

    down: Tensor
    site: Tensor
    up: Tensor


class _Group(NamedTuple):
    """A group's features, and the matrices that make them."""

    wide: slice
    narrow: slice
    first: _Taps
    inner: _Taps
    blocks: list[_Matrices]
    hidden: Tensor
    outputs: Tensor
    alone: bool

    @classmethod
    def of(cls, network: PixelNetwork, blocks: list[Block], group: int) -> "_Group":
        def part(features: int) -> slice:
            return parts_of(features, network.groups)[group]

        wide, narrow = part(2 * network.width), part(network.width)
        inner = _Taps.of([block.convolution for block in blocks], narrow)
        return cls(
            wide,
            narrow,
            _Taps.of([network.first], wide),
            inner,
            [
                _Matrices(leaving(block.down, narrow), site, leaving(block.up, wide))
                for block, site in zip(blocks, inner.site, strict=True)
            ],
            leaving(network.hidden, wide),
            leaving(network.outputs, part(len(network.outputs.weight))),
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
