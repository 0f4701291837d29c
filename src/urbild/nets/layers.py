"""Normalisation and upsampling, by name."""

from math import gcd
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

from urbild.contract import DataSpec

Normalisation: TypeAlias = Literal["none", "batch", "group"]
Upsampling: TypeAlias = Literal["nearest", "bilinear", "transposed"]
Size: TypeAlias = tuple[int, int]


def image_size(spec: DataSpec) -> Size:
    """(H, W) of an image."""
    height, width = spec.sites
    return height, width


def normalise(kind: Normalisation, channels: int) -> nn.Module:
    """A layer that normalises [N, channels, ...]: over the batch, over groups of channels, or not at all."""
    match kind:
        case "none":
            return nn.Identity()
        case "batch":
            return nn.BatchNorm2d(channels)
        case "group":
            return nn.GroupNorm(gcd(8, channels), channels)


def halved(size: Size) -> Size:
    """The size after a convolution of stride 2 that keeps the border: half, rounded up."""
    return (size[0] + 1) // 2, (size[1] + 1) // 2


class Upsample(nn.Module):
    """Takes [N, before, *small] to exactly [N, after, *large], where `small` is `halved(large)`."""

    def __init__(self, before: int, after: int, large: Size, *, upsampling: Upsampling) -> None:
        super().__init__()
        self.large, self.upsampling = large, upsampling
        if upsampling == "transposed":
            # A kernel of 4 doubles a side exactly and covers its sites evenly; 3 gives the odd side below.
            kernel = (4 - large[0] % 2, 4 - large[1] % 2)
            self.convolution: nn.Module = nn.ConvTranspose2d(before, after, kernel, stride=2, padding=1)
        else:
            self.convolution = nn.Conv2d(before, after, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Maps [N, before, *small] to [N, after, *large]."""
        if self.upsampling == "nearest":
            x = functional.interpolate(x, size=self.large, mode="nearest")
        elif self.upsampling == "bilinear":
            x = functional.interpolate(x, size=self.large, mode="bilinear", align_corners=False)
        out: Tensor = self.convolution(x)  # [N, after, *large]
        return out


class Flatten(nn.Module):
    """Takes [N, C, H, W] to [N, C H W]."""

    def forward(self, x: Tensor) -> Tensor:
        """Flattens; the gradient goes back in the layout of `x`, else a rectifier before it is many times slower."""
        if x.requires_grad and x.is_contiguous(memory_format=torch.channels_last):
            x.register_hook(lambda gradient: gradient.contiguous(memory_format=torch.channels_last))  # type: ignore[no-untyped-call]
        return x.flatten(1)


class Unflatten(nn.Module):
    """Takes [N, C H W] to [N, C, H, W], in the layout that convolutions are fastest in."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        """Unflattens."""
        return torch.unflatten(x, 1, self.shape).contiguous(memory_format=torch.channels_last)
