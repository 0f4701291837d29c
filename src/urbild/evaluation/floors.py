"""Trivial scores that any detector must beat: how bright a sample is, and how much it varies from place to place.

A sample's score is the distance of its feature from the median feature of the training normals, so that darker is as
strange as brighter.
"""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

import numpy as np

from urbild.data import Preparation, Records
from urbild.evaluation.record import Array, Floats

_CELL = 8  # px a side


def brightness(image: Array) -> float:
    """Mean of an image [H, W, C] or of a standardised row [D]."""
    return float(np.mean(image, dtype=np.float64))


def local_contrast(image: Array) -> float:
    """Mean standard deviation of the grey values in cells of 8 x 8 px of an image [H, W, C]; of all of a row [D]."""
    if image.ndim == 1:
        return float(np.std(image, dtype=np.float64))
    grey = image.mean(2, dtype=np.float64)  # [H, W]
    height, width = grey.shape
    if min(height, width) < _CELL:
        return float(grey.std())
    cells = grey[: height - height % _CELL, : width - width % _CELL]
    cells = cells.reshape(height // _CELL, _CELL, width // _CELL, _CELL)
    return float(cells.std(axis=(1, 3)).mean())


FEATURES: Mapping[str, Callable[[Array], float]] = MappingProxyType(
    {"mean brightness": brightness, "local contrast": local_contrast}
)


def floors(train: Records, test: Records) -> dict[str, Floats]:
    """Scores [N] of `test` by each trivial feature, larger is stranger.

    Args:
        train: normal samples.
        test: of the same kind.
    """
    if train.kind == "vector":
        preparation = Preparation.fit(train)
        known, new = (_features(_rows(preparation, records)) for records in (train, test))
    else:
        known, new = (_features(_read(records, row) for row in range(len(records))) for records in (train, test))
    distance = np.abs(new - np.median(known, axis=0))
    return dict(zip(FEATURES, distance.T, strict=True))


def _read(records: Records, row: int) -> Array:
    """An image as it is; of a sound the samples [T], mixed down, whose local contrast is how loud it is."""
    return records.read(row).mean(1) if records.kind == "sequence" else records.read(row)


def _features(samples: Iterable[Array]) -> Floats:
    return np.array([[feature(sample) for feature in FEATURES.values()] for sample in samples])


def _rows(preparation: Preparation, records: Records) -> Array:
    return np.concatenate([batch.x.numpy() for batch in preparation.source(records).batches()])
