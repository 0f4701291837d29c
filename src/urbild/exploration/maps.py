"""Codes in two dimensions."""

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from urbild.errors import DataError

Method: TypeAlias = Literal["pca", "tsne"]

_LEAST = 5  # codes; t-SNE has no neighbourhoods below


@dataclass(frozen=True, slots=True, kw_only=True)
class Map2d:
    """Where codes lie in the plane.

    Attributes:
        points: [N, 2].
        label: how they came there, in words.
        explained: share of the codes' variance that the plane has, of "pca".
    """

    points: NDArray[np.float64]
    label: str
    explained: float | None = None


def map2d(codes: Tensor, *, method: Method = "pca", seed: int = 0) -> Map2d:
    """Brings codes into the plane.

    Codes that are symbols (integers) are compared by the share of places in which they differ: "pca" is then the
    classical scaling of these distances, which is the PCA of symbols written one-hot.

    Args:
        codes: [N, *code], numbers or symbols.
        method: "pca", the plane of largest variance, or "tsne", which keeps neighbours together; distances between its
            groups, and their sizes, mean nothing.
        seed: of t-SNE.

    Raises:
        DataError: there are fewer than 5 codes, or all are the same.
    """
    flat = codes.detach().flatten(1).cpu()
    if len(flat) < _LEAST:
        msg = f"a map needs at least {_LEAST} codes, and there are {len(flat)}; give more samples."
        raise DataError(msg)
    if bool((flat == flat[:1]).all()):
        msg = f"all {len(flat)} codes are the same, so there is nothing to map; the model tells no sample from another."
        raise DataError(msg)
    symbols = not flat.is_floating_point()
    what = "symbols" if symbols else "codes"
    if method == "tsne":
        points = _tsne(_differing(flat) if symbols else flat.double().numpy(), seed, distances=symbols)
        return Map2d(points=points, label=f"t-SNE of {what}, seed {seed}")
    points, explained = _scaled(_differing(flat)) if symbols else _plane(flat.double().numpy())
    return Map2d(points=points, label=f"PCA of {what}, {100 * explained:.0f} % of the variance", explained=explained)


def _plane(codes: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Points on the plane of largest variance, and its share of it."""
    from sklearn.decomposition import PCA

    fit = PCA(n_components=min(2, *codes.shape), svd_solver="full").fit(codes)
    return _two(fit.transform(codes)), float(fit.explained_variance_ratio_.sum())


def _tsne(codes: NDArray[np.float64], seed: int, *, distances: bool) -> NDArray[np.float64]:
    """t-SNE of codes [N, Z], or of distances [N, N]."""
    from sklearn.manifold import TSNE

    few = distances or min(codes.shape) < 2
    how: dict[str, Any] = {"metric": "precomputed"} if distances else {}
    fit = TSNE(
        perplexity=min(30.0, (len(codes) - 1) / 3),
        init="random" if few else "pca",
        learning_rate="auto",
        random_state=seed,
        **how,
    )
    points: NDArray[np.float64] = fit.fit_transform(codes).astype(np.float64)
    return points


def _differing(symbols: Tensor) -> NDArray[np.float64]:
    """The share [N, N] of places in which symbols [N, P] differ."""
    equal = torch.zeros(len(symbols), len(symbols), dtype=torch.float64)
    for place in symbols.unbind(1):
        equal += place[:, None] == place[None]
    shares: NDArray[np.float64] = (1 - equal / symbols.shape[1]).numpy()
    return shares


def _scaled(distances: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Classical scaling: points whose squared distances come nearest to the given ones, and their share of them."""
    centred = distances - distances.mean(0)
    centred = -(centred - centred.mean(1, keepdims=True)) / 2  # the Gram matrix of centred one-hot symbols
    values, vectors = np.linalg.eigh(centred)
    values, vectors = values[::-1][:2], vectors[:, ::-1][:, :2]
    points = vectors * np.sqrt(values.clip(min=0))
    peaks = points[np.abs(points).argmax(0), np.arange(points.shape[1])]
    points = points * np.where(peaks < 0, -1.0, 1.0)
    return _two(points), float(values.clip(min=0).sum() / np.trace(centred))


def _two(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points [N, 1] get a second coordinate of 0."""
    return np.pad(points, ((0, 0), (0, 2 - points.shape[1])))
