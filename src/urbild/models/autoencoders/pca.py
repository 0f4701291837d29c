"""Principal components: the linear subspace of the data, fitted streaming.

Pearson 1901, On lines and planes of closest fit to systems of points in space,
https://doi.org/10.1080/14786440109462720

    minimise  sum_n || x_n - m - V' V (x_n - m) ||^2        V: orthonormal rows, m: the mean

The score is the mean squared residual of a sample, the map its square at each site. It is the floor that every
autoencoder is compared with: the best linear one has the same error (Baldi and Hornik 1989).

Up to 4,096 entries a sample, the covariance is summed in float64 in one pass and its leading eigenvectors are exact.
Beyond, orthogonal iteration on a random block (Halko, Martinsson and Tropp 2011, algorithm 4.4,
https://doi.org/10.1137/090771806) reads the data several times, until the variances of its Ritz vectors settle, and
keeps two matrices of entries by `components` + 10. Either way memory does not grow with the number of samples.

Components are clipped to the rank of the data. Their signs are fixed: the largest entry of each is positive.
"""
# ruff: noqa: ARG002, D102 -- the verbs are documented in the contract; `given` is not used here

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from scipy.linalg import eigh
from scipy.sparse.linalg import eigsh
from torch import Tensor

from urbild.contract import Anomaly, DataSpec, Decodes, Encodes, Model, Reconstructs, Scores, Source, Stage
from urbild.nets import stock
from urbild.ops.distances import mean_squared_error, site_error

EXACT = 4096  # entries of a sample up to which the covariance is formed: 134 MB in float64
DENSE = 1024  # entries up to which a dense eigensolver is the faster one
OVERSAMPLING = 10
PASSES = 30
SETTLED = 1e-7  # relative change of the variances at which the iteration ends


class Pca(Model, Encodes, Decodes, Reconstructs, Scores):
    """The subspace of largest variance.

    Args:
        spec: of the data.
        components: wanted; as many are kept as the data have.
        exact: entries of a sample up to which the covariance is formed.

    Attributes:
        mean: [D] of the data.
        directions: [K, D] orthonormal, of falling variance.
        variances: [K] of the data along them.
    """

    mean: Tensor
    directions: Tensor
    variances: Tensor

    def __init__(self, spec: DataSpec, *, components: int, exact: int = EXACT) -> None:
        super().__init__()
        self.spec = spec
        self.components, self.exact = min(components, spec.size), exact
        self.register_buffer("mean", torch.zeros(spec.size))
        self.register_buffer("directions", torch.zeros(self.components, spec.size))
        self.register_buffer("variances", torch.zeros(self.components))

    def stages(self) -> Sequence[Stage]:
        return (Stage(name="subspace", solve=self.solve),)

    def solve(self, source: Source) -> None:
        """Fits mean, directions and variances."""
        device = self.mean.device
        if self.spec.size <= self.exact:
            mean, covariance = _covariance(source, self.spec.size)
            variances, directions = _leading(covariance, self.components)
        else:
            mean, variances, directions = _iterate(source, self.spec.size, self.components)
        floor = variances.max(initial=0.0) * max(self.spec.size, len(source)) * np.finfo(np.float32).eps
        kept = variances > floor
        directions = directions[kept]
        peaks = directions[np.arange(len(directions)), np.abs(directions).argmax(1)]
        directions = directions * np.sign(peaks)[:, None]
        self.mean = torch.from_numpy(mean).float().to(device)
        self.directions = torch.from_numpy(directions).float().to(device)
        self.variances = torch.from_numpy(variances[kept]).float().to(device)

    def encode(self, x: Tensor, *, given: Tensor | None = None) -> Tensor:
        return (x.flatten(1) - self.mean) @ self.directions.mT  # [N, K]

    def _project(self, z: Tensor) -> Tensor:
        return torch.unflatten(z @ self.directions + self.mean, 1, self.spec.shape)  # [N, *shape]

    def decode(self, z: Tensor, *, given: Tensor | None = None) -> Tensor:
        x = self._project(z)
        return x.clamp(0, 1) if self.spec.kind == "image" else x

    def reconstruct(self, x: Tensor, *, given: Tensor | None = None) -> Tensor:
        return self.decode(self.encode(x))

    def anomaly(self, x: Tensor, *, given: Tensor | None = None) -> Anomaly:
        version = self._project(self.encode(x))  # a residual of the subspace, so not clipped to the range of the data
        return Anomaly(mean_squared_error(x, version), site_error(x, version))


def _blocks(source: Source) -> Iterator[np.ndarray]:
    for batch in source.batches():
        yield batch.x.flatten(1).double().cpu().numpy()  # [N, D]


def _covariance(source: Source, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean [D] and covariance [D, D] in one pass; sums are taken around the first block's mean, to keep digits."""
    origin, total, products, count = np.zeros(size), np.zeros(size), np.zeros((size, size)), 0
    for block in _blocks(source):
        if count == 0:
            origin = block.mean(0)
        shifted = block - origin
        total += shifted.sum(0)
        products += shifted.T @ shifted
        count += len(block)
    offset = total / count
    products /= count
    products -= np.outer(offset, offset)
    return origin + offset, products


def _leading(covariance: np.ndarray, wanted: int) -> tuple[np.ndarray, np.ndarray]:
    """Variances [K] and directions [K, D] of the largest eigenvalues, largest first."""
    size = len(covariance)
    if size <= DENSE or wanted > size // 4:
        values, vectors = eigh(covariance, subset_by_index=(size - wanted, size - 1))
    else:
        start = np.random.default_rng(0).standard_normal(size)
        values, vectors = eigsh(covariance, k=wanted, which="LA", v0=start)
    order = np.argsort(values)[::-1]
    return values[order], vectors.T[order]


def _iterate(source: Source, size: int, wanted: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean [D], variances [K] and directions [K, D] by orthogonal iteration; each round reads the data once."""
    mean, count = np.zeros(size), 0
    for block in _blocks(source):
        count += len(block)
        mean += (block - mean).sum(0) / count
    width = min(wanted + OVERSAMPLING, size, max(count - 1, 1))
    basis, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((size, width)))
    before = np.zeros(0)
    for _ in range(PASSES):
        image = np.zeros((size, width))
        for block in _blocks(source):
            centred = block - mean
            image += centred.T @ (centred @ basis)
        small = basis.T @ image / count  # the covariance within the basis: its Ritz values and vectors
        values, rotation = np.linalg.eigh((small + small.T) / 2)
        values, rotation = values[::-1][:wanted], rotation[:, ::-1][:, :wanted]
        if len(before) and np.abs(values - before).max() <= SETTLED * values[0]:
            break
        before = values
        directions = (basis @ rotation).T
        basis, _ = np.linalg.qr(image)
    return mean, values, directions


def pca(spec: DataSpec, *, components: int | None = None) -> Model:
    """Builds a linear subspace.

    Args:
        spec: of the data.
        components: dimensions of the subspace, clipped to the rank of the data; by default 30, and of a table at most
            half as many as it has columns: with all of them nothing would be left over to score by.

    Raises:
        OptionError: an option is out of range.
    """
    stock.check_sizes(components=components)
    most = max(1, spec.size // 2) if spec.kind == "vector" else spec.size
    return Pca(spec, components=components or min(30, most))
