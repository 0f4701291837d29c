"""What a person sees while a run goes on: a bar in a terminal, plain lines elsewhere, or nothing."""

import sys
import time
from collections.abc import Mapping
from typing import Literal, Protocol, TextIO, TypeAlias

from urbild.errors import OptionError, nearest

Style: TypeAlias = Literal["auto", "rich", "plain", "quiet"]
STYLES = ("auto", "rich", "plain", "quiet")
PLAIN_SECONDS = 10.0


class Reporter(Protocol):
    """Told of a run as it goes."""

    def note(self, text: str) -> None:
        """One line of news."""

    def start(self, stage: str, steps: int, done: int) -> None:
        """A stage of `steps` steps begins, or goes on after `done` of them."""

    def step(self, done: int, losses: Mapping[str, float], rate: float) -> None:
        """`done` steps are done, at `rate` samples a second; `losses` by turn and name."""

    def close(self) -> None:
        """The stage is over, or was broken off."""


class Quiet:
    """Says nothing."""

    def note(self, text: str) -> None:
        """Ignored."""

    def start(self, stage: str, steps: int, done: int) -> None:
        """Ignored."""

    def step(self, done: int, losses: Mapping[str, float], rate: float) -> None:
        """Ignored."""

    def close(self) -> None:
        """Ignored."""


class Plain:
    """Lines for files and pipes: one every ten seconds, and the last."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._stage, self._steps, self._line, self._shown = "", 0, "", True
        self._begun, self._first, self._last = 0.0, 0, 0.0

    def note(self, text: str) -> None:
        """Writes the line."""
        self._stream.write(text + "\n")
        self._stream.flush()

    def start(self, stage: str, steps: int, done: int) -> None:
        """Begins to count."""
        self._stage, self._steps, self._first = stage, steps, done
        self._begun = self._last = time.monotonic()
        self._shown = True

    def step(self, done: int, losses: Mapping[str, float], rate: float) -> None:
        """Writes a line when ten seconds have passed."""
        now = time.monotonic()
        left = (now - self._begun) / max(done - self._first, 1) * (self._steps - done)
        terms = "  ".join(f"{name} {value:.4g}" for name, value in losses.items())
        self._line = f"{self._stage} {done}/{self._steps}  {terms}  {rate:,.0f}/s  {clock(left)} left"
        self._shown = now - self._last >= PLAIN_SECONDS
        if self._shown:
            self.note(self._line)
            self._last = now

    def close(self) -> None:
        """Writes the last line, if it was not shown."""
        if not self._shown:
            self.note(self._line)
            self._shown = True


class Rich:
    """A bar with the losses, the rate and the time that is left."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[terms]}"),
            TimeRemainingColumn(compact=True),
            console=self._console,
            transient=True,
        )
        self._task = self._bar.add_task("", visible=False, terms="")

    def note(self, text: str) -> None:
        """Writes the line above the bar."""
        self._console.print(text, markup=False, highlight=False)

    def start(self, stage: str, steps: int, done: int) -> None:
        """Shows the bar."""
        self._bar.reset(self._task, description=stage, total=steps, completed=done, visible=True, terms="")
        self._bar.start()

    def step(self, done: int, losses: Mapping[str, float], rate: float) -> None:
        """Moves the bar."""
        terms = "  ".join(f"{name} {value:.4g}" for name, value in list(losses.items())[:4])
        self._bar.update(self._task, completed=done, terms=f"{terms}  {rate:,.0f}/s")

    def close(self) -> None:
        """Takes the bar away."""
        self._bar.stop()


def reporter(style: Style = "auto") -> Reporter:
    """The reporter of a style; "auto" is a bar in a terminal and plain lines elsewhere.

    Raises:
        OptionError: unknown style.
    """
    if style == "auto":
        style = "rich" if sys.stderr.isatty() else "plain"
    match style:
        case "rich":
            return Rich()
        case "plain":
            return Plain()
        case "quiet":
            return Quiet()
    msg = f"unknown style of progress {style!r}; {nearest(style, STYLES)}"
    raise OptionError(msg)


def clock(seconds: float) -> str:
    """A time as a person says it: 45 s, 3 min, 2 h 10 min."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
