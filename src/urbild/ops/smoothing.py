"""Smoothing of anomaly maps."""

from math import ceil

import torch
from torch import Tensor
from torch.nn import functional


def gaussian_blur(maps: Tensor, sigma: float) -> Tensor:
    """Maps [N, H, W] smoothed by a Gaussian of standard deviation `sigma` sites, cut at four of them.

    Values beyond the border are those at the border, so a constant map stays as it is, whatever its size.
    """
    if sigma <= 0:
        return maps
    radius = ceil(4 * sigma)
    offsets = torch.arange(-radius, radius + 1, dtype=maps.dtype, device=maps.device)
    kernel = torch.exp(-0.5 * (offsets / sigma).square())
    kernel = kernel / kernel.sum()
    rows = functional.pad(maps[:, None], (0, 0, radius, radius), mode="replicate")
    rows = functional.conv2d(rows, kernel[None, None, :, None])  # [N, 1, H, W]
    columns = functional.pad(rows, (radius, radius, 0, 0), mode="replicate")
    return functional.conv2d(columns, kernel[None, None, None, :])[:, 0]  # [N, H, W]
