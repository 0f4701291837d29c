"""A source whose samples are drawn from another by weight."""

# ruff: noqa: D102 -- the methods are documented in the contract

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from urbild.contract import Batch, Source
from urbild.ops.reweighting import systematic_rows

GOLDEN = (5**0.5 - 1) / 2  # its multiples, short of whole numbers, are spread evenly however many are taken


class Weighted(Source):
    """As many samples as a source has, drawn from it by weight, anew in each epoch.

    Drawing instead of weighing losses suits every game: batch statistics, packs and penalties see the weighted law
    without knowing of weights, and samples of weight 0 cost nothing. A sample is drawn as often as its weight says,
    rounded up or down; under equal weights each is drawn once, in its own place.

    Args:
        source: of all samples.
        weights: [N], which need not sum to 1; empty for equal ones.
    """

    def __init__(self, source: Source, weights: Tensor) -> None:
        self.spec, self._source = source.spec, source
        self._weights = weights.detach().cpu().double() if len(weights) else torch.ones(len(source)).double()
        assert len(self._weights) == len(source)
        self._drawn: tuple[int, np.ndarray] = (-1, np.empty(0, np.int64))
        self.labels = None if source.labels is None else source.labels[self.rows(0)]

    def __len__(self) -> int:
        return len(self._source)

    def rows(self, epoch: int) -> np.ndarray:
        """Rows [N] of the source that stand in for its own in an epoch."""
        if self._drawn[0] != epoch:
            offset = ((epoch + 1) * GOLDEN) % 1.0
            self._drawn = (epoch, systematic_rows(self._weights, offset).numpy())
        return self._drawn[1]

    def fetch(self, rows: Sequence[int], *, epoch: int = 0) -> Batch:
        return self._source.fetch(self._own(epoch, rows), epoch=epoch)

    def stream(self, plan: Iterable[tuple[int, Sequence[int]]]) -> Iterator[Batch]:
        return self._source.stream((epoch, self._own(epoch, rows)) for epoch, rows in plan)

    def _own(self, epoch: int, rows: Sequence[int]) -> list[int]:
        found: list[int] = self.rows(epoch)[np.asarray(rows, dtype=np.int64)].tolist()
        return found
