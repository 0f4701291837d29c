"""What is decided on the training images: working size, channels and scale; and its use on every later image."""

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from urbild.data.images import resize
from urbild.data.records import Header, Records
from urbild.errors import OptionError, ShapeError

Normalise = Literal["none", "image"]

MOST_SIDE, KEPT_SIDE, MULTIPLE = 128, 64, 8
_DEPTHS = (1023, 4095, 16383, 65535)
_DEPTH_SAMPLES = 1000


class Encoded(NamedTuple):
    """An image at its working size, still in the numbers of its file: what is kept and sent between processes.

    Attributes:
        values: [C, H, W] uint8, uint16 or float32.
        shift: what is subtracted, float32.
        scale: what it is then divided by, float32.
    """

    values: np.ndarray
    shift: np.float32
    scale: np.float32


@dataclass(frozen=True, slots=True, kw_only=True)
class Pixels:
    """How images become samples in [0, 1].

    Attributes:
        size: working size (H, W), or None where images keep their own.
        channels: C.
        dtype: of the raw values.
        low: raw value that becomes 0.
        high: raw value that becomes 1.
        normalise: "image" gives every image mean 1/2 and standard deviation 1/8, cut at 0 and 1.
        patch: side of the square crops that are trained on, or None.
        shape: (H, W, C) of the training array, which later arrays must have, too; None for files.
    """

    size: tuple[int, int] | None
    channels: int
    dtype: str
    low: float
    high: float
    normalise: Normalise = "none"
    patch: int | None = None
    shape: tuple[int, ...] | None = None

    @classmethod
    def fit(
        cls,
        records: Records,
        rows: np.ndarray,
        *,
        size: int | tuple[int, int] | None,
        normalise: Normalise,
        patch: int | None,
    ) -> "Pixels":
        """Chooses from the headers of the images, and from their values where their range is not known.

        Raises:
            DataError: a header is unreadable.
            ShapeError: an image is smaller than the patch, or the numbers of channels do not go together.
            OptionError: an option is out of range.
        """
        headers = records.headers(rows)
        if normalise not in ("none", "image"):
            msg = f"normalise={normalise!r} is unknown; known: none, image."
            raise OptionError(msg)
        working = _checked_size(size) if size is not None else (None if patch else _working_size(headers))
        channels = _channels(headers, records, rows)
        kinds = {header.dtype for header in headers}
        dtype = kinds.pop() if len(kinds) == 1 else "float32"
        draft = cls(
            size=working,
            channels=channels,
            dtype=dtype,
            low=0.0,
            high=255.0,
            normalise=normalise,
            patch=_checked_patch(patch, working, headers, records, rows),
            shape=records.shape,
        )
        low, high = _range(records, rows, dtype, {header.dtype for header in headers})
        return replace(draft, low=low, high=high)

    @property
    def sample(self) -> tuple[int, int, int]:
        """Shape (C, H, W) of a training sample."""
        if self.patch is not None:
            return (self.channels, self.patch, self.patch)
        assert self.size is not None
        return (self.channels, *self.size)

    @property
    def levels(self) -> int | None:
        """Distinct values of a channel, where they are known and kept."""
        return int(self.high) + 1 if self.dtype != "float32" and self.normalise == "none" else None

    def check(self, records: Records) -> None:
        """Raises a ShapeError for an array of another shape or type than the training array."""
        if records.shape is None:
            return
        if self.shape is not None and records.shape != self.shape:
            msg = f"{records.origin} holds images of shape {records.shape}, but the training images had {self.shape}."
            raise ShapeError(msg)
        self._check_type(str(records.header(0).dtype), records.origin)

    def _check_type(self, dtype: str, name: str) -> None:
        if self.dtype not in ("float32", dtype):
            msg = f"{name} has {dtype} values, but the training images had {self.dtype}; convert it, or train on both."
            raise ShapeError(msg)

    def encode(self, records: Records, row: int) -> Encoded:
        """The image `row` at its working size.

        Raises:
            DataError: it is unreadable.
            ShapeError: its channels or depth do not fit, or it is smaller than the patch.
        """
        name = records.ids[row]
        image = records.read(row)
        self._check_type(str(image.dtype), name)
        image = _fit_channels(image, self.channels, name)
        if self.dtype == "float32" and image.dtype != np.float32:
            image = _unit(image)
        if self.size is not None:
            image = resize(image, self.size)
        if self.patch is not None and min(image.shape[:2]) < self.patch:
            raise ShapeError(_too_small(name, image.shape[0], image.shape[1], self.patch))
        shift, scale = self._scaling(image)
        return Encoded(np.ascontiguousarray(np.moveaxis(image, 2, 0)), shift, scale)

    def _scaling(self, image: np.ndarray) -> tuple[np.float32, np.float32]:
        if self.normalise == "none":
            return np.float32(self.low), np.float32(self.high - self.low)
        # Sums of whole numbers are exact in float64, so the result is the same in any order of summing.
        values = image.astype(np.float64).reshape(-1)
        mean = values.sum() / values.size
        deviation = np.sqrt(max(0.0, float(np.square(values).sum() / values.size - mean * mean)))
        return np.float32(mean), np.float32(8 * deviation if deviation > 1e-6 * (self.high - self.low) else 1.0)

    def prepare(self, values: np.ndarray, shift: np.ndarray, scale: np.ndarray) -> Tensor:
        """Samples [N, C, H, W] in [0, 1] from raw values of that shape (overwritten), and shifts and scales [N]."""
        x = torch.from_numpy(values).to(torch.float32)
        if self.normalise == "none" and self.dtype != "float32" and self.low == 0:
            return x.div_(float(scale[0])).clamp_(max=1.0) if self.dtype == "uint16" else x.div_(float(scale[0]))
        wide = (-1, 1, 1, 1)
        x = x.sub_(torch.from_numpy(shift).reshape(wide)).div_(torch.from_numpy(scale).reshape(wide))
        return (x.add_(0.5) if self.normalise == "image" else x).clamp_(0.0, 1.0)

    def restore(self, x: Tensor) -> np.ndarray:
        """Images [N, H, W, C] uint8 of samples [N, C, H, W] in [0, 1]."""
        return x.detach().cpu().float().clamp(0, 1).mul(255).round().to(torch.uint8).movedim(1, -1).numpy()

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Pixels":
        """What `to_json` wrote."""
        pairs = {name: None if data[name] is None else tuple(data[name]) for name in ("size", "shape")}
        return cls(**{**data, **pairs})


