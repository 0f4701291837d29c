"""What was decided on the training rows, and its use on every later sample; plain data that is saved with the model."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from torch import Tensor

from urbild.contract import DataSpec, Source
from urbild.data.columns import Columns
from urbild.data.pixels import Normalise, Pixels
from urbild.data.records import Header, Records
from urbild.data.source import ImageSource, TableSource
from urbild.data.waves import Level, Waves, WaveSource
from urbild.data.workers import choose_workers, in_order
from urbild.errors import DataError, OptionError, ShapeError

if TYPE_CHECKING:
    import pandas as pd

MEMORY = 1 << 30


@dataclass(frozen=True, slots=True)
class Preparation:
    """How raw samples become what a model takes.

    Attributes:
        spec: what a prepared sample looks like.
        how: the scale of images, or of the columns of a table; the rate, length and level of sounds.
        summary: one line on the training data.
    """

    spec: DataSpec
    how: Pixels | Columns | Waves
    summary: str

    @classmethod
    def fit(
        cls,
        records: Records,
        rows: Sequence[int] | np.ndarray | None = None,
        *,
        size: int | tuple[int, int] | None = None,
        normalise: Normalise | Level = "none",
        patch: int | None = None,
        window: int | None = None,
        rate: int | None = None,
    ) -> "Preparation":
        """Decides on the training rows alone.

        Images: `size` is the working size; without it, images of one size up to 64 px keep it, and others get their
        median size, at most 128 px a side, in multiples of 8 (with `patch`, images keep their own size). Grey images
        give one channel, and a folder with any colour image three. `normalise="image"` gives every image the same mean
        and contrast. `patch` is the side of the crops that are trained on.

        Sound: `rate` is in samples a second; without it the commonest is taken. `window` is the length of the crops
        that systems which take any length are trained on, in samples; without it they are trained on whole sounds.
        `normalise` is the level that each sound is brought to, "rms" or "peak".

        Raises:
            DataError: there is no sample, or one is unreadable.
            ShapeError: the samples do not go together.
            OptionError: an option is out of range, or does not go with the kind of data.
        """
        index = _index(records, rows)
        if not len(index):
            msg = f"{records.origin} has no sample to train on."
            raise DataError(msg)
        _refuse_options(records, size=size, patch=patch, normalise=normalise, window=window, rate=rate)
        if records.kind == "sequence":
            waves = Waves.fit(records, index, rate=rate, window=window, normalise=normalise)
            return cls(waves.spec(records.classes), waves, waves.summary(records, index))
        if records.kind == "vector":
            columns = Columns.fit(records, index)
            names = columns.names
            spec = DataSpec(shape=(len(names),), kind="vector", classes=records.classes, columns=names)
            return cls(spec, columns, _table_summary(columns, len(index)))
        pixels = Pixels.fit(records, index, size=size, normalise=cast("Normalise", normalise), patch=patch)
        spec = DataSpec(shape=pixels.sample, kind="image", levels=pixels.levels, classes=records.classes)
        return cls(spec, pixels, _image_summary(pixels, records.headers(index)))

    def check(self, records: Records) -> None:
        """Finds out whether `records` can be prepared like the training data, as far as shows without reading them.

        Raises:
            ShapeError: the kind, the shape or the columns differ.
        """
        if records.kind != self.spec.kind:
            msg = f"{records.origin} holds {records.kind} data, but the model was trained on {self.spec.kind} data."
            raise ShapeError(msg)
        self.how.check(records)

    def source(
        self,
        records: Records,
        rows: Sequence[int] | np.ndarray | None = None,
        *,
        crops: int | None = None,
        seed: int = 0,
        workers: int | None = None,
        memory: int = MEMORY,
    ) -> Source:
        """Prepared samples, images float32 in [0, 1].

        What is decoded is kept if all of it fits in `memory` bytes, else read every time; for a single pass give
        memory=0. With `crops` an image gives that many random crops of the patch size in each epoch, and a sound of the
        window. A batch's `index` is the row of the records (with crops: row * crops + number of the crop). Sounds
        come with a mask [N, T] of what is not padding.

        Raises:
            ShapeError: the records do not fit the preparation.
            OptionError: crops are asked for without a patch.
        """
        self.check(records)
        index = _index(records, rows)
        if isinstance(self.how, Columns):
            return TableSource(records, index, self.how, self.spec, memory=memory)
        if isinstance(self.how, Waves):
            return WaveSource(records, index, self.how, self.spec, crops=crops or 0, seed=seed, memory=memory)
        if self.how.patch is not None and crops is None:
            crops = 1
        if crops is not None and (self.how.patch is None or crops < 1):
            msg = f"crops={crops} needs a patch size and a number above 0."
            raise OptionError(msg)
        return ImageSource(
            records, index, self.how, self.spec, crops=crops or 0, seed=seed, workers=workers, memory=memory
        )

    def crops(self, per_image: int) -> int | None:
        """Crops that each sample gives in an epoch of training, or None where samples are whole."""
        if isinstance(self.how, Waves):
            return None if self.how.window is None else 1
        return per_image if isinstance(self.how, Pixels) and self.how.patch is not None else None

    def image(self, records: Records, row: int) -> Tensor:
        """The image `row` as float32 [C, H, W] in [0, 1], at the working size, or at its own where there is none."""
        return _image(self._pixels(), records, row)

    def images(
        self, records: Records, rows: Sequence[int] | np.ndarray | None = None, *, workers: int | None = None
    ) -> Iterator[Tensor]:
        """What `image` gives for each of `rows`, decoded in worker processes: for tiling images of any size."""
        index = _index(records, rows)
        chosen = choose_workers(records.workers if workers is None else workers, len(index))
        for found in in_order(partial(_raw, self._pixels(), records), index.tolist(), chosen):
            yield self._pixels().prepare(*found)[0]

    def restore(self, x: Tensor) -> "np.ndarray | pd.DataFrame":
        """Back to the units of the data: images [N, H, W, C] uint8, tables a DataFrame, sounds [N, T] float32."""
        if isinstance(self.how, Columns):
            return self.how.restore(x.detach().cpu().numpy())
        return self.how.restore(x)

    def describe(self) -> str:
        """One line for the user: what the training data were, and at what size the model works."""
        return self.summary

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        how = next(name for name, kind in _HOW.items() if isinstance(self.how, kind))
        return {"spec": asdict(self.spec), how: self.how.to_json(), "summary": self.summary}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Preparation":
        """What `to_json` wrote; it prepares every sample bit for bit as before."""
        spec = data["spec"]
        tuples = {name: tuple(spec[name]) for name in ("shape", "classes", "columns")}
        how = next(kind.from_json(data[name]) for name, kind in _HOW.items() if name in data)
        return cls(DataSpec(**{**spec, **tuples}), how, data["summary"])

    def _pixels(self) -> Pixels:
        if not isinstance(self.how, Pixels):
            what = "a table" if isinstance(self.how, Columns) else "sound"
            msg = f"the model was trained on {what}, which has no images."
            raise ShapeError(msg)
        return self.how


_HOW: Mapping[str, type[Pixels] | type[Columns] | type[Waves]] = MappingProxyType(
    {"pixels": Pixels, "columns": Columns, "waves": Waves}
)


def _refuse_options(records: Records, **options: Any) -> None:
    """Refuses options of the preparation that belong to another kind of data."""
    own = {"image": ("size", "patch", "normalise"), "sequence": ("window", "rate", "normalise"), "vector": ()}
    for name, value in options.items():
        if name not in own[records.kind] and value not in (None, "none"):
            said = {"image": "images", "sequence": "sound", "vector": "a table"}
            takers = " and ".join(said[kind] for kind, names in own.items() if name in names)
            msg = f"{name} is one of the options for {takers}, but {records.origin} is {said[records.kind]}; drop it."
            raise OptionError(msg)


def _raw(pixels: Pixels, records: Records, row: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    found = pixels.encode(records, row)
    return np.stack([found.values]), np.stack([found.shift]), np.stack([found.scale])


def _image(pixels: Pixels, records: Records, row: int) -> Tensor:
    return pixels.prepare(*_raw(pixels, records, row))[0]


def _index(records: Records, rows: Sequence[int] | np.ndarray | None) -> np.ndarray:
    return np.arange(len(records)) if rows is None else np.asarray(rows, dtype=np.int64)


def _table_summary(columns: Columns, count: int) -> str:
    words = sum(bool(column.words) for column in columns.columns)
    numbers = len(columns.columns) - words
    parts = [f"{numbers} column{'s' * (numbers != 1)} of numbers"] if numbers else []
    parts += [f"{words} of words"] if words else []
    return f"{count:,} rows, {' and '.join(parts)}; {len(columns.names)} values a row"


def _image_summary(pixels: Pixels, headers: list[Header]) -> str:
    sides = [side for header in headers for side in header[:2]]
    low, high = min(sides), max(sides)
    colour = {1: "grey", 3: "colour"}.get(pixels.channels, f"{pixels.channels}-channel")
    depth = " 16-bit" if pixels.dtype == "uint16" else ""
    found = f"{low} to {high} px a side" if low != high else f"{low} px a side"
    if pixels.patch is not None:
        own = "" if pixels.size is None else f" of images at {pixels.size[0]} x {pixels.size[1]}"
        working = f"patches of {pixels.patch} x {pixels.patch}{own}"
    else:
        working = "working size {} x {}".format(*pixels.sample[1:])
    return f"{len(headers):,}{depth} {colour} image{'s' * (len(headers) != 1)}, {found}; {working}"
