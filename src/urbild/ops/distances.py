"""Distances between samples and their reconstructions."""

from torch import Tensor


def squared_error(x: Tensor, y: Tensor) -> Tensor:
    """Sum over all entries of (x - y)^2, in squared units of x: [N] from two tensors [N, ...]."""
    return (x - y).square().flatten(1).sum(1)


def mean_squared_error(x: Tensor, y: Tensor) -> Tensor:
    """Mean over all entries of (x - y)^2, in squared units of x: [N] from two tensors [N, ...]."""
    return (x - y).square().flatten(1).mean(1)


def mean_absolute_error(x: Tensor, y: Tensor) -> Tensor:
    """Mean over all entries of |x - y|, in units of x: [N] from two tensors [N, ...]."""
    return (x - y).abs().flatten(1).mean(1)


def site_error(x: Tensor, y: Tensor) -> Tensor:
    """The squared error at each site, in squared units of x.

    Args:
        x: vectors [N, D] or images [N, C, H, W].
        y: of the same shape.

    Returns:
        [N, D] or, as the mean over channels, [N, H, W]. Its mean over the sites is `mean_squared_error`.
    """
    error = (x - y).square()
    return error if error.dim() == 2 else error.mean(1)