def _working_size(headers: list[Header]) -> tuple[int, int]:
    """The working size of images whose user chose none.

    Images of one size up to 64 px keep it. Others get the median height and width, shrunk so that the longer side is at
    most 128, with an aspect of at most 2 to 1, in multiples of 8.
    """
    sizes = np.asarray([(header.height, header.width) for header in headers])
    height, width = (int(side) for side in np.median(sizes, axis=0))
    if (sizes == sizes[0]).all() and max(height, width) <= KEPT_SIDE:
        return height, width
    longer = min(MOST_SIDE, max(height, width))
    ratio = max(0.5, min(height, width) / max(height, width))
    sides = [max(MULTIPLE, MULTIPLE * round(side / MULTIPLE)) for side in (longer, longer * ratio)]
    return (sides[0], sides[1]) if height >= width else (sides[1], sides[0])


def _checked_size(size: int | tuple[int, int]) -> tuple[int, int]:
    height, width = (size, size) if isinstance(size, int) else size
    if min(height, width) < 1:
        msg = f"size={size} is out of range; give pixels, as 64 or (48, 96)."
        raise OptionError(msg)
    return int(height), int(width)


def _checked_patch(
    patch: int | None, size: tuple[int, int] | None, headers: list[Header], records: Records, rows: np.ndarray
) -> int | None:
    if patch is None:
        return None
    if patch < 1:
        msg = f"patch={patch} is out of range; give the side of a square in pixels."
        raise OptionError(msg)
    if size is not None and min(size) < patch:
        msg = f"patch={patch} is larger than size={size}; give a smaller patch."
        raise OptionError(msg)
    for row, header in zip(rows.tolist(), headers, strict=True):
        if size is None and min(header.height, header.width) < patch:
            raise ShapeError(_too_small(records.ids[row], header.height, header.width, patch))
    return patch


def _too_small(name: str, height: int, width: int, patch: int) -> str:
    return f"{name} is {height} x {width} pixels, smaller than the patch of {patch}; give a smaller patch, or a size."


def _channels(headers: list[Header], records: Records, rows: np.ndarray) -> int:
    counts = sorted({header.channels for header in headers})
    if len(counts) == 1 or counts == [1, 3]:
        return counts[-1]
    odd = next(row for row, header in zip(rows.tolist(), headers, strict=True) if header.channels not in (1, 3))
    msg = f"{records.ids[odd]} has {records.header(odd).channels} channels, others have {counts[0]}."
    raise ShapeError(msg)


def _fit_channels(image: np.ndarray, channels: int, name: str) -> np.ndarray:
    """Repeats grey for a colour model; takes one channel of a colour file whose channels are all alike."""
    if image.shape[2] == channels:
        return image
    if image.shape[2] == 1 and channels == 3:
        return np.repeat(image, 3, axis=2)
    if channels == 1 and image.shape[2] == 3 and (image == image[:, :, :1]).all():
        return image[:, :, :1]
    msg = f"{name} has {image.shape[2]} channels of different content, but the training images had {channels}."
    raise ShapeError(msg)


def _unit(image: np.ndarray) -> np.ndarray:
    """Whole numbers as float32 in [0, 1]: for folders that mix depths."""
    return (image / np.float32(np.iinfo(image.dtype).max)).astype(np.float32)


def _range(records: Records, rows: np.ndarray, dtype: str, kinds: set[str]) -> tuple[float, float]:
    """Raw values that become 0 and 1.

    8 bits: the full range. 16 bits: 10, 12, 14 or 16 bits, the least that holds all values of up to 1,000 training
    images, because cameras of 12 bits write files of 16. Floats: [0, 1] if the training images keep to it, else their
    range.
    """
    if dtype == "uint8":
        return 0.0, 255.0
    if dtype == "float32" and len(kinds) > 1 and "float32" not in kinds:
        return 0.0, 1.0
    some = rows if dtype == "float32" else rows[:: max(1, len(rows) // _DEPTH_SAMPLES)]
    low, high = np.inf, -np.inf
    for row in some.tolist():
        image = records.read(row)
        if len(kinds) > 1 and image.dtype != np.float32:
            image = _unit(image)
        low, high = min(low, float(image.min())), max(high, float(image.max()))
    if dtype == "uint16":
        return 0.0, float(next(depth for depth in _DEPTHS if high <= depth))
    if low >= 0 and high <= 1:
        return 0.0, 1.0
    return low, high if high > low else low + 1.0
