"""Means and covariances that stream, and the Frechet distance of the Gaussians that have them, in double precision."""

import torch
from torch import Tensor


class Moments:
    """Mean and covariance of vectors that come some at a time; the memory is that of the covariance.

    What is summed are products of differences from the mean so far, so that vectors far from the origin lose no digits.

    Source: Chan, Golub and LeVeque 1979, Updating formulae and a pairwise algorithm for computing sample variances.

    Attributes:
        count: vectors so far.
        mean: [D] float64.
    """

    def __init__(self, size: int) -> None:
        self.count = 0
        self.mean = torch.zeros(size, dtype=torch.float64)
        self._scatter = torch.zeros(size, size, dtype=torch.float64)

    def add(self, x: Tensor) -> None:
        """Takes more vectors [N, D] into account."""
        if not len(x):
            return
        x = x.detach().double().cpu()
        mean, total = x.mean(0), self.count + len(x)
        centred, shift = x - mean, mean - self.mean
        self._scatter.addmm_(centred.mT, centred)
        self._scatter.addr_(shift, shift, alpha=self.count * len(x) / total)
        self.mean += shift * (len(x) / total)
        self.count = total

    @property
    def covariance(self) -> Tensor:
        """[D, D] float64, unbiased; needs two vectors."""
        return self._scatter / (self.count - 1)

    @property
    def variance(self) -> Tensor:
        """The trace of the covariance."""
        return self._scatter.trace() / (self.count - 1)


def frechet_distance(one: Moments, other: Moments) -> float:
    """The squared Frechet (2-Wasserstein) distance of two Gaussians, in squared units of the vectors.

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)). With C1 = R R', the product C1 C2 has the eigenvalues of the symmetric
    R' C2 R, whose roots are summed: they are real, and those that rounding made negative count as 0.

    Source: Dowson and Landau 1982, The Frechet distance between multivariate normal distributions; as a measure of
    generators Heusel et al. 2017, https://arxiv.org/abs/1706.08500
    """
    root = _root(one.covariance)
    product = root.mT @ (other.covariance @ root)
    shared = torch.linalg.eigvalsh(product).clamp(min=0).sqrt().sum()
    apart = (one.mean - other.mean).square().sum()
    return float(apart + one.variance + other.variance - 2 * shared)


def _root(covariance: Tensor) -> Tensor:
    """R [D, D] with R R' = C."""
    spread, axes = torch.linalg.eigh(covariance)
    root: Tensor = axes.mul_(spread.clamp(min=0).sqrt())  # in place: of 3,072 values a matrix takes 75 MB
    return root
