"""Classes of training samples: that there are some, that every sample has one, that each has a name, and which."""

import numpy as np
import torch
from torch import Tensor

from urbild.contract import DataSpec, Source
from urbild.errors import DataError, OptionError


def classes_of(spec: DataSpec, *, conditional: bool) -> int:
    """The number of classes to be conditioned on, 0 for none.

    Raises:
        OptionError: classes are wanted and the data have no names of any.
    """
    if conditional and not spec.classes:
        msg = "conditional=True needs labelled data, and these have no classes; give a label column, or a folder for "
        msg += "each class."
        raise OptionError(msg)
    return len(spec.classes) if conditional else 0


def labelled(source: Source) -> Source:
    """The source, if every sample of it has a class with a name.

    Raises:
        DataError: one has none.
    """
    missing = len(source) if source.labels is None else int((source.labels < 0).sum())
    if missing:
        msg = f"{missing} of {len(source)} training samples have no label, but conditional=True needs one for each."
        raise DataError(msg)
    assert source.labels is not None  # else all are missing
    check_named(source.labels, source.spec.classes)
    return source


def seen_in(source: Source, classes: int) -> Tensor:
    """Which classes a `labelled` source has samples of: bool [classes]."""
    assert source.labels is not None  # `labelled` made sure
    return torch.from_numpy(np.bincount(source.labels, minlength=classes) > 0)


def check_seen(given: Tensor, seen: Tensor, names: tuple[str, ...]) -> None:
    """Refuses classes `given` [N] that a model was not trained on; where none was seen, it is not trained yet.

    Raises:
        OptionError: one is no number of a name, or had no sample in training, or they are no row of whole numbers.
    """
    if given.dim() != 1 or given.dtype.is_floating_point:
        msg = f"classes are whole numbers, one for each sample, and these are {given.dtype} of shape "
        msg += f"{tuple(given.shape)}; give a tensor int64 [N]."
        raise OptionError(msg)
    if bool(((given < 0) | (given >= len(names))).any()):
        msg = f"a class is not one of the {len(names)} that the model was trained on."
        raise OptionError(msg)
    never = given[~seen[given]] if bool(seen.any()) else given[:0]
    if len(never):
        msg = f"class {names[int(never[0])]!r} had no sample in training, so it cannot be asked for; ask for another."
        raise OptionError(msg)


def check_named(labels: np.ndarray, classes: tuple[str, ...]) -> None:
    """Refuses labels [N] that are no numbers of `classes`.

    Raises:
        DataError: one is below 0, or beyond the last class.
    """
    first, last = (int(labels.min()), int(labels.max())) if len(labels) else (0, -1)
    if first < 0 or last >= len(classes):
        msg = f"the labels go from {first} to {last}, but only {len(classes)} classes have a name; give labels from 0 "
        msg += "on, and a name for each."
        raise DataError(msg)
