"""Sliced Wasserstein distances: of vectors, and of patches of Laplacian pyramids."""

from math import prod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from urbild.ops.balls import Rows

DIRECTIONS = 512
AT_ONCE = 64  # directions, so that projections of 100,000 vectors take 26 MB
SMALLEST_SIDE = 16
PATCH, PATCHES = 7, 128  # side in pixels, and patches an image
BLOCK = 4096


def directions(size: int, count: int = DIRECTIONS, *, generator: torch.Generator | None = None) -> Tensor:
    """Unit vectors [D, count], uniform on the sphere."""
    return functional.normalize(torch.randn(size, count, generator=generator), dim=0)


def sliced_wasserstein(x: Rows, y: Rows, along: Tensor) -> float:
    """The mean over directions [D, P] of the 1-Wasserstein distance of projections, in units of the vectors.

    Args:
        x: [N, D].
        y: [N, D]; as many, so that sorted projections meet.
        along: unit vectors.

    Source: Rabin et al. 2012, Wasserstein barycenter and its application to texture mixing.
    """
    assert len(x) == len(y)
    total = 0.0
    for some in torch.split(along, AT_ONCE, dim=1):
        one, other = (np.sort(_projected(rows, some), axis=1) for rows in (x, y))  # many times as fast as torch's
        total += float(np.abs(one - other).mean(1, dtype=np.float64).sum())
    return total / along.shape[1]


def _projected(x: Rows, along: Tensor) -> NDArray[np.float32]:
    blocks = [along.mT @ x[start : start + BLOCK].float().mT for start in range(0, len(x), BLOCK)]
    values: NDArray[np.float32] = torch.cat(blocks, dim=1).numpy()  # [P', N]: what is sorted lies side by side
    return values


def laplacian_pyramid(x: Tensor) -> list[Tensor]:
    """Band-pass images [N, C, H, W], the finest first and the low-pass last.

    Sides are halved while they are even and stay at 16 or more; a smaller image is its own only level.

    Source: Burt and Adelson 1983, The Laplacian pyramid as a compact image code.
    """
    levels = []
    while min(x.shape[2:]) >= 2 * SMALLEST_SIDE and not (x.shape[2] % 2 or x.shape[3] % 2):
        coarse = _smooth(x)[:, :, ::2, ::2]
        levels.append(x - _enlarged(coarse))
        x = coarse
    return [*levels, x]


def _smooth(x: Tensor) -> Tensor:
    """Binomial weights 1 4 6 4 1 along both sides, mirrored at the edges."""
    taps = x.new_tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
    kernel = (taps[:, None] * taps).expand(x.shape[1], 1, 5, 5)
    return functional.conv2d(functional.pad(x, (2, 2, 2, 2), mode="reflect"), kernel, groups=x.shape[1])


def _enlarged(x: Tensor) -> Tensor:
    sparse = x.new_zeros(*x.shape[:2], 2 * x.shape[2], 2 * x.shape[3])
    sparse[:, :, ::2, ::2] = 4 * x  # three of four pixels are 0
    return _smooth(sparse)


def patches(x: Tensor, count: int = PATCHES, *, generator: torch.Generator | None = None) -> Tensor:
    """Random 7 x 7 patches [N count, C, 7, 7] of images [N, C, H, W] of 7 pixels a side or more."""
    height, width = (side - PATCH + 1 for side in x.shape[2:])
    top = torch.randint(height, (len(x), count, 1, 1), generator=generator)
    left = torch.randint(width, (len(x), count, 1, 1), generator=generator)
    offset = torch.arange(PATCH)
    image = torch.arange(len(x))[:, None, None, None]
    found = x.movedim(1, -1)[image, top + offset[:, None], left + offset]  # [N, count, 7, 7, C]
    return found.flatten(0, 1).movedim(-1, 1)


def patch_distance(x: Tensor, y: Tensor, *, count: int = PATCHES, generator: torch.Generator | None = None) -> float:
    """The sliced Wasserstein distance of Laplacian patches, times 1000, the mean over levels.

    On each level every channel of the patches is standardised over the set, of x and of y separately, so that the
    distance is blind to brightness and contrast. The floor between two sets of one law falls as n^-1/2. A colour image
    costs 75 kB of memory for its patches.

    Args:
        x: images [N, C, H, W] of 7 pixels a side or more.
        y: as many of the same shape.
        count: patches an image.
        generator: of patches and directions.

    Source: Karras et al. 2018, https://arxiv.org/abs/1710.10196, section 5.
    """
    distances = []
    for one, other in zip(laplacian_pyramid(x.float()), laplacian_pyramid(y.float()), strict=True):
        sets = [_standardised(patches(level, count, generator=generator)) for level in (one, other)]
        along = directions(prod(sets[0].shape[1:]), generator=generator)
        distances.append(1000 * sliced_wasserstein(sets[0].flatten(1), sets[1].flatten(1), along))
    return sum(distances) / len(distances)


def _standardised(x: Tensor) -> Tensor:
    deviation, mean = torch.std_mean(x, dim=(0, 2, 3), keepdim=True)
    return (x - mean) / torch.where(deviation > 0, deviation, 1.0)  # a flat channel stays flat
