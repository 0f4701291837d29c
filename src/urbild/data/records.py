"""Raw samples as they were found: nothing is scaled or resized, and only an index is held."""

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isnan
from typing import TYPE_CHECKING, Literal, NamedTuple, overload

import numpy as np

from urbild.contract import UNLABELLED
from urbild.errors import DataError, OptionError, nearest

if TYPE_CHECKING:
    from typing_extensions import Self

NORMAL_NAMES = frozenset({"good", "normal", "ok", "inlier", "nominal"})
DEFAULT_MAX_PIXELS = 100_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How raw data are read.

    Attributes:
        part: "train", "test" or "all" of a laid-out folder (`train/good`, `test/<defect>`) or of a known data set;
            other data have one part, which is given for each of them.
        label_column: of a table; by default the column `label`, where there is one.
        group_by: "parent" (a file's folder), a column of a table, or a regular expression whose first group (without
            one, its match) in the sample's id is the group.
        normal: names of the classes that are normal, where their names do not tell.
        skip_bad: leave unreadable images out, and count them, instead of stopping.
        max_pixels: of one image; a larger one is refused before it is decoded.
        workers: processes that decode; by default chosen from the cores and the number of files.
    """

    part: Literal["train", "test", "all"] = "all"
    label_column: str | None = None
    group_by: str | None = None
    normal: tuple[str, ...] | None = None
    skip_bad: bool = False
    max_pixels: int = DEFAULT_MAX_PIXELS
    workers: int | None = None

    def __post_init__(self) -> None:
        if self.part not in ("train", "test", "all"):
            msg = f"part={self.part!r} is unknown; {nearest(str(self.part), ('train', 'test', 'all'))}"
            raise OptionError(msg)
        if self.max_pixels < 1:
            msg = f"max_pixels={self.max_pixels} is out of range; give a number of pixels above 0."
            raise OptionError(msg)


class Header(NamedTuple):
    """What an image is, known without its pixels."""

    height: int
    width: int
    channels: int
    dtype: str


class RowNames(Sequence[str]):
    """The ids "row 0", "row 1", ... of samples that have no file name, made when they are asked for."""

    def __init__(self, rows: np.ndarray | range) -> None:
        self._rows = np.asarray(rows)

    def take(self, index: np.ndarray) -> "RowNames":
        """The names of some of the rows."""
        return RowNames(self._rows[index])

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> "RowNames": ...
    def __getitem__(self, at: int | slice) -> "str | RowNames":
        return RowNames(self._rows[at]) if isinstance(at, slice) else f"row {int(self._rows[at])}"


@dataclass(frozen=True, eq=False, kw_only=True)
class Records(ABC):
    """Raw samples: their names, labels and groups, and a way to read each.

    Attributes:
        ids: path of each file relative to its folder, or "row 17" (counted from 0).
        labels: [N] index into `classes`, -1 unlabelled, or None.
        classes: names of the labels.
        groups: [N] which samples belong together, or None.
        skipped: what was left out as unreadable.
        origin: what the user gave, for protocols.
        normal: the classes that were declared normal, or None.
        workers: processes that decode, or None to choose.
    """

    ids: Sequence[str]
    labels: np.ndarray | None = None
    classes: tuple[str, ...] = ()
    groups: np.ndarray | None = None
    skipped: tuple[str, ...] = ()
    origin: str = "array"
    normal: tuple[str, ...] | None = None
    workers: int | None = None

    kind: Literal["image", "vector", "sequence"] = field(init=False, default="image")

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns of a table, else ()."""
        return ()

    @property
    def shape(self) -> tuple[int, ...] | None:
        """Shape of every sample, where it is known for free because they lie in one array; else None."""
        return None

    @property
    @abstractmethod
    def checksum(self) -> str:
        """A short digest: of names and sizes of files, or of the bytes of an array or table."""

    @abstractmethod
    def read(self, row: int) -> np.ndarray:
        """An image [H, W, C] (uint8, uint16 or float32), a sound [T, C] (float32) or the numbers of a vector [D]."""

    @abstractmethod
    def header(self, row: int) -> Header:
        """What the image `row` is, without decoding it."""

    @abstractmethod
    def select(self, rows: "Sequence[int] | np.ndarray") -> "Self":
        """The samples `rows`, in that order."""

    def headers(self, rows: np.ndarray) -> list[Header]:
        """What the images `rows` are, without decoding them."""
        return [self.header(row) for row in rows.tolist()]

    def size(self, row: int) -> tuple[int, int]:
        """(H, W) of an image."""
        found = self.header(row)
        return found.height, found.width

    def mask(self, row: int) -> np.ndarray | None:  # noqa: ARG002 -- most data have none
        """Where an image is abnormal, bool [H, W]; all False for a good one; None where there is no ground truth."""
        return None

    def block(self, rows: np.ndarray) -> np.ndarray | None:  # noqa: ARG002 -- most data have none
        """The samples `rows` in one array, where they lie in one already; else None."""
        return None

    def abnormal(self, normal: Sequence[str] | None = None) -> np.ndarray | None:
        """Which samples are abnormal, bool [N], or None where nothing is labelled.

        Normal are the classes named in `normal`; else those declared when reading; else those called good, normal, ok,
        inlier or nominal; else 0 of the labels 0 and 1, and 1 of the labels 1 and -1.

        Raises:
            DataError: the labels do not tell what is normal, or a sample has none.
        """
        if self.labels is None:
            return None
        unlabelled = np.flatnonzero(self.labels == UNLABELLED)
        if len(unlabelled):
            msg = (
                f"{len(unlabelled)} of {len(self)} samples have no label, the first is {self.ids[int(unlabelled[0])]}."
            )
            raise DataError(msg)
        return ~np.isin(self.labels, self._normal(normal))

    def normal_rows(self, normal: Sequence[str] | None = None) -> np.ndarray:
        """The rows that training may use: all that are not labelled abnormal, sorted.

        Where no class bears a normal name and none was declared, all samples count as normal: folders of lots or days.

        Raises:
            DataError: a declared class does not exist.
        """
        if self.labels is None:
            return np.arange(len(self))
        if normal is None and self.normal is None and _usual(self.classes) is None:
            return np.arange(len(self))
        return np.flatnonzero(np.isin(self.labels, [*self._normal(normal), UNLABELLED]))

    def _normal(self, normal: Sequence[str] | None) -> list[int]:
        declared = normal if normal is not None else self.normal
        if declared is None:
            usual = _usual(self.classes)
            if usual is None:
                names = ", ".join(self.classes[:8]) + (", ..." if len(self.classes) > 8 else "")
                msg = f"the classes of {self.origin} ({names}) do not tell which are normal; name them with --normal."
                raise DataError(msg)
            return usual
        for name in declared:
            if name not in self.classes:
                msg = f"{self.origin} has no class {name!r}; {nearest(name, self.classes)}"
                raise DataError(msg)
        return [self.classes.index(name) for name in declared]


