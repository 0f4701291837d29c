"""A generator and a critic that grow: both know images of several sizes, each twice the one before.

Karras, Aila, Laine and Lehtinen 2017, Progressive Growing of GANs for Improved Quality, Stability, and Variation,
https://arxiv.org/abs/1710.10196 (figure 2, table 2)
"""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from urbild.nets.equalised import (
    RECTIFIED,
    Doubled,
    EqualisedConv,
    EqualisedLinear,
    MinibatchDeviation,
    PixelNorm,
    doubled,
    faded,
    halved,
)
from urbild.nets.layers import Flatten, Size, Unflatten


def _rectifier() -> nn.Module:
    return nn.LeakyReLU(0.2)


class Generator(nn.Module):
    """From normalised latents [N, latent] to images of any of the sizes, about [-1, 1].

    Args:
        latent: their entries.
        channels: of the images.
        sizes: through which it grows.
        maps: channels at each.
    """

    def __init__(self, latent: int, channels: int, sizes: Sequence[Size], maps: Sequence[int]) -> None:
        super().__init__()
        (height, width), start = sizes[0], maps[0]
        opening: list[nn.Module] = [EqualisedLinear(latent, start * height * width, gain=RECTIFIED / 4)]
        opening += [Unflatten((start, height, width)), _rectifier(), PixelNorm(), *_made(start, start)]
        self.first = nn.Sequential(*opening)
        self.blocks = nn.ModuleList(
            nn.Sequential(Doubled(), *_made(before, after), *_made(after, after)) for before, after in pairwise(maps)
        )
        self.images = nn.ModuleList(EqualisedConv(count, channels, 1, gain=1.0) for count in maps)

    def parts(self, level: int, *, fades: bool) -> tuple[nn.Module, ...]:
        """The modules that make an image of that size."""
        return self.first, *self.blocks[:level], *self.images[level - fades : level + 1]

    def forward(self, z: Tensor, level: int, alpha: float | None = None) -> Tensor:
        """Images [N, C, H, W] of the size of that number; alpha is the share of its own layers while they fade in."""
        x = before = self.first(z)
        for block in self.blocks[:level]:
            before, x = x, block(x)
        new: Tensor = self.images[level](x)
        return new if alpha is None else faded(doubled(self.images[level - 1](before)), new, alpha)


def _made(before: int, after: int) -> list[nn.Module]:
    return [EqualisedConv(before, after, 3), _rectifier(), PixelNorm()]


class Critic(nn.Module):
    """From images of any of the sizes, or packs of them, to logits [N]. Its arguments are the generator's."""

    def __init__(self, channels: int, sizes: Sequence[Size], maps: Sequence[int]) -> None:
        super().__init__()
        (height, width), start = sizes[0], maps[0]
        self.images = nn.ModuleList(nn.Sequential(EqualisedConv(channels, count, 1), _rectifier()) for count in maps)
        self.blocks = nn.ModuleList(
            nn.Sequential(*_judged(before, before), *_judged(before, after), nn.AvgPool2d(2))
            for after, before in pairwise(maps)
        )
        dense = [EqualisedLinear(start * height * width, start), _rectifier(), EqualisedLinear(start, 1, gain=1.0)]
        self.last = nn.Sequential(MinibatchDeviation(), *_judged(start + 1, start), Flatten(), *dense)

    def parts(self, level: int, *, fades: bool) -> tuple[nn.Module, ...]:
        """The modules that judge an image of that size."""
        return self.last, *self.blocks[:level], *self.images[level - fades : level + 1]

    def forward(self, x: Tensor, level: int, alpha: float | None = None) -> Tensor:
        """Logits of images of the size of that number; alpha is the share of its own layers while they fade in."""
        features = self.images[level](x)
        for number in range(level, 0, -1):
            features = self.blocks[number - 1](features)
            if alpha is not None and number == level:
                features = faded(self.images[level - 1](halved(x)), features, alpha)
        logits: Tensor = self.last(features)
        return logits.squeeze(1)


def _judged(before: int, after: int) -> list[nn.Module]:
    return [EqualisedConv(before, after, 3), _rectifier()]
