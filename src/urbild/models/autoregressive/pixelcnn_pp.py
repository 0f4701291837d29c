"""PixelCNN++: gated residual blocks at three resolutions, and whole pixels drawn from a mixture of logistics.

Salimans, Karpathy, Chen and Kingma 2017, PixelCNN++, https://arxiv.org/abs/1701.05517

    p(x) = prod_i p(x_i | x_<i)        pixels in raster order, the channels of a pixel at once
    p(r, g, b) = sum_m pi_m p(r; mu_r) p(g; mu_g + a r) p(b; mu_b + b r + c g)        discretised logistics (equation 3)

Two streams see all that came before: one the rows above (down-shifted convolutions), the other the row so far
(down-right-shifted ones), which is also told the first. Either passes through blocks at the full, the half and the
quarter resolution and back (strided and transposed convolutions, section 2.3), and each block of the way back is told
the output of its mirror image on the way down (section 2.4). Blocks are x + a sigmoid(b) with concatenated ELU and
dropout between two convolutions (section 2.5); a class is told to all of them. A channel of ones is added to the image,
by which the padding is known.

Departures from the paper: plain weights instead of weight normalisation with a start from data; Adam under a warm-up
and a cosine instead of a slow exponential decay; no averaged weights; by default 2 blocks of 64 features for each
resolution, where the paper takes 5 of 160. Sides need not be multiples of 4: halves are rounded up, and cut on the way
back.

Sampling keeps what it has computed: the first stream goes along once a row, the second once a site, and a coarser
resolution does so at every second row and site of the finer one alone.
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from urbild.contract import DataSpec, Model
from urbild.errors import OptionError
from urbild.models.autoregressive.raster import Correction, corrected
from urbild.models.autoregressive.raster_network import Cache, Condition, Inputs, RasterNetwork
from urbild.nets.labels import classes_of
from urbild.nets.layers import halved
from urbild.nets.shifted import Resolution, Shifted
from urbild.nets.shifted_drawing import DrawnResolution, RowConvolution, Strip
from urbild.nets.stock import check_sizes
from urbild.nets.symbols import Mixture, SymbolHead, Symbols

RESOLUTIONS = 3


class ShiftedNetwork(RasterNetwork):
    """Both streams and their head.

    Args:
        channels: C.
        head: whose numbers it gives; of one group.
        blocks: at each resolution, on the way down.
        width: F.
        embedding: size of a symbol's learned vector, or None for numbers.
        dropout: share of features that are zero inside a block in training.
        vector: entries of the condition's vector, or 0.
    """

    def __init__(
        self,
        channels: int,
        head: SymbolHead,
        *,
        blocks: int,
        width: int,
        embedding: int | None,
        dropout: float,
        vector: int,
    ) -> None:
        super().__init__()
        self.inputs = Inputs(channels, head.levels, embedding)
        entries = channels * self.inputs.size + 1
        self.first = Shifted(entries, width, (2, 3), right=False)
        self.over = Shifted(entries, width, (1, 3), right=False)
        self.beside = Shifted(entries, width, (2, 1), right=True)
        self.resolutions = nn.ModuleList(
            Resolution(blocks, width, finest=at == 0, coarsest=at == RESOLUTIONS - 1, vector=vector, dropout=dropout)
            for at in range(RESOLUTIONS)
        )
        self.outputs = nn.Conv2d(width, head.outputs, 1)

    def forward(self, symbols: Tensor, condition: Condition) -> Tensor:
        """[N, outputs, H, W] of symbols [N, C, H, W]."""
        x = self.inputs(symbols)
        x = torch.cat([x, torch.ones_like(x[:, :1])], dim=1)
        lowered = functional.pad(x[:, :, :-1], (0, 0, 1, 0))
        above = self.first(lowered)
        left = self.over(lowered) + self.beside(functional.pad(x[:, :, :, :-1], (1, 0)))
        shortcuts: list[tuple[Tensor, Tensor]] = []
        resolutions = cast("list[Resolution]", list(self.resolutions))
        for at, resolution in enumerate(resolutions):
            if at:
                above, left = resolution.shrink_above(above), resolution.shrink_left(left)
            shortcuts.append((above, left))
            for pair in resolution.down:
                above, left = pair(above, left, (), condition.vector)
                shortcuts.append((above, left))
        above, left = shortcuts.pop()
        for resolution in reversed(resolutions):
            for pair in resolution.back:
                above, left = pair(above, left, shortcuts.pop(), condition.vector)
            if shortcuts:
                height, width = shortcuts[-1][0].shape[2:]
                above = resolution.grow_above(above, (height, width))
                left = resolution.grow_left(left, (height, width))
        result: Tensor = self.outputs(functional.elu(left))
        return result

    def cache(self, n: int, size: tuple[int, int], condition: Condition) -> Cache:
        """See `RasterNetwork.cache`."""
        return ShiftedCache(self, n, size, condition)


class ShiftedCache(Cache):
    """The rows of both streams that are still seen, at each resolution."""

    def __init__(self, network: ShiftedNetwork, n: int, size: tuple[int, int], condition: Condition) -> None:
        self._inputs, width = network.inputs, size[1]
        self._strip = Strip(network.outputs.weight, n, width, network.first.convolution.weight.shape[1])
        self._first, self._over = RowConvolution(network.first, n, width), network.over
        above, self._left = network.beside.taps(0), network.beside.taps(1)
        bias = network.beside.convolution.bias
        assert bias is not None
        self._beside = above, bias
        self._resolutions: list[DrawnResolution] = []
        for module in cast("list[Resolution]", list(network.resolutions)):
            finer = self._resolutions[-1] if self._resolutions else None
            self._resolutions.append(DrawnResolution(module, finer, n, width, condition.vector))
            width = halved((1, width))[1]
        self._outputs = network.outputs.weight.flatten(1).T.contiguous(), network.outputs.bias
        self._terms: list[Tensor] = []
        self._passed: list[DrawnResolution] = []
        self._row = -1

    def row(self, i: int) -> None:
        """The first stream of row i at the resolutions that have one, and what it tells the second."""
        self._row = i
        seen = self._strip.row  # of the row above
        rows = seen[:, 1:].transpose(1, 2)[:, :, None]  # [N, C + 1, 1, W]
        matrix, bias = self._beside
        beside = torch.matmul(seen[:, :-1], matrix) + bias
        self._terms = list((self._over.row(rows).squeeze(2).transpose(1, 2) + beside).unbind(1))
        above = self._first(rows)
        seen[:, 1:, -1] = 1
        self._passed, shortcuts = [], list[Tensor]()
        for at, drawn in enumerate(self._resolutions):
            if at:
                drawn.shrink_above.push(above)
                if i % 2**at:
                    break
                above = drawn.shrink_above.read()
                drawn.shrink_left.row()
            self._passed.append(drawn)
            shortcuts.append(above)
            for rows_block, sites_block in drawn.down:
                above = rows_block(above, ())
                sites_block.row(above)
                shortcuts.append(above)
        if len(self._passed) == RESOLUTIONS:
            shortcuts.pop()
        for at, drawn in reversed(list(enumerate(self._passed))):
            if at < RESOLUTIONS - 1:
                above = drawn.grown_above[:, :, (i >> at) & 1, None]
            for rows_block, sites_block in drawn.back:
                above = rows_block(above, (shortcuts.pop(),))
                sites_block.row(above)
            drawn.give_above(above)

    def output(self, j: int, group: int) -> Tensor:  # noqa: ARG002 -- there is one group
        """The second stream at a site, and the head's numbers."""
        left = torch.addmm(self._terms[j], self._strip.row[:, j], self._left)
        passed, shortcuts = list[tuple[int, "DrawnResolution"]](), list[Tensor]()
        for at, drawn in enumerate(self._resolutions):
            if at:
                drawn.entry.site[j >> (at - 1)].copy_(left)
                if at >= len(self._passed) or j % 2**at:
                    break
                left = drawn.shrink_left.site(j >> at)
            passed.append((at, drawn))
            for _, block in drawn.down:
                left, signed = block.site(j >> at, left)
                shortcuts.append(signed)
            if at < RESOLUTIONS - 1:
                shortcuts.append(drawn.last.put(j >> at, left))
        for at, drawn in reversed(passed):
            if at < RESOLUTIONS - 1:
                left = drawn.grown_left[(self._row >> at) & 1][:, j >> at]
            for _, block in drawn.back:
                left, _ = block.site(j >> at, left, shortcuts.pop())
            drawn.give_left(j >> at, left)
        matrix, bias = self._outputs
        assert bias is not None
        return torch.addmm(bias, functional.elu(left), matrix)

    def put(self, j: int, group: int, symbols: Tensor) -> None:
        """Writes the symbols as input of both streams."""
        self._inputs.write(self._strip.site[j], group, symbols)


