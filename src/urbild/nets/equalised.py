"""Layers of networks that grow: scaled weights, norms of a pixel, a batch's deviation, and the fade between two sizes.

Karras, Aila, Laine and Lehtinen 2017, Progressive Growing of GANs for Improved Quality, Stability, and Variation,
https://arxiv.org/abs/1710.10196 (sections 2 to 4)
"""

from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn import functional

from urbild.ops.precision import full

RECTIFIED = sqrt(2)  # He's gain of a layer that a rectifier follows
SMALLEST = 1e-8
GROUP = 4


class EqualisedLinear(nn.Module):
    """A linear layer whose weights are drawn from N(0, 1) and multiplied by gain / sqrt(inputs) when it is used.

    So all layers' weights have the same spread, and an optimiser that normalises gradients moves all at the same rate.

    Args:
        before: inputs.
        after: outputs.
        gain: standard deviation of an output for inputs of mean square 1.
    """

    def __init__(self, before: int, after: int, *, gain: float = RECTIFIED) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(after, before))
        self.bias = nn.Parameter(torch.zeros(after))
        self.scale = gain / sqrt(before)

    def forward(self, x: Tensor) -> Tensor:
        """Takes [N, before] to [N, after]."""
        return functional.linear(x, self.scale * self.weight, self.bias)


class EqualisedConv(nn.Module):
    """A convolution that keeps the size, with weights as `EqualisedLinear` has them.

    Args:
        before: channels of the input.
        after: channels of the output.
        kernel: its odd side.
        gain: standard deviation of an output for inputs of mean square 1.
    """

    def __init__(self, before: int, after: int, kernel: int, *, gain: float = RECTIFIED) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(after, before, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(after))
        self.scale, self.padding = gain / (kernel * sqrt(before)), kernel // 2

    def forward(self, x: Tensor) -> Tensor:
        """Takes [N, before, H, W] to [N, after, H, W]."""
        return functional.conv2d(x, self.scale * self.weight, self.bias, padding=self.padding)


def pixel_norm(x: Tensor) -> Tensor:
    """Gives each pixel of [N, C, ...] a mean square of 1 over its channels.

    Source: section 4.2.
    """
    norm: Tensor = torch.linalg.vector_norm(x, dim=1, keepdim=True, dtype=torch.promote_types(x.dtype, torch.float32))
    return x * (norm.square() / x.shape[1] + SMALLEST).rsqrt().to(x.dtype)


class PixelNorm(nn.Module):
    """`pixel_norm` as a layer."""

    def forward(self, x: Tensor) -> Tensor:
        """Keeps the shape."""
        return pixel_norm(x)


def minibatch_deviation(x: Tensor, group: int = GROUP) -> Tensor:
    """The deviation of each sample's group, [N]: of every entry of [N, ...] over the group, as a mean over entries.

    Groups are as equal as can be and at most of that size: M of them take samples in turn, so that sample i is in group
    i mod M; one that lacks a sample takes the first of the batch that is due.

    Source: section 3, in the authors' form with groups.
    """
    count = len(x)
    groups = -(-count // group)
    size = -(-count // groups)
    flat = full(x).flatten(1)
    if groups * size != count:
        flat = flat[torch.arange(groups * size, device=x.device) % count]
    flat = flat.reshape(size, groups, -1)
    deviation = ((flat - flat.mean(0)).square().mean(0) + SMALLEST).sqrt().mean(1)  # [M]
    return deviation[torch.arange(count, device=x.device) % groups]


class MinibatchDeviation(nn.Module):
    """Shows a critic how much the samples of a group differ, as one more constant map."""

    def forward(self, x: Tensor) -> Tensor:
        """Takes [N, C, H, W] to [N, C + 1, H, W]."""
        deviation = minibatch_deviation(x).to(x.dtype)[:, None, None, None]
        return torch.cat([x, deviation.expand(-1, 1, *x.shape[2:])], dim=1)


def doubled(x: Tensor) -> Tensor:
    """Images [N, C, H, W] at twice the size, each pixel four times."""
    return functional.interpolate(x, scale_factor=2, mode="nearest")


def halved(x: Tensor, times: int = 1) -> Tensor:
    """Images [N, C, H, W] halved so many times, by means over squares of pixels."""
    return functional.avg_pool2d(x, 2**times) if times else x


class Doubled(nn.Module):
    """`doubled` as a layer."""

    def forward(self, x: Tensor) -> Tensor:
        """Takes [N, C, H, W] to [N, C, 2 H, 2 W]."""
        return doubled(x)


def faded(old: Tensor, new: Tensor, alpha: float) -> Tensor:
    """(1 - alpha) old + alpha new.

    Source: figure 2.
    """
    return torch.lerp(old, new, alpha)
