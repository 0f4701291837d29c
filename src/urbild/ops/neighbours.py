"""Nearest neighbours by brute force, in blocks: memory is bounded by the block, not by the number of pairs."""

from typing import NamedTuple

import torch
from torch import Tensor

ROWS, COLUMNS = 512, 4096  # of one block of distances: 8 MB in float32


class Neighbours(NamedTuple):
    """The k nearest stored vectors of each query, nearest first.

    Attributes:
        distance: [N, k] Euclidean.
        rows: [N, k] of the stored vectors.
    """

    distance: Tensor
    rows: Tensor


def nearest_neighbours(x: Tensor, stored: Tensor, k: int) -> Neighbours:
    """Finds the k stored vectors [M, D] nearest to each of x [N, D]; k is at most M.

    Candidates are ranked by |x|^2 - 2 x.s + |s|^2, which is fast but loses digits; the distances of the best few are
    then taken from differences, so that a stored vector is at distance 0 of itself and a row's result does not depend
    on its company.
    """
    candidates = min(len(stored), k + 8)
    found = [_exact(block, stored, _candidates(block, stored, candidates), k) for block in torch.split(x, ROWS)]
    if not found:
        return Neighbours(x.new_zeros(0, k), torch.zeros(0, k, dtype=torch.long, device=x.device))
    return Neighbours(*(torch.cat(part) for part in zip(*found, strict=True)))


def _candidates(x: Tensor, stored: Tensor, k: int) -> Tensor:
    """Rows [N, k] of the stored vectors that are nearest to x up to rounding."""
    origin = stored.mean(0)  # far from it, squares would swamp the differences between them
    x = x - origin
    best = x.new_full((len(x), 0), 0.0)
    index = torch.zeros(len(x), 0, dtype=torch.long, device=x.device)
    for start in range(0, len(stored), COLUMNS):
        block = stored[start : start + COLUMNS] - origin
        squares = block.square().sum(1) - 2 * x @ block.mT  # [N, M'], short of |x|^2, which ranks nothing
        best = torch.cat([best, squares], 1)
        rows = torch.arange(start, start + len(block), device=x.device).expand(len(x), -1)
        index = torch.cat([index, rows], 1)
        best, order = best.topk(min(k, best.shape[1]), dim=1, largest=False)
        index = index.gather(1, order)
    return index


def _exact(x: Tensor, stored: Tensor, index: Tensor, k: int) -> Neighbours:
    """The k nearest of the candidates [N, candidates]; ties go to the lower row."""
    index = index.sort(dim=1).values
    distances = [(x - stored[column]).square().sum(1) for column in index.unbind(1)]
    squares, order = torch.stack(distances, 1).sort(dim=1, stable=True)
    return Neighbours(squares[:, :k].sqrt(), index.gather(1, order)[:, :k])
