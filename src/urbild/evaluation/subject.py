"""What an evaluation needs of a detector, said as protocols: evaluation and detection do not import each other."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from urbild.data import Records
from urbild.evaluation.record import Array, Floats
from urbild.runs import Run


class Scored(Protocol):
    """Some samples, scored; a `detection.Block`."""

    @property
    def score(self) -> Floats:
        """[n] raw, larger is stranger."""

    @property
    def maps(self) -> Sequence[Array] | None:
        """Heat maps [H, W] at the images' size."""

    @property
    def contributions(self) -> Floats | None:
        """[n, columns] of a table."""


class Decides(Protocol):
    """A `detection.Calibration`."""

    @property
    def scores(self) -> Floats:
        """[n] of the calibration, ascending."""

    def p_value(self, scores: Floats) -> Floats:
        """Conformal p-values [N]."""

    def threshold(self, alpha: float) -> float:
        """The score above which p <= alpha."""

    def display(self, scores: Floats) -> Floats:
        """Scores [N] on a scale from 0 to 1."""


class Subject(Protocol):
    """What scores and may be calibrated: a `detection.Detector`."""

    @property
    def alpha(self) -> float:
        """At which verdicts are given."""

    @property
    def run_(self) -> Run:
        """The trained run."""

    @property
    def reduction_(self) -> str | None:
        """From map to score."""

    @property
    def calibration_(self) -> Decides | None:
        """None where the model was trained but not calibrated."""

    def blocks(self, X: Records, *, maps: bool = False) -> Iterator[Scored]:
        """All samples scored in order, some at a time."""