def _usual(classes: tuple[str, ...]) -> list[int] | None:
    """Labels of the classes that are normal by their names, or None where the names do not tell."""
    named = [label for label, name in enumerate(classes) if name.lower() in NORMAL_NAMES]
    if named:
        return named
    if set(classes) in ({"0"}, {"0", "1"}, {"False"}, {"False", "True"}):
        return [label for label, name in enumerate(classes) if name in ("0", "False")]
    if set(classes) == {"-1", "1"}:
        return [classes.index("1")]
    return None


def name_labels(values: "Sequence[object] | np.ndarray", count: int, what: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Labels [N] and the class names of anything that a user gives as `y`; missing values become -1, unlabelled.

    Numbers are ordered as numbers, words as words. -1 means unlabelled, unless the labels are just 1 and -1.

    Raises:
        DataError: there is not one label a sample.
    """
    given = np.asarray(values)
    if given.ndim == 2 and given.shape[1] == 1:
        given = given[:, 0]
    if given.shape != (count,):
        msg = (
            f"{what} has {given.shape[0] if given.ndim else 'a single'} labels for {count} samples; give one a sample."
        )
        raise DataError(msg)
    if given.dtype.kind == "f":
        missing = np.isnan(given)
        whole = np.where(missing, 0, given)
        if (whole != np.floor(whole)).any():
            msg = f"{what} holds fractions, so it is no label; labels are whole numbers or words."
            raise DataError(msg)
        given = whole.astype(np.int64)
    elif given.dtype.kind in "biu":
        missing = np.zeros(count, dtype=bool)
    else:
        words = ["" if _is_missing(value) else str(value) for value in given.tolist()]
        given = np.asarray(words)
        missing = np.asarray([word == "" for word in words])
    if given.dtype.kind == "i" and (given == UNLABELLED).any() and not np.isin(given, (-1, 1)).all():
        missing = missing | (given == UNLABELLED)
    names, found = np.unique(given[~missing], return_inverse=True)
    labels = np.full(count, UNLABELLED, dtype=np.int64)
    labels[~missing] = found
    return labels, tuple(str(name) for name in names.tolist())


def _is_missing(value: object) -> bool:
    return value is None or (isinstance(value, float) and isnan(value)) or type(value).__name__ == "NAType"


def number_groups(values: "Sequence[object] | np.ndarray", count: int) -> np.ndarray:
    """Groups [N] from 0, in order of their names, of anything that a user gives as groups.

    Raises:
        DataError: there is not one group a sample, or one is missing.
    """
    given = np.asarray(values)
    if given.shape != (count,):
        msg = f"{len(given) if given.ndim else 1} groups were given for {count} samples; give one for each sample."
        raise DataError(msg)
    if given.dtype.kind == "O":
        given = np.asarray([str(value) for value in given.tolist()])
    return np.unique(given, return_inverse=True)[1].reshape(count).astype(np.int64)


def group_ids(ids: Sequence[str], rule: str) -> np.ndarray:
    """Groups [N] of samples by their ids: "parent", or a regular expression.

    Raises:
        OptionError: the expression is not one.
        DataError: it matches some id nowhere.
    """
    if rule == "parent":
        return number_groups([name.rpartition("/")[0] for name in ids], len(ids))
    try:
        pattern = re.compile(rule)
    except re.error as error:
        msg = f"--group-by {rule!r} is neither 'parent' nor a regular expression ({error})."
        raise OptionError(msg) from error
    names = []
    for name in ids:
        match = pattern.search(name)
        if match is None:
            msg = f"--group-by {rule!r} matches nothing in {name!r}, so this sample has no group; widen the expression."
            raise DataError(msg)
        names.append((match.group(1) if pattern.groups else match.group()) or "")
    return number_groups(names, len(ids))
