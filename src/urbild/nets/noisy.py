"""A dense critic of noisy layers, as a value that is passed to a builder."""

from dataclasses import dataclass
from itertools import pairwise
from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn import functional

from urbild.contract import DataSpec
from urbild.nets.adversaries import Critic
from urbild.nets.moves import Checked
from urbild.nets.stock import check_sizes


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
    """A linear layer whose weights have a direction and a learnt length for each unit.

    Source: Salimans and Kingma 2016, https://arxiv.org/abs/1602.07868, equation 2.
    """

    def __init__(self, before: int, after: int, *, length: float = 1.0) -> None:
        super().__init__()
        self.direction = nn.Parameter(torch.randn(after, before))
        self.length = nn.Parameter(torch.full((after,), length))
        self.bias = nn.Parameter(torch.zeros(after))

    def forward(self, x: Tensor) -> Tensor:
        """Takes [N, before] to [N, after]."""
        scale = self.length / torch.linalg.vector_norm(self.direction, dim=1)
        out: Tensor = functional.linear(x, self.direction) * scale + self.bias
        return out


@dataclass(frozen=True, slots=True)
class Noisy(Checked):
    """Five layers of rectifiers, each with noise before it and weights of a learnt length.

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
        layers: list[nn.Module] = [Noise(self.noise), Normed(spec.size, wide, length=sqrt(2)), nn.ReLU()]
        for before, after in pairwise(widths):
            layers += [Noise(self.hidden), Normed(before, after, length=sqrt(2)), nn.ReLU()]
        last = nn.Sequential(Noise(self.hidden), Normed(widths[-1], outputs))
        return Critic(nn.Sequential(*layers), nn.Identity()), last
