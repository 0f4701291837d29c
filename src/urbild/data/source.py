"""Prepared samples: decoded in worker processes, kept in memory where they fit, else read every time."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain

import numpy as np
import torch
from torch import Tensor

from urbild.contract import Batch, DataSpec, Source
from urbild.data.columns import Columns
from urbild.data.keys import below
from urbild.data.pixels import Encoded, Pixels
from urbild.data.records import Records
from urbild.data.shelf import make_shelf, scalings
from urbild.data.workers import choose_workers, in_order

Request = tuple[int, Sequence[int]]


class TableSource(Source):
    """Rows of a table, prepared at once if they fit in memory, else batch by batch."""

    def __init__(self, records: Records, rows: np.ndarray, columns: Columns, spec: DataSpec, *, memory: int) -> None:
        self.spec = spec
        self.labels = None if records.labels is None else records.labels[rows]
        self._records, self._rows, self._columns = records, rows, columns
        fits = 4 * spec.size * len(rows) <= memory
        self._table = columns.transform(records, rows) if fits else None

    def __len__(self) -> int:
        return len(self._rows)

    def fetch(self, rows: Sequence[int], *, epoch: int = 0) -> Batch:  # noqa: ARG002 -- no random views
        """The prepared rows."""
        at = np.asarray(rows, dtype=np.int64)
        if self._table is None:
            x = self._columns.transform(self._records, self._rows[at])
        else:
            x = np.take(self._table, at, axis=0)
        return _batch(torch.from_numpy(x), self._rows[at], self.labels, at)


class ImageSource(Source):
    """Images at one size, or random crops of images of any size."""

    def __init__(
        self,
        records: Records,
        rows: np.ndarray,
        pixels: Pixels,
        spec: DataSpec,
        *,
        crops: int,
        seed: int,
        workers: int | None,
        memory: int,
    ) -> None:
        self.spec = spec
        self._records, self._rows, self._pixels = records, rows, pixels
        self._crops, self._seed = crops, seed
        labels = None if records.labels is None else records.labels[rows]
        self.labels = labels if labels is None or not crops else np.repeat(labels, crops)
        wanted = records.workers if workers is None else workers
        self._workers = choose_workers(wanted, len(rows))
        self._shelf = make_shelf(records, rows, pixels, memory)

    def __len__(self) -> int:
        return len(self._rows) * max(1, self._crops)

    def fetch(self, rows: Sequence[int], *, epoch: int = 0) -> Batch:
        """The images, or crops of them, at `rows`; decodes in this process what is not kept."""
        at = np.asarray(rows, dtype=np.int64)
        found = _encode(self._records, self._rows, self._pixels, self._missing(at))
        return self._assemble(at, epoch, found)

    def stream(self, plan: Iterable[Request]) -> Iterator[Batch]:
        """A batch for each request, in order; decoded in worker processes until all images are kept."""
        requests = iter(plan)
        if self._workers and not self._shelf.full:
            ahead: deque[Request] = deque()
            # Not a method: what goes to the workers must not carry the images that are kept here.
            work = partial(_encode, self._records, self._rows, self._pixels)
            for found in in_order(work, _noted(requests, ahead, self._missing), self._workers):
                epoch, rows = ahead.popleft()
                yield self._assemble(np.asarray(rows, dtype=np.int64), epoch, found)
                if self._shelf.full:
                    break
            requests = chain(ahead, requests)
        for epoch, rows in requests:
            yield self.fetch(rows, epoch=epoch)

    def _images(self, at: np.ndarray) -> np.ndarray:
        return at // self._crops if self._crops else at

    def _missing(self, at: np.ndarray) -> list[int]:
        if self._shelf.full:
            return []
        return [image for image in np.unique(self._images(at)).tolist() if image not in self._shelf]

    def _assemble(self, at: np.ndarray, epoch: int, found: dict[int, Encoded]) -> Batch:
        for image, encoded in found.items():
            self._shelf.put(image, encoded)
        images = self._images(at)
        values, shift, scale = self._shelf.take(images, found) if not self._crops else self._cut(at, epoch, found)
        x = self._pixels.prepare(values, shift, scale)
        index = self._rows[images]
        return _batch(x, index * self._crops + at % self._crops if self._crops else index, self.labels, at)

    def _cut(self, at: np.ndarray, epoch: int, found: dict[int, Encoded]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Crops whose place depends on the seed, the epoch, the row of the records and the number of the crop alone."""
        side = self._pixels.patch
        assert side is not None
        encoded = [found[image] if image in found else self._shelf.get(image) for image in self._images(at).tolist()]
        room = np.asarray([image.values.shape[1:] for image in encoded]) - side + 1
        keys = (self._rows[self._images(at)], at % self._crops)
        tops, lefts = (below(room[:, axis], self._seed, epoch, *keys, axis).tolist() for axis in (0, 1))
        values = np.stack(
            [
                image.values[:, top : top + side, left : left + side]
                for image, top, left in zip(encoded, tops, lefts, strict=True)
            ]
        )
        return values, *scalings(encoded)


def _encode(records: Records, rows: np.ndarray, pixels: Pixels, images: list[int]) -> dict[int, Encoded]:
    return {image: pixels.encode(records, int(rows[image])) for image in images}


def _noted(
    requests: Iterator[Request], ahead: deque[Request], missing: Callable[[np.ndarray], list[int]]
) -> Iterator[list[int]]:
    """The images to decode for each request; the requests that were taken are noted in `ahead`."""
    for request in requests:
        ahead.append(request)
        yield missing(np.asarray(request[1], dtype=np.int64))


def _batch(x: Tensor, index: np.ndarray, labels: np.ndarray | None, at: np.ndarray) -> Batch:
    return Batch(
        x=x, index=torch.from_numpy(index), y=None if labels is None else torch.from_numpy(labels[at].astype(np.int64))
    )
