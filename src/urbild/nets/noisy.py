"""A dense critic of noisy layers, as a value that is passed to a builder."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from urbild.contract import DataSpec
from urbild.nets.adversaries import Critic
from urbild.nets.moves import Checked
from urbild.nets.stock import check_sizes
from urbild.ops.precision import full

LEAST = 1e-4  # of a deviation
START = 0.1  # deviation of a direction's entries: the smaller, the faster Adam turns it


class Noise(nn.Module):
    """Gaussian noise in training, nothing else.

    Args:
        deviation: its standard deviation.
    """

    def __init__(self, deviation: float) -> None:
        super().__init__()
        self.deviation = deviation

    def forward(self, x: Tensor) -> Tensor:
        """Keeps the shape."""
        return x + self.deviation * torch.randn_like(x) if self.training and self.deviation else x


class Normed(nn.Module):
    """A linear layer whose weights have a direction for each unit; their length and the shift are set by the data.

    Sources: Salimans and Kingma 2016, https://arxiv.org/abs/1602.07868, equations 2 and 6; that the length stays as the
    data set it is of Salimans et al. 2016, https://arxiv.org/abs/1606.03498 (their published experiments).

    Args:
        before: size of what comes in.
        after: units.
        learnt: whether the length goes on to be learnt.
    """

    def __init__(self, before: int, after: int, *, learnt: bool = False) -> None:
        super().__init__()
        self.direction = nn.Parameter(START * torch.randn(after, before))
        self.bias = nn.Parameter(torch.zeros(after))
        self.length = nn.Parameter(torch.ones(after)) if learnt else None
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", torch.zeros(after))
        self.register_buffer("deviation", torch.ones(after))

    @torch.no_grad()
    def standardise(self, x: Tensor) -> None:
        """Makes the outputs for x [N, before], two samples or more, have mean 0 and deviation 1."""
        out = self._along(x)
        self.mean.copy_(out.mean(0))
        self.deviation.copy_(out.std(0).clamp(min=LEAST))

    def forward(self, x: Tensor) -> Tensor:
        """Takes [N, before] to [N, after]."""
        out = (self._along(x) - self.mean) / self.deviation
        return (out if self.length is None else out * self.length) + self.bias

    def _along(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):  # the mean that is taken off is larger than what is left
            out: Tensor = functional.linear(full(x), self.direction) / torch.linalg.vector_norm(self.direction, dim=1)
        return out


@torch.no_grad()
def standardise(layers: Iterable[nn.Module], x: Tensor) -> None:
    """Sets each `Normed` of a chain of layers by what comes to it of samples x [N, ...]."""
    for layer in layers:
        if isinstance(layer, Normed):
            layer.standardise(x)
        x = layer(x)


@dataclass(frozen=True, slots=True)
class Noisy(Checked):
    """Five layers of rectifiers, each with noise before it and weights of a length that the data set.

    Attributes:
        width: units of the first (default 1000 for images, 256 for vectors); the second has half as many, the others a
            quarter.
        noise: standard deviation on samples as the critic sees them, images in [-1, 1].
        hidden: standard deviation on what enters the other layers.
    """

    width: int | None = None
    noise: float = 0.6
    hidden: float = 0.5

    def check(self) -> None:
        """Refuses numbers out of range.

        Raises:
            OptionError: one is.
        """
        check_sizes(width=self.width, noise=self.noise, hidden=self.hidden)

    def critic(self, spec: DataSpec, outputs: int) -> tuple[Critic, nn.Module]:
        """A critic without a verdict, and the last layer: from its features, with noise on them, to [N, outputs]."""
        self.check()
        wide = self.width or (1000 if spec.kind == "image" else 256)
        widths = [wide, *(max(1, wide // share) for share in (2, 4, 4, 4))]
        layers: list[nn.Module] = [Noise(self.noise), Normed(spec.size, wide), nn.ReLU()]
        for before, after in pairwise(widths):
            layers += [Noise(self.hidden), Normed(before, after), nn.ReLU()]
        last = nn.Sequential(Noise(self.hidden), Normed(widths[-1], outputs, learnt=True))
        return Critic(nn.Sequential(*layers), nn.Identity()), last
