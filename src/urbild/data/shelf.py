"""Where decoded images are kept between epochs: in one array, one by one, or not at all."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from urbild.data.pixels import Encoded, Pixels
from urbild.data.records import Records

Images = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Raw values [N, C, H, W], shifts [N], scales [N]."""


class Shelf(Protocol):
    """Holds encoded images by their number."""

    @property
    def full(self) -> bool:
        """Whether every image is held."""
        ...

    def __contains__(self, image: int) -> bool: ...

    def put(self, image: int, encoded: Encoded) -> None:
        """Keeps an image, if this shelf keeps any."""
        ...

    def get(self, image: int) -> Encoded:
        """An image that is held."""
        ...

    def take(self, images: np.ndarray, found: Mapping[int, Encoded]) -> Images:
        """Copies of several images of one size, each held here or in `found`."""
        ...


class NoShelf:
    """Keeps nothing: what does not fit in memory is decoded every time."""

    full = False

    def __contains__(self, image: int) -> bool:
        return False

    def put(self, image: int, encoded: Encoded) -> None:
        """Keeps nothing."""

    def get(self, image: int) -> Encoded:
        """Never asked for, since nothing is held."""
        raise KeyError(image)

    def take(self, images: np.ndarray, found: Mapping[int, Encoded]) -> Images:
        """Copies of images in `found`."""
        return stacked([found[image] for image in images.tolist()])


class LooseShelf(dict[int, Encoded]):
    """Keeps images of any size, one by one."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self._count = count

    @property
    def full(self) -> bool:
        """Whether every image is held."""
        return len(self) == self._count

    def put(self, image: int, encoded: Encoded) -> None:
        """Keeps an image."""
        self[image] = encoded

    def get(self, image: int) -> Encoded:  # type: ignore[override]
        """An image that is held."""
        return self[image]

    def take(self, images: np.ndarray, found: Mapping[int, Encoded]) -> Images:  # noqa: ARG002 -- all are held
        """Copies of several images of one size."""
        return stacked([self[image] for image in images.tolist()])


class Tray:
    """Keeps images of one size in one array, so that a batch is one copy."""

    def __init__(self, count: int, shape: tuple[int, ...], dtype: str) -> None:
        # Pages of an empty array cost memory only once they are written.
        self._values = np.empty((count, *shape), dtype=dtype)
        self._shift = np.zeros(count, dtype=np.float32)
        self._scale = np.ones(count, dtype=np.float32)
        self._held = np.zeros(count, dtype=bool)
        self._left = count

    @property
    def full(self) -> bool:
        """Whether every image is held."""
        return self._left == 0

    def __contains__(self, image: int) -> bool:
        return bool(self._held[image])

    def put(self, image: int, encoded: Encoded) -> None:
        """Keeps an image."""
        self._values[image], self._shift[image], self._scale[image] = encoded
        self._left -= not self._held[image]
        self._held[image] = True

    def fill(self, values: np.ndarray, shift: np.float32, scale: np.float32) -> None:
        """Keeps all images at once, values [N, C, H, W]."""
        self._values, self._left = values, 0
        self._shift[:], self._scale[:], self._held[:] = shift, scale, True

    def get(self, image: int) -> Encoded:
        """An image that is held."""
        return Encoded(self._values[image], self._shift[image], self._scale[image])

    def take(self, images: np.ndarray, found: Mapping[int, Encoded]) -> Images:  # noqa: ARG002 -- all are held
        """Copies of several images."""
        return np.take(self._values, images, axis=0), self._shift[images], self._scale[images]


def make_shelf(records: Records, rows: np.ndarray, pixels: Pixels, memory: int) -> Shelf:
    """A shelf that holds all images, if that costs at most `memory` bytes; else one that holds none."""
    item = np.dtype(pixels.dtype).itemsize
    if pixels.size is None:
        sizes = [records.size(row) for row in rows.tolist()] if memory else []
        cost = pixels.channels * item * sum(height * width for height, width in sizes)
        return LooseShelf(len(rows)) if cost <= memory and memory else NoShelf()
    shape = (pixels.channels, *pixels.size)
    if item * len(rows) * int(np.prod(shape)) > memory:
        return NoShelf()
    tray = Tray(len(rows), shape, pixels.dtype)
    whole = (*pixels.size, pixels.channels)
    if records.shape == whole and pixels.normalise == "none" and records.header(0).dtype == pixels.dtype:
        block = records.block(rows)
        assert block is not None
        low, high = np.float32(pixels.low), np.float32(pixels.high - pixels.low)
        tray.fill(np.ascontiguousarray(np.moveaxis(block, 3, 1)), low, high)
    return tray


def stacked(encoded: Sequence[Encoded]) -> Images:
    """Several images of one size in one array."""
    return np.stack([image.values for image in encoded]), *scalings(encoded)


def scalings(encoded: Sequence[Encoded]) -> tuple[np.ndarray, np.ndarray]:
    """Shifts [N] and scales [N]."""
    return np.stack([image.shift for image in encoded]), np.stack([image.scale for image in encoded])
