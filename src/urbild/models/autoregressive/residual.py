"""The frame that PixelCNN and PixelRNN share: a first masked convolution, residual layers, and a head of 1 x 1."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from urbild.models.autoregressive.raster_network import Condition, Inputs, RasterNetwork
from urbild.nets.masked import Causal, Left, group_width, groups_of
from urbild.nets.symbols import SymbolHead

FIRST_KERNEL = 7


class ResidualNetwork(RasterNetwork):
    """The networks of van den Oord et al. 2016 (https://arxiv.org/abs/1601.06759), table 1.

    Args:
        channels: C.
        head: whose numbers it gives.
        width: h; raised to a multiple of the channels.
        embedding: size of a symbol's learned vector, or None for numbers.
        middle: makes the residual layers, of the groups of the 2 h features between them and of the h inside.
    """

    def __init__(
        self,
        channels: int,
        head: SymbolHead,
        *,
        width: int,
        embedding: int | None,
        middle: Callable[[Tensor, Tensor], Iterable[nn.Module]],
    ) -> None:
        super().__init__()
        self.groups = head.groups
        self.width = group_width(width, self.groups)
        self.inputs = Inputs(channels, head.levels, embedding)
        entries = self.inputs.groups if self.groups == channels else torch.zeros_like(self.inputs.groups)
        narrow, wide = groups_of(self.width, self.groups), groups_of(2 * self.width, self.groups)
        self.first = Causal(entries, wide, FIRST_KERNEL, mask="A")
        self.middle = nn.ModuleList(middle(wide, narrow))
        self.hidden = Left(wide, wide)
        self.outputs = Left(wide, groups_of(self.groups * head.outputs, self.groups))

    def forward(self, symbols: Tensor, condition: Condition) -> Tensor:  # noqa: ARG002 -- others are conditioned
        """[N, groups * outputs, H, W] of symbols [N, C, H, W]."""
        x = self.first(self.inputs(symbols))
        for layer in self.middle:
            x = layer(x)
        result: Tensor = self.outputs(torch.relu(self.hidden(torch.relu(x))))
        return result
