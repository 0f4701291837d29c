"""What is decided on the training rows of a table: the scale of each number, the words of each category."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from urbild.data.records import Records
from urbild.data.tables import TableRecords
from urbild.errors import DataError, ShapeError, nearest

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table; words are one-hot, numbers are standardised by `mean` and `scale`."""

    name: str
    mean: float = 0.0
    scale: float = 1.0
    words: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        """Entries of a prepared sample that come from this column."""
        return len(self.words) or 1


@dataclass(frozen=True, slots=True)
class Columns:
    """All columns of a table, in their order."""

    columns: tuple[Column, ...]

    @classmethod
    def fit(cls, records: Records, rows: np.ndarray) -> "Columns":
        """Takes mean and standard deviation of each number (scale 1 where it is constant), and the words seen."""
        if isinstance(records, TableRecords):
            frame = records.frame.iloc[rows]
            return cls(tuple(_fit(str(name), values.to_numpy()) for name, values in frame.items()))
        means, scales = _moments(records, rows)
        return cls(tuple(Column(n, m, s) for n, m, s in zip(records.columns, means, scales, strict=True)))

    @property
    def names(self) -> tuple[str, ...]:
        """The column that each entry of a prepared sample came from."""
        return tuple(column.name for column in self.columns for _ in range(column.width))

    def check(self, records: Records) -> None:
        """Raises a ShapeError that names the columns which are missing or too many."""
        here, wanted = records.columns, tuple(column.name for column in self.columns)
        anonymous = all(name == f"x{at}" for names in (here, wanted)[:1] for at, name in enumerate(names))
        if anonymous or wanted == tuple(f"x{at}" for at in range(len(wanted))):
            if len(here) != len(wanted):
                msg = f"{records.origin} has {len(here)} columns, but the training data had {len(wanted)}."
                raise ShapeError(msg)
            return
        missing = [name for name in wanted if name not in here]
        if missing:
            msg = f"{records.origin} lacks the column {missing[0]!r} of the training data; {nearest(missing[0], here)}"
            raise ShapeError(msg)
        extra = [name for name in here if name not in wanted]
        if extra:
            msg = f"{records.origin} has the column {extra[0]!r}, which the training data had not; drop it."
            raise ShapeError(msg)

    def transform(self, records: Records, rows: np.ndarray) -> np.ndarray:
        """Prepared samples, float32 [N, D]; a word that was not seen in training gives zeros.

        Raises:
            DataError: words stand where the training data had numbers.
        """
        if not isinstance(records, TableRecords):
            return self._numbers(np.asarray(records.block(rows), dtype=np.float64))
        frame = records.frame.iloc[rows]
        if set(records.columns) == {column.name for column in self.columns}:
            frame = frame[[column.name for column in self.columns]]
        table = np.zeros((len(rows), sum(column.width for column in self.columns)), dtype=np.float32)
        start = 0
        for at, column in enumerate(self.columns):
            values = frame.iloc[:, at].to_numpy()
            table[:, start : start + column.width] = _apply(column, values, records.origin)
            start += column.width
        return table

    def _numbers(self, values: np.ndarray) -> np.ndarray:
        if any(column.words for column in self.columns):
            name = next(column.name for column in self.columns if column.words)
            msg = f"column {name!r} held words in training, but numbers now; give a table with the same columns."
            raise ShapeError(msg)
        mean = np.asarray([column.mean for column in self.columns])
        scale = np.asarray([column.scale for column in self.columns])
        return np.asarray((values - mean) / scale, dtype=np.float32)

    def restore(self, x: np.ndarray) -> "pd.DataFrame":
        """Rows [N, D] in the units of the table; of a category, the word with the largest entry."""
        import pandas as pd

        restored: dict[str, Any] = {}
        start = 0
        for column in self.columns:
            part = x[:, start : start + column.width].astype(np.float64)
            start += column.width
            if column.words:
                restored[column.name] = np.asarray(column.words, dtype=object)[part.argmax(axis=1)]
            else:
                restored[column.name] = part[:, 0] * column.scale + column.mean
        return pd.DataFrame(restored)

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        return {"columns": [asdict(column) for column in self.columns]}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Columns":
        """What `to_json` wrote."""
        return cls(tuple(Column(c["name"], c["mean"], c["scale"], tuple(c["words"])) for c in data["columns"]))


def _fit(name: str, values: np.ndarray) -> Column:
    if values.dtype == object:
        return Column(name, words=tuple(sorted(set(values.tolist()))))
    return Column(name, float(values.mean()), _scale(float(values.std())))


def _scale(deviation: float) -> float:
    # Rounding leaves a constant column a deviation that is tiny, not zero.
    return deviation if deviation > 1e-12 else 1.0


def _moments(records: Records, rows: np.ndarray) -> tuple[list[float], list[float]]:
    """Mean and scale of each column of an array, read in blocks."""
    width = len(records.columns)
    step = max(1, (1 << 22) // width)
    blocks = [rows[start : start + step] for start in range(0, len(rows), step)]
    mean = np.zeros(width)
    for part in blocks:
        mean += np.asarray(records.block(part), dtype=np.float64).sum(axis=0) / len(rows)
    variance = np.zeros(width)
    for part in blocks:
        variance += ((np.asarray(records.block(part), dtype=np.float64) - mean) ** 2).sum(axis=0) / len(rows)
    return mean.tolist(), [_scale(deviation) for deviation in np.sqrt(variance).tolist()]


def _apply(column: Column, values: np.ndarray, origin: str) -> np.ndarray:
    if column.words:
        # [N, words]
        return np.asarray(values.astype(str)[:, None] == np.asarray(column.words)[None, :], dtype=np.float32)
    if values.dtype == object:
        msg = f"column {column.name!r} of {origin} holds words such as {values[0]!r}, but held numbers in training."
        raise DataError(msg)
    return np.asarray((values - column.mean) / column.scale, dtype=np.float32)[:, None]
