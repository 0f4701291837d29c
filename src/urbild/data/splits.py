"""Splits of the normal samples into train, validation and calibration parts: promise 2 of the design."""

from dataclasses import dataclass

import numpy as np

from urbild.data.keys import shuffled
from urbild.errors import DataError, OptionError

LEAST_CALIBRATION = 20


@dataclass(frozen=True, slots=True)
class Split:
    """Row numbers, sorted; no row, and no group of rows, stands in two parts."""

    train: np.ndarray
    validation: np.ndarray
    calibration: np.ndarray


def split(
    n: int, *, validation: float = 0.1, calibration: float = 0.2, groups: np.ndarray | None = None, seed: int = 0
) -> Split:
    """Splits n samples at random; a pure function of its arguments, on any machine.

    The calibration part gets its share of the samples, at least 20, never more than half; the validation part its
    share, never more than half of the rest. With `groups` ([n] integers) whole groups are dealt out, and the shares,
    the 20 and the half are counted in groups, because the promise is then made for groups; besides, no more than half
    of the samples calibrate. Exact duplicates are samples like others: give them one group to keep them on one side.

    Raises:
        DataError: fewer than two samples, or a single group.
        OptionError: a share is out of range.
    """
    for name, share, most in (("validation", validation, 0.9), ("calibration", calibration, 0.5)):
        if not 0 <= share <= most:
            msg = f"{name}={share} is out of range; give a share from 0 to {most}."
            raise OptionError(msg)
    if n < 2:
        msg = f"{n} normal sample{'s' * (n != 1)} found, but at least two are needed: to train and to calibrate."
        raise DataError(msg)
    sizes, group = _groups(n, groups)
    parts = len(sizes)
    if parts < 2 and (validation or calibration):
        msg = f"all {n} samples belong to one group, which cannot be split; give several groups."
        raise DataError(msg)
    wanted = min(max(round(calibration * parts), LEAST_CALIBRATION), parts // 2) if calibration else 0
    order = shuffled(parts, seed)
    chosen = _deal(order, sizes, count=wanted, most=n // 2)
    rest = order[~np.isin(order, chosen)]
    wanted = min(round(validation * parts), len(rest) // 2)
    watched = _deal(rest, sizes, count=wanted, most=int(sizes[rest].sum()) // 2)
    part = np.zeros(parts, dtype=np.int8)
    part[watched], part[chosen] = 1, 2
    train, held, calibrating = (np.flatnonzero(part[group] == k) for k in range(3))
    return Split(train=train, validation=held, calibration=calibrating)


def _groups(n: int, groups: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Samples of each group [G], and each sample's group [n] from 0 to G - 1."""
    if groups is None:
        return np.ones(n, dtype=np.int64), np.arange(n)
    if len(groups) != n:
        msg = f"{len(groups)} groups were given for {n} samples; give one for each sample."
        raise DataError(msg)
    _, group, sizes = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    return sizes, group.reshape(n)


def _deal(order: np.ndarray, sizes: np.ndarray, *, count: int, most: int) -> np.ndarray:
    """The first `count` groups of `order`, passing over those that would bring the samples above `most`."""
    chosen: list[int] = []
    samples = 0
    for group in order.tolist():
        if len(chosen) == count:
            break
        if samples + sizes[group] <= most:
            chosen.append(group)
            samples += int(sizes[group])
    return np.asarray(chosen, dtype=np.int64)
