"""Where the command line writes: results to stdout, everything else to stderr."""

import json
import math
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TextIO

if TYPE_CHECKING:
    from rich.table import Table


class StoppedError(Exception):
    """The user stopped the command; the message says how to go on."""


@dataclass(frozen=True, slots=True)
class Console:
    """The user's two streams.

    Attributes:
        json: stdout carries one JSON object and nothing else.
        quiet: only results are written, no explanations and no progress.
    """

    json: bool = False
    quiet: bool = False

    @property
    def stream(self) -> TextIO:
        """Where words for people go."""
        return sys.stderr if self.json else sys.stdout

    @property
    def style(self) -> Literal["auto", "quiet"]:
        """How training reports its progress."""
        return "quiet" if self.quiet else "auto"

    def result(self, text: str) -> None:
        """Writes what the user asked for."""
        if not (self.json and self.quiet):
            print(text, file=self.stream, flush=True)

    def note(self, text: str = "") -> None:
        """Writes an explanation."""
        if not self.quiet:
            print(text, file=self.stream, flush=True)

    def warn(self, text: str) -> None:
        """Writes a warning, as one line."""
        print(f"urbild: warning: {' '.join(text.split())}", file=sys.stderr, flush=True)

    def table(self, table: "Table") -> None:
        """Writes a table that fits the terminal."""
        from rich.console import Console as Rich

        # Printed by ourselves: rich would exit by itself where nobody reads.
        rich = Rich(file=self.stream, highlight=False)
        with rich.capture() as capture:
            rich.print(table)
        self.result(capture.get().rstrip("\n"))

    @contextmanager
    def progress(self, what: str, total: int) -> Iterator[Callable[[int], None]]:
        """A bar in a terminal, which goes away in the end; nothing elsewhere. Yields what moves it on."""
        if self.quiet or not sys.stderr.isatty():
            yield lambda _: None
            return
        from rich.console import Console as Rich
        from rich.progress import Progress

        with Progress(console=Rich(stderr=True), transient=True) as bar:
            task = bar.add_task(what, total=total)
            yield lambda count: bar.advance(task, count)

    def object(self, result: Mapping[str, Any]) -> None:
        """Writes the JSON object that `json` promises."""
        if self.json:
            print(json.dumps(_plain(result), indent=2), flush=True)

    @contextmanager
    def warnings(self) -> Iterator[None]:
        """Shows each warning once, as one line."""
        seen: set[str] = set()

        def show(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
            text = str(message)
            if issubclass(category, UserWarning | RuntimeWarning) and text not in seen:
                seen.add(text)
                self.warn(text)

        with warnings.catch_warnings():
            warnings.simplefilter("default", UserWarning)
            warnings.showwarning = show
            yield


def table(title: str, *columns: str, right: Sequence[str] = ()) -> "Table":
    """An empty table in the library's look; the columns named in `right` are numbers."""
    from rich import box
    from rich.table import Table

    made = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold", pad_edge=False)
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return made


def number(value: float) -> str:
    """Four significant digits."""
    return "-" if math.isnan(value) else f"{value:.4g}"


def seconds(value: float) -> str:
    """A span of time in words."""
    if value < 90:
        return f"{value:.1f} s" if value < 10 else f"{value:.0f} s"
    return f"{value / 60:.0f} min" if value < 5400 else f"{value / 3600:.1f} h"


def _plain(value: Any) -> Any:
    """JSON has no NaN and no infinity: they become null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
