"""The streams of `nets.shifted` over images that are being drawn: row by row, and site by site.

A map of the second stream is kept as a strip, its present row: what a site sees of the row above is computed when a row
begins, while the strip still has it. So every number is computed once.
"""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from urbild.nets.shifted import Block, Pair, Resolution, Shifted, concat_elu


class RowConvolution:
    """A shifted convolution over a map of which a row is given at a time: it keeps the rows above."""

    def __init__(self, layer: Shifted, n: int, width: int) -> None:
        weight = layer.convolution.weight
        self._layer, self._rows = layer, weight.new_zeros(n, weight.shape[1], layer.rows, width)

    def push(self, row: Tensor) -> None:
        """Takes the row [N, before, 1, W] that follows."""
        self._rows = torch.cat([self._rows[:, :, 1:], row], dim=2)

    def read(self) -> Tensor:
        """The result [N, after, 1, W / stride] at the last row."""
        return self._layer.row(self._rows)

    def __call__(self, row: Tensor) -> Tensor:
        """Pushes and reads."""
        self.push(row)
        return self.read()


class RowBlock:
    """A down-shifted block that is given a row at a time."""

    def __init__(self, block: Block, n: int, width: int, vector: Tensor | None) -> None:
        self._block, self._vector = block, vector
        self._first, self._second = (RowConvolution(layer, n, width) for layer in (block.first, block.second))

    def __call__(self, x: Tensor, others: Sequence[Tensor]) -> Tensor:
        """The row [N, F, 1, W] of the result."""
        return self._block.through(x, others, self._vector, self._first, self._second)


class Strip:
    """The present row of a map that is being drawn; sites not yet written have their values of the row above.

    Attributes:
        row: [N, 1 + W, F], with a site of zeros on the left.
        seen: for each site, a view [N, 2 F] of the site on its left and itself.
        site: for each site, a view [N, F].
    """

    def __init__(self, like: Tensor, n: int, width: int, features: int) -> None:
        self.row = like.new_zeros(n, 1 + width, features)
        self.seen = [self.row[:, j : j + 2].flatten(1) for j in range(width)]
        self.site = [self.row[:, 1 + j] for j in range(width)]


class SignedStrip(Strip):
    """A strip of `concat_elu` of a map of F features."""

    def __init__(self, like: Tensor, n: int, width: int, features: int) -> None:
        super().__init__(like, n, width, 2 * features)
        self.plus = [site[:, :features] for site in self.site]
        self._minus = [site[:, features:] for site in self.site]

    def settle(self, j: int) -> Tensor:
        """Makes [N, 2 F] of the values that were written to `plus`."""
        torch.neg(self.plus[j], out=self._minus[j])
        return functional.elu_(self.site[j])

    def put(self, j: int, x: Tensor) -> Tensor:
        """Writes a site from x [N, F]: [N, 2 F]."""
        self.plus[j].copy_(x)
        return self.settle(j)


class SiteConvolution:
    """A down-right-shifted convolution with a kernel of 2 x 2 over a map that is drawn site by site."""

    def __init__(self, layer: Shifted, strip: Strip) -> None:
        self._above, self._left, self._bias = layer.taps(0), layer.taps(1), layer.convolution.bias
        self._strip, self._seen, self._stride = strip, strip.seen[:: layer.stride], layer.stride
        n, after = len(strip.row), len(layer.convolution.weight)
        self._terms = strip.row.new_zeros(n, len(self._seen), after)
        self._at = list(self._terms.unbind(1))

    def row(self, more: Tensor | None = None) -> None:
        """Begins a row: what is seen of the row above, and `more` [N, W or 1, after]."""
        row, step = self._strip.row, self._stride
        windows = torch.cat([row[:, :-1:step], row[:, 1::step]], dim=2)  # [N, W, 2 F]
        assert self._bias is not None
        terms = torch.addmm(self._bias, windows.flatten(0, 1), self._above).view_as(self._terms)
        torch.add(terms, 0 if more is None else more, out=self._terms)

    def site(self, j: int, out: Tensor | None = None) -> Tensor:
        """The result [N, after] at a site."""
        return torch.addmm(self._at[j], self._seen[j], self._left, out=out)


