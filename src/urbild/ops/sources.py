"""Sources made of others."""

# ruff: noqa: D102 -- the methods are documented in the contract

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from urbild.contract import Batch, Source


class Chosen(Source):
    """Some samples of a source.

    Args:
        source: of all samples.
        rows: [N] of those that are chosen.
    """

    def __init__(self, source: Source, rows: np.ndarray) -> None:
        self.spec, self.labels = source.spec, None if source.labels is None else source.labels[rows]
        self._source, self._rows = source, rows

    def __len__(self) -> int:
        return len(self._rows)

    def fetch(self, rows: Sequence[int], *, epoch: int = 0) -> Batch:
        return self._source.fetch(self._at(rows), epoch=epoch)

    def stream(self, plan: Iterable[tuple[int, Sequence[int]]]) -> Iterator[Batch]:
        return self._source.stream((epoch, self._at(rows)) for epoch, rows in plan)

    def _at(self, rows: Sequence[int]) -> list[int]:
        return self._rows[np.asarray(rows, dtype=np.int64)].tolist()  # type: ignore[no-any-return]
