"""Digits stacked as channels: a data set of as many modes as there are numbers of so many digits."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import blake2b
from typing import Literal

import numpy as np

from urbild.data.arrays import ArrayRecords
from urbild.data.fetched import idx
from urbild.data.keys import below
from urbild.data.records import Header, Reading, RowNames
from urbild.errors import DataError

COUNTS = {"train": 128_000, "test": 26_000}  # of Srivastava et al. 2017, https://arxiv.org/abs/1705.07761


@dataclass(frozen=True, eq=False, kw_only=True)
class StackedRecords(ArrayRecords):
    """Images [N, H, W, digits] whose channels are grey images of `values`; they are put together when they are read.

    Attributes:
        parts: [M, digits] which of the `values` each image is made of; `rows` number the M.
    """

    parts: np.ndarray
    kind: Literal["image", "vector"] = field(init=False, default="image")

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of every sample."""
        return (*self.values.shape[1:3], self.parts.shape[1])

    def read(self, row: int) -> np.ndarray:
        """The image [H, W, digits]."""
        found: np.ndarray = self.block(np.asarray([row]))[0]
        return found

    def header(self, row: int) -> Header:  # noqa: ARG002 -- all are alike
        """What every image is."""
        height, width, channels = self.shape
        return Header(height, width, channels, str(self.values.dtype))

    def block(self, rows: np.ndarray) -> np.ndarray:
        """The images `rows` in one array."""
        return np.moveaxis(self.values[self.parts[self.rows[rows]], ..., 0], 1, -1)

    @cached_property
    def checksum(self) -> str:
        """A digest of the digits and of how they are stacked."""
        digest = blake2b(np.ascontiguousarray(self.values).data, digest_size=8)
        digest.update(np.ascontiguousarray(self.parts[self.rows]).data)
        return digest.hexdigest()


def stack_digits(records: ArrayRecords, count: int, *, digits: int = 3, seed: int = 0) -> StackedRecords:
    """Draws `count` images of `digits` channels, each a random one of the labelled grey images in `records`.

    The label of an image is the number that its channels read, its class the number in words of so many digits.

    Raises:
        DataError: the images are not grey, or not all have labels.
    """
    if records.kind != "image" or records.shape[2] != 1 or records.labels is None or (records.labels < 0).any():
        msg = f"{records.origin} cannot be stacked: it takes grey images, and a label for each."
        raise DataError(msg)
    base, width = len(records.classes), len(str(len(records.classes) - 1))
    parts = below(len(records), seed, np.arange(count)[:, None], np.arange(digits))
    labels = (records.labels[parts] * base ** np.arange(digits)[::-1]).sum(1)
    names: tuple[str, ...] = ("",)
    for _ in range(digits):
        names = tuple(first + f"{digit:0{width}d}" for first in names for digit in range(base))
    return StackedRecords(
        ids=RowNames(range(count)),
        labels=labels,
        classes=names,
        origin=f"stacked_{records.origin}",
        workers=0,
        values=records.values,
        rows=np.arange(count),
        parts=records.rows[parts],
    )


def stacked_mnist(name: str, reading: Reading) -> StackedRecords:
    """MNIST stacked: `stacked_mnist` has three digits and 1,000 modes, `stacked_mnist/2` two and 100.

    The training part has 128,000 images of MNIST's training digits, the test part 26,000 of its test digits; "all" is
    the training part.
    """
    part: Literal["train", "test"] = "test" if reading.part == "test" else "train"
    digits = idx("mnist", replace(reading, part=part, group_by=None))
    made = stack_digits(digits, COUNTS[part], digits=2 if name.endswith("/2") else 3, seed=part == "test")
    return replace(made, origin=name, normal=reading.normal)
