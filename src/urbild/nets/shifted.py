"""Shifted convolutions in gated residual blocks, in two streams: the rows above, and the row so far.

Salimans et al. 2017, PixelCNN++, https://arxiv.org/abs/1701.05517 (sections 2.3 and 2.5). Instead of a mask, the map is
padded so that a convolution sees its own row and rows above (down-shifted), or of those the columns up to its own
(down-right-shifted). Streams that start from a shifted image then never see what comes later.

`nets.shifted_drawing` has the same row by row and site by site.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from urbild.nets.layers import Size


def concat_elu(x: Tensor) -> Tensor:
    """The exponential linear unit of x and of -x: [N, 2 F, ...] of [N, F, ...]."""
    return functional.elu(torch.cat([x, -x], dim=1))


class Shifted(nn.Module):
    """A convolution that sees its own row and above, and with `right` no column right of its own.

    Args:
        before: features of the input.
        after: features of the output.
        kernel: (rows, columns); columns are odd without `right`.
        right: whether columns end at its own.
        stride: of both sides; a side becomes its half, rounded up, at 2.
    """

    def __init__(self, before: int, after: int, kernel: Size, *, right: bool, stride: int = 1) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(before, after, kernel, stride=stride)
        reach = kernel[1] - 1
        self._sides = (reach, 0) if right else (reach // 2, reach // 2)
        self.rows, self.stride = kernel[0], stride

    def forward(self, x: Tensor) -> Tensor:
        """[N, after, H / stride, W / stride] of [N, before, H, W]."""
        found: Tensor = self.convolution(functional.pad(x, (*self._sides, self.rows - 1, 0)))
        return found

    def row(self, rows: Tensor) -> Tensor:
        """One row of the result [N, after, 1, W / stride], of the rows that it sees [N, before, rows, W]."""
        found: Tensor = self.convolution(functional.pad(rows, self._sides))
        return found

    def taps(self, row: int) -> Tensor:
        """The weights of a row of the kernel as a matrix [columns * before, after]."""
        return self.convolution.weight[:, :, row].permute(2, 1, 0).flatten(0, 1).contiguous()


class Grown(nn.Module):
    """Twice the sides by a transposed convolution, cut to the size that was wanted.

    Args:
        features: of input and output.
        right: whether a site gives to sites below and right of it alone; else to their neighbours on the left too.
    """

    def __init__(self, features: int, *, right: bool) -> None:
        super().__init__()
        self.convolution = nn.ConvTranspose2d(features, features, (2, 2 if right else 3), stride=2)
        self._start = 0 if right else 1

    def forward(self, x: Tensor, size: Size) -> Tensor:
        """[N, F, *size] of [N, F, h, w], where 2 h and 2 w are at least the size."""
        found: Tensor = self.convolution(x)
        return found[:, :, : size[0], self._start : self._start + size[1]]

    def taps(self, row: int) -> tuple[Tensor, Tensor]:
        """Matrix [F, 2 F] and bias [2 F] from a site to the two below it, in the upper or lower row: `right` alone."""
        matrix = self.convolution.weight[:, :, row].transpose(1, 2).flatten(1).contiguous()
        assert self.convolution.bias is not None
        return matrix, self.convolution.bias.repeat(2)


class Block(nn.Module):
    """x + a * sigmoid(b), where a and b are two convolutions away from x: [N, F, H, W] to the same shape.

    Args:
        features: F.
        right: whether its convolutions are down-right-shifted (2 x 2), else down-shifted (2 x 3).
        others: maps [N, F, H, W] that it is also told.
        vector: entries of the condition's vector, or 0.
        dropout: share of features that are zero between the convolutions in training.
    """

    def __init__(self, features: int, *, right: bool, others: int, vector: int, dropout: float) -> None:
        super().__init__()
        kernel = (2, 2 if right else 3)
        self.first = Shifted(2 * features, features, kernel, right=right)
        self.others = nn.ModuleList(nn.Conv2d(2 * features, features, 1, bias=False) for _ in range(others))
        self.second = Shifted(2 * features, 2 * features, kernel, right=right)
        self.vector = nn.Linear(vector, 2 * features, bias=False) if vector else None
        self._dropout = dropout

    def forward(self, x: Tensor, others: Sequence[Tensor], vector: Tensor | None) -> Tensor:
        """Passes x through the block, told the others [N, F, H, W] and the condition's vector [N, E]."""
        return self.through(x, others, vector, self.first, self.second)

    def through(
        self,
        x: Tensor,
        others: Sequence[Tensor],
        vector: Tensor | None,
        first: Callable[[Tensor], Tensor],
        second: Callable[[Tensor], Tensor],
    ) -> Tensor:
        """The same with other forms of its two convolutions."""
        hidden = first(concat_elu(x))
        for told, other in zip(self.others, others, strict=True):
            hidden = hidden + told(concat_elu(other))
        hidden = functional.dropout(concat_elu(hidden), self._dropout, self.training)
        gates, told_gates = second(hidden), self.told(vector)
        if told_gates is not None:
            gates = gates + told_gates[:, :, None, None]
        value, share = gates.chunk(2, dim=1)
        return x + value * torch.sigmoid(share)

    def told(self, vector: Tensor | None) -> Tensor | None:
        """What the condition's vector adds to the gates: [N, 2 F]."""
        if self.vector is None or vector is None:
            return None
        found: Tensor = self.vector(vector)
        return found


class Pair(nn.Module):
    """A block of either stream.

    Args:
        width: F.
        shortcut: whether both are told their mirror image.
        vector: entries of the condition's vector, or 0.
        dropout: in the blocks.
    """

    def __init__(self, width: int, *, shortcut: bool, vector: int, dropout: float) -> None:
        super().__init__()
        self.above = Block(width, right=False, others=int(shortcut), vector=vector, dropout=dropout)
        self.left = Block(width, right=True, others=1 + shortcut, vector=vector, dropout=dropout)

    def forward(
        self, above: Tensor, left: Tensor, shortcuts: tuple[Tensor, ...], vector: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Both streams [N, F, H, W]; the shortcuts are those of the first and of the second, or none."""
        above = self.above(above, shortcuts[:1], vector)
        return above, self.left(left, (above, *shortcuts[1:]), vector)


class Resolution(nn.Module):
    """What both streams pass through at one resolution.

    Args:
        blocks: on the way down; on the way back there is one more but at the coarsest.
        width: F.
        finest: has no finer one to come from.
        coarsest: has no coarser one to come back from.
        vector: entries of the condition's vector, or 0.
        dropout: in the blocks.
    """

    def __init__(self, blocks: int, width: int, *, finest: bool, coarsest: bool, vector: int, dropout: float) -> None:
        super().__init__()
        self.width = width

        def pairs(count: int, *, shortcut: bool) -> nn.ModuleList:
            return nn.ModuleList(Pair(width, shortcut=shortcut, vector=vector, dropout=dropout) for _ in range(count))

        self.down, self.back = pairs(blocks, shortcut=False), pairs(blocks + (not coarsest), shortcut=True)
        if not finest:
            self.shrink_above = Shifted(width, width, (2, 3), right=False, stride=2)
            self.shrink_left = Shifted(width, width, (2, 2), right=True, stride=2)
            self.grow_above, self.grow_left = Grown(width, right=False), Grown(width, right=True)
