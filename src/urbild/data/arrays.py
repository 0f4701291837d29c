"""Arrays and tensors in memory or in .npy and .npz files: images or rows of numbers."""

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from urbild.data.records import Header, Reading, Records, RowNames, group_ids, name_labels, number_groups
from urbild.errors import DataError, ShapeError

if TYPE_CHECKING:
    from typing_extensions import Self

_BLOCK = 1 << 24


@dataclass(frozen=True, eq=False, kw_only=True)
class ArrayRecords(Records):
    """Samples that lie in one array: images [N, H, W, C] or rows of numbers [N, D].

    Attributes:
        values: the array; it may be mapped from a file.
        rows: which of its rows these samples are.
        masks: bool [N of the array, H, W] or None.
    """

    values: np.ndarray
    rows: np.ndarray
    masks: np.ndarray | None = None
    names: tuple[str, ...] = ()
    kind: Literal["image", "vector"] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", "image" if self.values.ndim == 4 else "vector")

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""
        if self.kind == "image":
            return ()
        return self.names or tuple(f"x{column}" for column in range(self.values.shape[1]))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of every sample."""
        return self.values.shape[1:]

    def read(self, row: int) -> np.ndarray:
        """The sample as it is stored."""
        return np.asarray(self.values[self.rows[row]])

    def header(self, row: int) -> Header:  # noqa: ARG002 -- all are alike
        """What every image is."""
        height, width, channels = self.values.shape[1:]
        return Header(height, width, channels, str(self.values.dtype))

    def headers(self, rows: np.ndarray) -> list[Header]:
        """What the images are."""
        return [self.header(0)] * len(rows)

    def mask(self, row: int) -> np.ndarray | None:
        """Where an image is abnormal, bool [H, W], if that is known."""
        return None if self.masks is None else self.masks[self.rows[row]]

    def block(self, rows: np.ndarray) -> np.ndarray:
        """The samples `rows` in one array."""
        found: np.ndarray = np.take(self.values, self.rows[rows], axis=0)
        return found

    def select(self, rows: Sequence[int] | np.ndarray) -> "Self":
        """The samples `rows`, in that order."""
        index = np.asarray(rows, dtype=np.int64)
        return replace(
            self,
            ids=self.ids.take(index) if isinstance(self.ids, RowNames) else [self.ids[row] for row in index],
            labels=None if self.labels is None else self.labels[index],
            groups=None if self.groups is None else self.groups[index],
            rows=self.rows[index],
        )

    @cached_property
    def checksum(self) -> str:
        """A digest of the bytes."""
        digest = blake2b(f"{self.values.dtype} {self.values.shape[1:]}".encode(), digest_size=8)
        for _, block in _blocks(self.values, self.rows):
            digest.update(np.ascontiguousarray(block).data)
        return digest.hexdigest()


def from_array(
    given: Any,
    *,
    y: Any = None,
    groups: Any = None,
    masks: np.ndarray | None = None,
    reading: Reading | None = None,
    origin: str = "array",
    torch_order: bool = False,
) -> ArrayRecords:
    """Records of an array [N, D], [N, H, W], [N, H, W, C] or [N, C, H, W].

    Of the last two, the axis with 1, 3 or 4 entries is C; where both or neither could be, numpy's order (C last) is
    taken, for tensors torch's (C first). Images of whole numbers from 0 to 255 are 8-bit, to 65535 16-bit, others are
    float32.

    Raises:
        DataError: no samples, no numbers, NaN or infinity (row and column named).
        ShapeError: not an array of 2, 3 or 4 axes.
    """
    reading = reading or Reading()
    values = _checked(given, origin)
    rows = np.arange(len(values))
    if values.dtype.kind == "f":
        _check_finite(values, rows, origin)
    if values.ndim > 2:
        values = _image_type(_channels_last(values, torch_order=torch_order))
    labels, classes = (None, ()) if y is None else name_labels(y, len(values), "y")
    ids = RowNames(range(len(values)))
    group = None if groups is None else number_groups(groups, len(values))
    if group is None and reading.group_by is not None:
        group = group_ids(ids, reading.group_by)
    return ArrayRecords(
        ids=ids,
        labels=labels,
        classes=classes,
        groups=group,
        origin=origin,
        normal=reading.normal,
        values=values,
        rows=rows,
        masks=masks,
        workers=0,
    )


def from_array_file(path: Path, *, y: Any, groups: Any, reading: Reading, origin: str) -> ArrayRecords:
    """Records of a .npy file (mapped, not read) or an .npz file with `x` or `X`, and perhaps `y` and `groups`.

    Raises:
        DataError: the file is damaged, holds Python objects, or lacks the array.
    """
    try:
        if path.suffix.lower() == ".npy":
            values = np.load(path, mmap_mode="r", allow_pickle=False)
        else:
            # Opened here, because a damaged archive is not closed by numpy.
            with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
                values, y, groups = _members(archive, path, y, groups)
    except (ValueError, EOFError, OSError, KeyError, zipfile.BadZipFile) as error:
        if "pickle" in str(error) or "Python objects" in str(error):
            msg = f"{path} holds Python objects, which are never unpickled; save plain numbers."
        elif path.stat().st_size == 0:
            msg = f"{path} is empty (zero bytes)."
        else:
            msg = f"{path} is corrupt or truncated ({str(error).splitlines()[0] if str(error) else 'unreadable'})."
        raise DataError(msg) from error
    return from_array(values, y=y, groups=groups, reading=reading, origin=origin)


def _checked(given: Any, origin: str) -> np.ndarray:
    """An array that can hold samples by its type and shape."""
    values = given if isinstance(given, np.ndarray) else np.asarray(given)
    if values.dtype.kind not in "biuf":
        msg = f"{origin} holds values of type {values.dtype}, not real numbers."
        raise DataError(msg)
    if values.ndim not in (2, 3, 4):
        msg = (
            f"{origin} has shape {values.shape}; wanted rows [N, D] or images [N, H, W], [N, H, W, C] or [N, C, H, W]."
        )
        raise ShapeError(msg)
    if 0 in values.shape:
        msg = f"{origin} has shape {values.shape}, which holds no sample; give at least two."
        raise DataError(msg)
    return values


def _members(archive: Mapping[str, np.ndarray], path: Path, y: Any, groups: Any) -> tuple[np.ndarray, Any, Any]:
    names = list(archive)
    wanted = next((name for name in ("x", "X", "data") if name in names), names[0] if len(names) == 1 else None)
    if wanted is None:
        msg = f"{path} holds {', '.join(names) or 'nothing'}, but no array 'x'; save the samples as x, and labels as y."
        raise DataError(msg)
    if y is None:
        y = next((archive[name] for name in ("y", "Y", "labels") if name in names), None)
    if groups is None and "groups" in names:
        groups = archive["groups"]
    return archive[wanted], y, groups


def _channels_last(values: np.ndarray, *, torch_order: bool) -> np.ndarray:
    if values.ndim == 3:
        return values[..., None]
    first, last = values.shape[1] in (1, 3, 4), values.shape[3] in (1, 3, 4)
    if (first and not last) or (torch_order and first == last):
        return np.moveaxis(values, 1, 3)
    return values


def _image_type(values: np.ndarray) -> np.ndarray:
    if values.dtype in (np.uint8, np.uint16, np.float32):
        return values
    if values.dtype.kind in "iu":
        low, high = values.min(), values.max()
        if low >= 0 and high <= 65535:
            return values.astype(np.uint8 if high <= 255 else np.uint16)
    return values.astype(np.float32)


def _blocks(values: np.ndarray, rows: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    step = max(1, _BLOCK // max(1, values[:1].nbytes))
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        yield part, values[part]


def _check_finite(values: np.ndarray, rows: np.ndarray, origin: str) -> None:
    for part, block in _blocks(values, rows):
        good = np.isfinite(block)
        if good.all():
            continue
        row, *place = np.argwhere(~good)[0].tolist()
        count = int((~good).reshape(len(block), -1).any(axis=1).sum())
        where = f"column {place[0]}" if len(place) == 1 else f"pixel {tuple(place)}"
        msg = (
            f"{origin} holds {block[(row, *place)]} in row {part[row]}, {where} (counted from 0), the first of {count} "
            "or more such rows; fill or drop them."
        )
        raise DataError(msg)
