"""Layers of two stacks, gated: the vertical one sees the rows above, the horizontal one the row so far.

Van den Oord et al. 2016, Conditional image generation with PixelCNN decoders, https://arxiv.org/abs/1606.05328,
figure 2 and equations 2 to 4.
"""

import torch
from torch import Tensor, nn

from urbild.models.autoregressive.raster_network import Condition
from urbild.nets.masked import Above, Left


def gate(x: Tensor) -> Tensor:
    """Tanh of the first half of the features times the sigmoid of the second: [N, F, ...] of [N, 2 F, ...]."""
    value, share = x.chunk(2, dim=1)
    return torch.tanh(value) * torch.sigmoid(share)


class Layer(nn.Module):
    """A layer of both stacks.

    Args:
        before: groups of the horizontal input.
        above: features of the vertical input.
        after: groups of the F features of either output.
        kernel: of both stacks.
        first: has mask A, sees strictly above, and no residual connection.
        vector: entries of the condition's vector, or 0.
        maps: channels of the condition's maps, or 0.
    """

    def __init__(
        self, before: Tensor, above: int, after: Tensor, kernel: int, *, first: bool, vector: int, maps: int
    ) -> None:
        super().__init__()
        features, gates = len(after), after.repeat(2)
        self.first = first
        self.above = Above(above, 2 * features, kernel, inclusive=not first)
        self.left = Left(before, gates, kernel, mask="A" if first else "B")
        self.link = nn.Conv2d(2 * features, 2 * features, 1)
        self.out = Left(after, after)
        self.told = nn.Linear(vector, 4 * features, bias=False) if vector else None
        self.shown = nn.Conv2d(maps, 4 * features, 1, bias=False) if maps else None

    def forward(self, above: Tensor, left: Tensor, condition: Condition, *, last: bool) -> tuple[Tensor, Tensor]:
        """The vertical and the horizontal map [N, F, H, W]; the last layer has no use for the vertical one."""
        seen = self.above(above)  # [N, 2 F, H, W]
        joined = self.left(left) + self.link(seen)
        told = self.terms(condition)
        if told is not None:
            seen, joined = seen + told[0], joined + told[1]
        made = self.out(gate(joined))
        return seen if last else gate(seen), made if self.first else left + made

    def terms(self, condition: Condition) -> tuple[Tensor, Tensor] | None:
        """What the condition adds to the gates of either stack, [N, 2 F, 1 or H, 1 or W]."""
        terms = []
        if self.told is not None and condition.vector is not None:
            terms.append(self.told(condition.vector)[:, :, None, None])
        if self.shown is not None and condition.maps is not None:
            terms.append(self.shown(condition.maps))
        if not terms:
            return None
        vertical, horizontal = sum(terms[1:], start=terms[0]).chunk(2, dim=1)
        return vertical, horizontal