def pixelcnn_pp(
    spec: DataSpec,
    *,
    blocks: int = 2,
    width: int = 64,
    likelihood: Symbols | None = None,
    embedding: int | None = None,
    dropout: float = 0.5,
    conditional: bool = False,
    correction: Correction = "none",
    learning_rate: float = 1e-3,
) -> Model:
    """Builds a PixelCNN++.

    Args:
        spec: of images.
        blocks: at each resolution on the way down; the paper takes 5.
        width: features of a block; the paper takes 160.
        likelihood: of a pixel, by default Mixture(); any other is of one channel.
        embedding: size of a learned vector for each symbol, for symbols without order; None feeds numbers.
        dropout: share of features that are zero between a block's convolutions in training.
        conditional: on the class of the sample.
        correction: of the score, by the complexity of the image (see `raster.Raster`).
        learning_rate: of Adam, at its highest.

    Raises:
        OptionError: an option is out of range, the channels of a pixel are not drawn at once, or the data have no
            classes to be conditioned on.
    """
    check_sizes(blocks=blocks, width=width, embedding=embedding, learning_rate=learning_rate)
    if not 0 <= dropout < 1:
        msg = f"dropout is a share of at least 0 and below 1, and is {dropout}."
        raise OptionError(msg)
    head = (likelihood or Mixture()).head(spec)
    if head.groups > 1:
        msg = "pixelcnn_pp draws all channels of a pixel at once; take likelihood=Mixture(), or another model."
        raise OptionError(msg)
    classes = classes_of(spec, conditional=conditional)

    def network() -> ShiftedNetwork:
        return ShiftedNetwork(
            spec.channels, head, blocks=blocks, width=width, embedding=embedding, dropout=dropout, vector=classes
        )

    return corrected(spec, network, head, correction, classes=classes, learning_rate=learning_rate)
