"""What a run leaves behind: metrics.csv always, TensorBoard's event files when asked."""

import csv
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, TextIO

from urbild.artifacts import write_atomically
from urbild.errors import ExtraError, OutputError

METRICS = "metrics.csv"


class Row(NamedTuple):
    """One number of a run.

    Attributes:
        stage: where it was met.
        step: of the stage, counted from 1.
        seconds: since the run began, interruptions left out.
        split: "train" (the mean since the last row) or "validation".
        name: "turn/loss", or "monitor".
        value: of it.
    """

    stage: str
    step: int
    seconds: float
    split: str
    name: str
    value: float


def as_csv(rows: Iterable[Row]) -> str:
    """Rows as the text of metrics.csv."""
    lines = [",".join(Row._fields)]
    lines += [f"{r.stage},{r.step},{r.seconds:.3f},{r.split},{r.name},{r.value!r}" for r in rows]
    return "\n".join(lines) + "\n"


def read_csv(path: Path) -> list[Row]:
    """The rows of a metrics.csv; none where the file is missing."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [
            Row(r["stage"], int(r["step"]), float(r["seconds"]), r["split"], r["name"], float(r["value"]))
            for r in csv.DictReader(file)
        ]


class Record:
    """The rows of a run, kept in memory and appended to its directory as they come."""

    def __init__(self, directory: Path | None, *, kept: Sequence[Row] = (), tensorboard: bool = False) -> None:
        self.rows: list[Row] = list(kept)
        self._file: TextIO | None = None
        self._event: Callable[[Row], None] | None = None
        self._close: Callable[[], None] | None = None
        if directory is not None:
            write_atomically(directory / METRICS, as_csv(self.rows))
            self._file = (directory / METRICS).open("a", encoding="utf-8")
            if tensorboard:
                self._open_tensorboard(directory / "tensorboard")

    def _open_tensorboard(self, directory: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            msg = "TensorBoard is not installed; pip install 'urbild[tensorboard]'."
            raise ExtraError(msg) from None
        writer = SummaryWriter(str(directory))

        def event(row: Row) -> None:
            writer.add_scalar(f"{row.stage}/{row.split}/{row.name}", row.value, row.step)

        self._event, self._close = event, writer.close

    def add(self, rows: Sequence[Row]) -> None:
        """Keeps rows, and writes them out."""
        self.rows += rows
        try:
            if self._file is not None:
                self._file.write(as_csv(rows).split("\n", 1)[1])
                self._file.flush()
        except OSError as error:
            msg = f"cannot write {METRICS}: {error.strerror}; free some space, then go on with --resume."
            raise OutputError(msg) from error
        if self._event is not None:
            for row in rows:
                self._event(row)

    def close(self) -> None:
        """Ends the files."""
        if self._file is not None:
            self._file.close()
        if self._close is not None:
            self._close()
