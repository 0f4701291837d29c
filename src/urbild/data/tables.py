"""Tables: DataFrames, CSV and TSV files, Parquet files; columns of numbers and columns of words."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from urbild.data.records import Header, Reading, Records, RowNames, group_ids, name_labels, number_groups
from urbild.errors import DataError, ExtraError, ShapeError, nearest

if TYPE_CHECKING:
    import pandas as pd
    from typing_extensions import Self

MOST_WORDS = 1000


@dataclass(frozen=True, eq=False, kw_only=True)
class TableRecords(Records):
    """Rows of a table whose columns are float64 numbers or words."""

    frame: "pd.DataFrame"
    kind: Literal["image", "vector"] = field(init=False, default="vector")

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(self.frame.columns)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of every sample."""
        return (self.frame.shape[1],)

    def read(self, row: int) -> np.ndarray:
        """The sample as it is stored."""
        return np.asarray(self.frame.iloc[row].to_numpy())

    def header(self, row: int) -> Header:
        """Always raises: a row is no image."""
        msg = f"row {row} of {self.origin} is a row of a table, not an image."
        raise ShapeError(msg)

    def select(self, rows: Sequence[int] | np.ndarray) -> "Self":
        """The samples `rows`, in that order."""
        index = np.asarray(rows, dtype=np.int64)
        assert isinstance(self.ids, RowNames)
        return replace(
            self,
            ids=self.ids.take(index),
            labels=None if self.labels is None else self.labels[index],
            groups=None if self.groups is None else self.groups[index],
            frame=self.frame.iloc[index],
        )

    @cached_property
    def checksum(self) -> str:
        """A digest of the bytes."""
        digest = blake2b(digest_size=8)
        for name, column in self.frame.items():
            values = column.to_numpy()
            digest.update(f"{name}\0".encode())
            digest.update("\0".join(values).encode() if values.dtype == object else values.tobytes())
        return digest.hexdigest()


def from_frame(
    frame: "pd.DataFrame", *, y: Any = None, groups: Any = None, reading: Reading | None = None, origin: str = "table"
) -> TableRecords:
    """Records of a DataFrame. Labels are `y`, or the label column; a column that `group_by` names gives the groups.

    Raises:
        DataError: no row, a column that is missing, neither numbers nor words, or that holds an empty or infinite cell.
    """
    reading = reading or Reading()
    frame = frame.reset_index(drop=True).rename(columns=str)
    if frame.columns.has_duplicates:
        twice = frame.columns[frame.columns.duplicated()][0]
        msg = f"{origin} has two columns named {twice!r}; rename one."
        raise DataError(msg)
    frame, y = _labels(frame, y, reading, origin)
    ids = RowNames(range(len(frame)))
    if groups is None and reading.group_by is not None:
        if reading.group_by in frame.columns:
            groups = frame[reading.group_by].astype(str).to_numpy(dtype=object)
            frame = frame.drop(columns=reading.group_by)
        else:
            groups = group_ids(ids, reading.group_by)
    if frame.empty:
        msg = f"{origin} has {frame.shape[0]} rows and {frame.shape[1]} columns besides the label: nothing to learn."
        raise DataError(msg)
    for name in frame.columns:
        frame[name] = _column(frame[name], f"column {name!r}", origin)
    labels, classes = (None, ()) if y is None else name_labels(y, len(frame), "y")
    return TableRecords(
        ids=ids,
        labels=labels,
        classes=classes,
        groups=None if groups is None else number_groups(groups, len(frame)),
        origin=origin,
        normal=reading.normal,
        workers=0,
        frame=frame,
    )


