"""Split-conformal calibration: a threshold that means a false-alarm rate.

With n calibration scores, p(s) = (1 + #{calibration >= s}) / (n + 1). If a new normal is exchangeable with the
calibration normals, P(p <= alpha) <= alpha. Where samples belong together in groups, a group's largest score stands for
it, and the promise is made for groups.

Source: Vovk, Gammerman and Shafer 2005, Algorithmic learning in a random world; Laxhammar and Falkman 2010,
Conformal prediction for distribution-independent anomaly detection in streaming vessel data.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias
from warnings import warn

import numpy as np
from numpy.typing import ArrayLike, NDArray

from urbild.errors import DataError, OptionError

Floats: TypeAlias = NDArray[np.float64]

ENOUGH = 20  # calibration scores; below it the smallest reachable alpha is above 1/20
_ANCHOR = 0.95  # the calibration quantile that the display scale shows at 0.5


class CalibrationWarning(UserWarning):
    """The calibration is too small for what is asked of it."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """The scores of normals that took no part in training.

    Attributes:
        scores: [n] float64, ascending, finite; one for each sample, or for each group its largest.
        grouped: whether they stand for groups.
    """

    scores: Floats
    grouped: bool = False

    @classmethod
    def fit(cls, scores: ArrayLike, groups: ArrayLike | None = None) -> "Calibration":
        """Keeps the scores of N normals.

        Args:
            scores: [N] raw, larger is stranger.
            groups: [N] integers; samples of one group belong together.

        Raises:
            DataError: there are no scores.
        """
        values = _finite(scores)
        if not len(values):
            msg = "no normal samples are left to calibrate on; give at least 2, better 40."
            raise DataError(msg)
        if groups is not None:
            _, place = np.unique(np.asarray(groups), return_inverse=True)
            largest = np.full(place.max() + 1, -np.inf)
            np.maximum.at(largest, place, values)
            values = largest
        return cls(np.sort(values), grouped=groups is not None)

    @property
    def n(self) -> int:
        """Number of calibration scores."""
        return len(self.scores)

    @property
    def smallest_alpha(self) -> float:
        """The smallest p-value that can occur; a smaller alpha flags nothing."""
        return 1 / (self.n + 1)

    def p_value(self, scores: ArrayLike) -> Floats:
        """Conformal p-values of raw scores, both [N]; a score that is not a number counts as the largest."""
        at_least = self.n - np.searchsorted(self.scores, _finite(scores), side="left")
        p: Floats = (1 + at_least) / (self.n + 1)
        return p

    def threshold(self, alpha: float) -> float:
        """The score above which (strictly) p <= alpha; infinite where alpha is too small to be reached.

        Raises:
            OptionError: alpha is not between 0 and 1.
        """
        allowed = self._allowed(alpha)
        return float(self.scores[self.n - allowed]) if allowed else np.inf

    def margin(self, scores: ArrayLike, alpha: float) -> Floats:
        """How normal raw scores are: below 0 exactly where p <= alpha, and falling as scores rise.

        It is threshold - score; where alpha cannot be reached, a positive function of (largest calibration - score).
        """
        values = _finite(scores)
        threshold = self.threshold(alpha)
        with np.errstate(over="ignore"):
            if np.isfinite(threshold):
                below: Floats = threshold - values
                return below
            distance = self.scores[-1] - values
            above: Floats = np.maximum(distance, 0) + 1 / (1 + np.maximum(-distance, 0))
            return above

    def display(self, scores: ArrayLike) -> Floats:
        """Raw scores [N] on a scale from 0 to 1 for the eye, set on the calibration alone.

        The calibration's median is shown at 0.25 and its 95 % quantile at 0.5; with t the distance from the latter in
        units of the distance between the two, the display is (1 + t / (1 + |t|)) / 2, which never quite saturates.
        """
        middle, high = np.quantile(self.scores, (0.5, _ANCHOR))
        unit = high - middle or (self.scores[-1] - self.scores[0]) or abs(high) or 1.0
        with np.errstate(over="ignore"):
            t = np.clip((_finite(scores) - high) / unit, -1e300, 1e300)
        shown: Floats = (1 + t / (1 + np.abs(t))) / 2
        return shown

    def check(self, alpha: float) -> None:
        """Warns where `alpha` cannot be reached.

        Raises:
            OptionError: alpha is not between 0 and 1.
        """
        if not self._allowed(alpha):
            wanted = int(np.ceil(1 / alpha)) - 1
            msg = (
                f"alpha = {alpha:g} flags nothing: with {self.n} calibration {self._units} the smallest reachable "
                f"alpha is {self.smallest_alpha:.4g}; recalibrate on at least {wanted} normal {self._units}."
            )
            warn(msg, CalibrationWarning, stacklevel=4)

    def check_size(self, alpha: float) -> None:
        """Warns, once, where there are few calibration scores or `alpha` cannot be reached.

        Raises:
            OptionError: alpha is not between 0 and 1.
        """
        self.check(alpha)
        if self.n < ENOUGH and self._allowed(alpha):
            msg = (
                f"calibrated on {self.n} normal {self._units}, fewer than {ENOUGH}: the smallest reachable alpha is "
                f"{self.smallest_alpha:.4g}; give more normal {self._units}."
            )
            warn(msg, CalibrationWarning, stacklevel=4)

    def to_json(self) -> dict[str, Any]:
        """As JSON data, to the last bit."""
        return {"scores": self.scores.tolist(), "grouped": self.grouped}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Calibration":
        """What `to_json` gave."""
        return cls(np.sort(np.asarray(data["scores"], dtype=np.float64)), grouped=bool(data["grouped"]))

    @property
    def _units(self) -> str:
        return "groups" if self.grouped else "samples"

    def _allowed(self, alpha: float) -> int:
        """The largest k with k / (n + 1) <= alpha, as p-values are compared, not as alpha (n + 1) is rounded."""
        check_alpha(alpha)
        reachable = np.arange(1, self.n + 2) / (self.n + 1)
        return int(np.searchsorted(reachable, alpha, side="right"))


def check_alpha(alpha: float) -> None:
    """Refuses what is no false-alarm rate.

    Raises:
        OptionError: alpha is not between 0 and 1.
    """
    if not 0 < alpha < 1:
        msg = f"alpha is {alpha}, but a false-alarm rate lies between 0 and 1; try 0.05."
        raise OptionError(msg)


def _finite(scores: ArrayLike) -> Floats:
    """Float64, with what is infinite or not a number as the largest number there is."""
    largest = np.finfo(np.float64).max
    finite: Floats = np.nan_to_num(np.asarray(scores, dtype=np.float64), nan=largest, posinf=largest, neginf=-largest)
    return finite