class SiteBlock:
    """A down-right-shifted block over maps that are drawn site by site; told a row map, and maybe a shortcut.

    Args:
        block: told the row stream first.
        n: samples.
        width: sites of a row.
        vector: [N, E] of the condition, or None.
    """

    def __init__(self, block: Block, n: int, width: int, vector: Tensor | None) -> None:
        like = block.first.convolution.weight
        features = len(like)
        self._entered, self._hidden = (SignedStrip(like, n, width, features) for _ in range(2))
        self._first = SiteConvolution(block.first, self._entered)
        self._second = SiteConvolution(block.second, self._hidden)
        told = block.told(vector)
        self._rows, self._told = block.others[0], None if told is None else told[:, None]
        self._shortcut = block.others[1].weight.flatten(1).T.contiguous() if len(block.others) > 1 else None  # type: ignore[operator]
        self._gates = like.new_zeros(n, 2 * features)
        self._value, self._share = self._gates.chunk(2, dim=1)

    def row(self, above: Tensor) -> None:
        """Begins a row, of which the row stream is [N, F, 1, W]."""
        self._first.row(self._rows(concat_elu(above)).squeeze(2).transpose(1, 2))
        self._second.row(self._told)

    def site(self, j: int, x: Tensor, shortcut: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The result [N, F] at a site and `concat_elu` of x, told `concat_elu` of a shortcut [N, 2 F]."""
        entered = self._entered.put(j, x)
        hidden = self._first.site(j, out=self._hidden.plus[j])
        if shortcut is not None and self._shortcut is not None:
            hidden.addmm_(shortcut, self._shortcut)
        self._hidden.settle(j)
        self._second.site(j, out=self._gates)
        return torch.addcmul(x, self._value, self._share.sigmoid_()), entered


class DrawnResolution:
    """A resolution of images that are being drawn.

    Attributes:
        down: blocks of either stream on the way down.
        back: on the way back.
        entry: the finer resolution's row of the second stream, which `shrink_left` sees.
        last: the second stream behind the last block of the way down.
        grown_above: two rows [N, F, 2, W] of the first stream from the coarser resolution.
        grown_left: two rows [N, W, F] of the second one, W raised to an even number.
    """

    shrink_above: RowConvolution
    shrink_left: SiteConvolution
    entry: Strip

    def __init__(
        self, module: Resolution, finer: "DrawnResolution | None", n: int, width: int, vector: Tensor | None
    ) -> None:
        self.width, self._finer, self._module = width, finer, module

        def blocks(pairs: nn.ModuleList) -> list[tuple[RowBlock, SiteBlock]]:
            found = cast("list[Pair]", list(pairs))
            return [(RowBlock(pair.above, n, width, vector), SiteBlock(pair.left, n, width, vector)) for pair in found]

        self.down, self.back = blocks(module.down), blocks(module.back)
        like, features = next(module.parameters()), module.width
        self.last = SignedStrip(like, n, width, features)
        self.grown_above = like.new_zeros(n, features, 2, width)
        self.grown_left = [like.new_zeros(n, width + width % 2, features) for _ in range(2)]
        if finer is not None:
            self.shrink_above = RowConvolution(module.shrink_above, n, finer.width)
            self.entry = Strip(like, n, finer.width, features)
            self.shrink_left = SiteConvolution(module.shrink_left, self.entry)
            self._grow = [module.grow_left.taps(row) for row in range(2)]

    def give_above(self, above: Tensor) -> None:
        """Gives two rows to the finer resolution."""
        if self._finer is not None:
            self._finer.grown_above = self._module.grow_above(above, (2, self._finer.width))

    def give_left(self, j: int, left: Tensor) -> None:
        """Gives two sites of two rows to the finer resolution."""
        if self._finer is not None:
            for (matrix, bias), row in zip(self._grow, self._finer.grown_left, strict=True):
                torch.addmm(bias, left, matrix, out=row[:, 2 * j : 2 * j + 2].flatten(1))