def from_table_file(path: Path, *, y: Any, groups: Any, reading: Reading, origin: str) -> TableRecords:
    """Records of a .csv, .tsv or .parquet file.

    The separator of a CSV file is comma, semicolon or tab, whichever its first line has most of; a first line of
    nothing but numbers is data, not a header; a first column without a name that counts the rows is dropped.

    Raises:
        DataError: the file is empty or damaged.
        ExtraError: Parquet is not installed.
    """
    import pandas as pd

    if path.suffix.lower() == ".parquet":
        return from_frame(_parquet(path), y=y, groups=groups, reading=reading, origin=origin)
    try:
        with path.open(encoding="utf-8-sig") as file:
            first = file.readline()
        separator = max(",;\t", key=first.count)
        header = None if all(_is_number(cell) for cell in first.strip().split(separator)) else 0
        frame = pd.read_csv(path, sep=separator, header=header, encoding="utf-8-sig", low_memory=False)
    except (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError) as error:
        reason = "zero bytes" if path.stat().st_size == 0 else str(error).strip().splitlines()[-1]
        msg = f"{path} is no readable table ({reason})."
        raise DataError(msg) from error
    if header is None:
        frame.columns = pd.Index([f"x{column}" for column in range(frame.shape[1])])
    elif str(frame.columns[0]).startswith("Unnamed:") and (frame.iloc[:, 0] == np.arange(len(frame))).all():
        frame = frame.iloc[:, 1:]
    return from_frame(frame, y=y, groups=groups, reading=reading, origin=origin)


def _parquet(path: Path) -> "pd.DataFrame":
    import pandas as pd

    try:
        import pyarrow as pa
    except ImportError as error:
        msg = f"reading {path} needs pyarrow; install it with: pip install 'urbild[parquet]'"
        raise ExtraError(msg) from error
    try:
        return pd.read_parquet(path, engine="pyarrow")
    except (pa.ArrowException, OSError) as error:
        msg = f"{path} is no readable Parquet file ({str(error).splitlines()[0]})."
        raise DataError(msg) from error


def _is_number(cell: str) -> bool:
    try:
        float(cell.strip().strip('"'))
    except ValueError:
        return False
    return True


def _labels(frame: "pd.DataFrame", y: Any, reading: Reading, origin: str) -> tuple["pd.DataFrame", Any]:
    """Takes the label column out of the table."""
    wanted = reading.label_column
    if wanted is not None and wanted not in frame.columns:
        msg = f"{origin} has no column {wanted!r} for the labels; {nearest(wanted, list(frame.columns))}"
        raise DataError(msg)
    name = wanted or ("label" if "label" in frame.columns else None)
    if name is None:
        return frame, y
    return frame.drop(columns=name), frame[name].to_numpy() if y is None else y


def _column(column: "pd.Series[Any]", name: str, origin: str) -> "pd.Series[Any]":
    """A column as float64 or as words; what is neither is named."""
    import pandas as pd

    if pd.api.types.is_datetime64_any_dtype(column) or pd.api.types.is_timedelta64_dtype(column):
        msg = f"{name} of {origin} holds dates; turn it into numbers (such as the hour), or drop it."
        raise DataError(msg)
    if column.isna().any():
        row = int(np.flatnonzero(column.isna())[0])
        msg = f"{origin} has no value (empty or NaN) in {name}, row {row} (counted from 0); fill it, or drop the row."
        raise DataError(msg)
    if pd.api.types.is_complex_dtype(column):
        msg = f"{name} of {origin} holds complex numbers; give their real and imaginary parts as two columns."
        raise DataError(msg)
    if pd.api.types.is_numeric_dtype(column):
        numbers = column.astype(np.float64)
    elif isinstance(column.dtype, pd.CategoricalDtype):
        return _words(column, name, origin)
    else:
        numbers = pd.to_numeric(column, errors="coerce").astype(np.float64)
        share = float(numbers.notna().mean())
        if share <= 0.5:
            return _words(column, name, origin)
        if share < 1:
            row = int(np.flatnonzero(numbers.isna())[0])
            msg = f"{origin} has {column.iloc[row]!r} among the numbers of {name}, row {row} (from 0); correct it."
            raise DataError(msg)
    if not np.isfinite(numbers).all():
        row = int(np.flatnonzero(~np.isfinite(numbers))[0])
        msg = f"{origin} holds {numbers.iloc[row]} in {name}, row {row} (counted from 0); correct it, or drop the row."
        raise DataError(msg)
    return numbers


def _words(column: "pd.Series[Any]", name: str, origin: str) -> "pd.Series[Any]":
    words = column.astype(str).astype(object)
    count = words.nunique()
    if count > MOST_WORDS:
        msg = f"{name} of {origin} has {count} different words, too many to learn from (names or ids?); drop it."
        raise DataError(msg)
    return words
