"""Sets of vectors as unions of balls to the k-th neighbour, in blocks: memory is bounded by the block."""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

ROWS, COLUMNS = 512, 4096  # of one block of distances: 16 MB in float64


class Rows(Protocol):
    """Vectors [N, D] that can be read by slices: a tensor, or a file of them."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice, /) -> Tensor: ...


class Held(NamedTuple):
    """How vectors lie in balls.

    Attributes:
        balls: [N] int64, how many hold each vector.
        used: [M] bool, whether a ball holds any vector.
    """

    balls: Tensor
    used: Tensor


def neighbour_distances(x: Rows, k: int) -> Tensor:
    """Squared distances [N, k] of each vector to its k nearest others, ascending; k is below N."""
    found = []
    for _, block in _blocks(x, ROWS):
        best = block.new_full((len(block), 0), 0.0)
        for _, others in _blocks(x, COLUMNS):
            best = torch.cat([best, _squares(block, others)], 1)
            best = best.topk(min(k + 1, best.shape[1]), dim=1, largest=False).values
        found.append(best[:, 1:])  # the nearest is the vector itself
    return torch.cat(found)


def held(x: Rows, centres: Rows, squares: Tensor) -> Held:
    """Finds which balls hold which vectors.

    Args:
        x: [N, D].
        centres: [M, D] of the balls.
        squares: [M] of their radii.
    """
    count = torch.zeros(len(x), dtype=torch.int64)
    used = torch.zeros(len(centres), dtype=torch.bool)
    for row, block in _blocks(x, ROWS):
        for column, some in _blocks(centres, COLUMNS):
            rows, columns = slice(row, row + len(block)), slice(column, column + len(some))
            inside = _squares(block, some) <= squares[columns]
            count[rows] += inside.sum(1)
            used[columns] |= inside.any(0)
    return Held(count, used)


def _blocks(x: Rows, size: int) -> Iterator[tuple[int, Tensor]]:
    for start in range(0, len(x), size):
        yield start, x[start : start + size].double()


def _squares(x: Tensor, y: Tensor) -> Tensor:
    """Squared distances [N, M] in double precision, in which the products' rounding is far below any radius."""
    return (x.square().sum(1)[:, None] + y.square().sum(1) - 2 * x @ y.mT).clamp(min=0)
