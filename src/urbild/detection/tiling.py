"""Maps of images that are larger than a model's input: overlapping windows, blended without seams.

Windows of P x P cover the image; each is scored alone, and their maps are averaged with weights that fall smoothly to
(almost) zero at a window's border and sum to one at every pixel. A model whose map at a pixel depends on that pixel
alone therefore gives the same map with windows as without.
"""

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from urbild.contract import Anomaly
from urbild.errors import OptionError, ShapeError

MOST_OVERLAP = 0.9


def check_overlap(overlap: float) -> None:
    """Refuses an overlap that leaves gaps or never ends.

    Raises:
        OptionError: it is not between 0 and 0.9.
    """
    if not 0 <= overlap <= MOST_OVERLAP:
        msg = f"overlap is {overlap}, but the share of a window that the next one covers lies in 0 to {MOST_OVERLAP}."
        raise OptionError(msg)


def starts(length: int, patch: int, overlap: float) -> list[int]:
    """Where windows begin along a side of `length` >= `patch`: evenly spread, from border to border."""
    stride = max(1, int(patch * (1 - overlap)))
    gaps = math.ceil((length - patch) / stride)
    return [round(step * (length - patch) / gaps) for step in range(gaps + 1)] if gaps else [0]


def weights(length: int, patch: int, begins: list[int]) -> NDArray[np.float64]:
    """Blending weights [windows, patch] along one side; at every site the windows' weights sum to one."""
    bump = np.sin(np.pi * (np.arange(patch) + 0.5) / patch) ** 2
    total = np.zeros(length)
    for begin in begins:
        total[begin : begin + patch] += bump
    return np.stack([bump / total[begin : begin + patch] for begin in begins])


def stitch(
    score: Callable[[Tensor], Anomaly], image: Tensor, patch: int, *, overlap: float = 0.5, batch: int = 64
) -> tuple[float, NDArray[np.float32]]:
    """Scores an image by its windows.

    Args:
        score: scores windows [n, C, patch, patch].
        image: [C, H, W]; a side shorter than `patch` is extended by reflection.
        patch: side of a window.
        overlap: share of a window that the next one covers, 0 to 0.9.
        batch: windows scored at a time.

    Returns:
        The largest score of a window, and the blended map [H, W]. For a system without maps, a window's score stands at
        each of its sites.

    Raises:
        ShapeError: the image has no sites.
    """
    height, width = image.shape[1:]
    if not image.numel():
        msg = f"an image of shape {tuple(image.shape)} has nothing to score."
        raise ShapeError(msg)
    image = _extend(image, patch)
    rows, columns = (starts(side, patch, overlap) for side in image.shape[1:])
    down, across = weights(image.shape[1], patch, rows), weights(image.shape[2], patch, columns)
    blended = np.zeros(image.shape[1:])
    largest = -math.inf
    for places, scores, maps in _windows(score, image, patch, (rows, columns), batch):
        largest = max(largest, float(scores.max()))
        for (i, j), found in zip(places, maps, strict=True):
            site = np.s_[rows[i] : rows[i] + patch, columns[j] : columns[j] + patch]
            blended[site] += found * down[i][:, None] * across[j]
    return largest, blended[:height, :width].astype(np.float32)


def _windows(
    score: Callable[[Tensor], Anomaly], image: Tensor, patch: int, begins: tuple[list[int], list[int]], batch: int
) -> Iterator[tuple[list[tuple[int, int]], NDArray[np.float64], NDArray[np.float64]]]:
    """Places (row, column of the grid), scores [n] and maps [n, patch, patch] of the windows, some at a time."""
    rows, columns = begins
    grid = [(i, j) for i in range(len(rows)) for j in range(len(columns))]
    for first in range(0, len(grid), batch):
        places = grid[first : first + batch]
        windows = torch.stack(
            [image[:, rows[i] : rows[i] + patch, columns[j] : columns[j] + patch] for i, j in places]
        )  # [n, C, patch, patch]
        found = score(windows)
        scores = found.score.double().cpu().numpy()
        maps = np.broadcast_to(scores[:, None, None], (len(places), patch, patch))
        yield places, scores, maps if found.map is None else found.map.double().cpu().numpy()


def _extend(image: Tensor, patch: int) -> Tensor:
    """Reflects an image at its lower and right border until no side is shorter than a window."""
    short = [max(0, patch - side) for side in image.shape[1:]]
    if not any(short):
        return image
    # NumPy reflects as often as it must; torch only once
    return torch.from_numpy(np.pad(image.cpu().numpy(), [(0, 0), (0, short[0]), (0, short[1])], mode="symmetric"))
