"""Known data sets that need no file: scikit-learn's digits, and the drawn surfaces."""

import numpy as np

from urbild.data.arrays import ArrayRecords
from urbild.data.keys import shuffled
from urbild.data.records import Reading, RowNames, group_ids
from urbild.data.surfaces import CLASSES, draw_all

_TRAIN_DIGITS = 1197


def digits(name: str, reading: Reading) -> ArrayRecords:
    """Digits [1797, 8, 8, 1], 17 grey levels spread over 8 bits; a third, drawn at random, is the test part."""
    from sklearn.datasets import load_digits

    found = load_digits()
    images = np.rint(found.images * (255 / 16)).astype(np.uint8)[..., None]
    order = shuffled(len(images), 0)
    rows = {"train": order[:_TRAIN_DIGITS], "test": order[_TRAIN_DIGITS:], "all": order}[reading.part]
    return part_of(name, reading, images, found.target, tuple("0123456789"), rows=np.sort(rows))


def surfaces(name: str, reading: Reading, *, seed: int = 0) -> ArrayRecords:
    """Surfaces [300, 192, 192, 1] with masks: 200 good ones to train; 40 good and 60 with defects to test."""
    images, masks, kinds, ids = draw_all(seed)
    labels = np.asarray([CLASSES.index(kind) for kind in kinds])
    rows = np.asarray([row for row, path in enumerate(ids) if reading.part in ("all", path.partition("/")[0])])
    return part_of(name, reading, images[..., None], labels, CLASSES, rows=rows, masks=masks, ids=ids)


def part_of(
    name: str,
    reading: Reading,
    values: np.ndarray,
    labels: np.ndarray,
    classes: tuple[str, ...],
    *,
    rows: np.ndarray | None = None,
    masks: np.ndarray | None = None,
    ids: tuple[str, ...] | None = None,
) -> ArrayRecords:
    """Records of some rows (None: all) of a known data set that lies in one array."""
    rows = np.arange(len(values)) if rows is None else rows
    names = RowNames(rows) if ids is None else [ids[row] for row in rows.tolist()]
    return ArrayRecords(
        ids=names,
        labels=labels[rows].astype(np.int64),
        classes=classes,
        groups=None if reading.group_by is None else group_ids(names, reading.group_by),
        origin=name,
        normal=reading.normal,
        workers=0,
        values=values,
        rows=rows,
        masks=masks,
    )
