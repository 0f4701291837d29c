"""How well scores tell abnormal samples from normal ones, with bootstrap intervals. Larger scores are stranger.

- "image_auroc": area under the ROC curve, ties counted half;
- "image_aupr": average precision, the abnormal samples being the positives;
- "f1_max": the largest F1 over all thresholds (chosen on the evaluated samples themselves: an upper end, no promise);
- "fpr95": the smallest false-alarm rate at which at least 95 % of the abnormal samples are found;
- "pixel_auroc", "pro": see `pixels`.

Intervals are 95 % percentile intervals of a stratified bootstrap: normal and abnormal samples are drawn with
replacement, each kind as often as it occurs.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import beta

from urbild.errors import DataError
from urbild.evaluation.pixels import Pixels
from urbild.evaluation.record import Array, Curve, Floats, Interval

Bools: TypeAlias = NDArray[np.bool_]

METRICS = ("image_auroc", "image_aupr", "f1_max", "fpr95", "pixel_auroc", "pro")
LEVEL = 0.95
FOUND = 0.95
_BLOCK = 4_000_000  # weights held at a time
_GRID = np.linspace(0, 1, 201)


def detection_metrics(
    score: ArrayLike,
    abnormal: ArrayLike,
    *,
    maps: Sequence[Array] | None = None,
    masks: Sequence[Array] | None = None,
    seed: int = 0,
    resamples: int = 1000,
) -> dict[str, Interval]:
    """The metrics of raw scores, and of raw maps where there are masks.

    Args:
        score: [N], larger is stranger.
        abnormal: [N] bool, the truth; both kinds must occur.
        maps: N heat maps [H, W].
        masks: N masks [H, W] bool, all False for a normal image.
        seed: of the bootstrap.
        resamples: drawn by the bootstrap.

    Raises:
        DataError: one of the two kinds is missing, or numbers of samples differ.
    """
    found = image_metrics(score, abnormal, seed=seed, resamples=resamples)
    if maps is not None and masks is not None:
        pixels = Pixels()
        for one, mask in zip(maps, masks, strict=True):
            pixels.add(one, mask)
        found |= pixels.metrics(seed=seed, resamples=resamples)
    return found


def image_metrics(
    score: ArrayLike, abnormal: ArrayLike, *, seed: int = 0, resamples: int = 1000
) -> dict[str, Interval]:
    """The metrics of whole samples; see `detection_metrics`."""
    from torch import from_numpy
    from torchmetrics.functional.classification import binary_auroc, binary_average_precision

    ranking = Ranking(score, abnormal)
    # torchmetrics squashes what lies outside [0, 1] in float32, where large scores would tie: it is given ranks
    ranks, truth = from_numpy(ranking.ranks()), from_numpy(ranking.abnormal)
    value = {
        "image_auroc": float(binary_auroc(ranks, truth)),
        "image_aupr": float(binary_average_precision(ranks, truth)),
    }
    value |= {name: float(v[0]) for name, v in _measure(ranking, ranking.once()).items() if name not in value}
    drawn = [_measure(ranking, block) for block in ranking.resample(seed, resamples)]
    return {name: interval(value[name], np.concatenate([np.zeros(0), *(d[name] for d in drawn)])) for name in value}


def interval(value: float, drawn: Floats) -> Interval:
    """The percentile interval of resampled values, stretched to the value where that lies outside."""
    low, high = np.quantile(drawn, ((1 - LEVEL) / 2, (1 + LEVEL) / 2)) if len(drawn) else (value, value)
    return Interval(value, min(value, float(low)), max(value, float(high)))


def rate(hits: ArrayLike) -> Interval:
    """The share of true entries, with its exact 95 % interval.

    Source: Clopper and Pearson 1934, The use of confidence or fiducial limits illustrated in the case of the binomial.
    """
    found = np.asarray(hits, dtype=bool)
    n, k = len(found), int(found.sum())
    low = beta.ppf((1 - LEVEL) / 2, k, n - k + 1) if k else 0.0
    high = beta.ppf((1 + LEVEL) / 2, k + 1, n - k) if k < n else 1.0
    return Interval(k / n, float(low), float(high))


def mean(values: Floats, *, seed: int = 0, resamples: int = 1000) -> Interval:
    """The mean of [N] values, with its interval."""
    rng = np.random.default_rng(seed)
    share = np.full(len(values), 1 / len(values))
    each = max(1, _BLOCK // len(values))
    blocks = [min(each, resamples - first) for first in range(0, resamples, each)]
    drawn = [rng.multinomial(len(values), share, size=count) @ values / len(values) for count in blocks]
    return interval(float(values.mean()), np.concatenate([np.zeros(0), *drawn]))


class Ranking:
    """Scores from the strangest down, with ties kept together, and how often each sample is drawn.

    Attributes:
        abnormal: [N] bool, in the given order.
    """

    def __init__(self, score: ArrayLike, abnormal: ArrayLike) -> None:
        """See `detection_metrics`."""
        values, self.abnormal = np.asarray(score, dtype=np.float64), np.asarray(abnormal, dtype=bool)
        if values.shape != self.abnormal.shape:
            msg = f"there are {values.size} scores for {self.abnormal.size} labels; give one label a sample."
            raise DataError(msg)
        if self.abnormal.all() or not self.abnormal.any():
            kind = "normal" if self.abnormal.all() else "abnormal"
            msg = f"detection metrics need normal and abnormal samples, but there is no {kind} one among {values.size}."
            raise DataError(msg)
        self._levels = np.unique(values, return_inverse=True)[1]  # [N], equal for ties, larger is stranger
        order = np.argsort(-self._levels, kind="stable")
        self._truth = self.abnormal[order]  # [N], the strangest first
        self._ends = np.flatnonzero(np.diff(self._levels[order], append=-1))  # last place of each tie

    def ranks(self) -> Floats:
        """[N] in [0, 1], in the given order; equal for ties."""
        ranks: Floats = self._levels / max(1, self._levels.max())
        return ranks

    def once(self) -> tuple[Floats, Floats]:
        """False alarms and hits, as rates [1, 1 + thresholds], from none to all, of the samples as they are."""
        return self._rates(np.ones((1, len(self._truth))))

    def resample(self, seed: int, resamples: int) -> Iterator[tuple[Floats, Floats]]:
        """The same [B, 1 + thresholds] for resampled samples, some resamples at a time."""
        rng = np.random.default_rng(seed)
        for first in range(0, resamples, size := max(1, _BLOCK // len(self._truth))):
            weight = np.empty((min(size, resamples - first), len(self._truth)))
            for kind in (True, False):
                members = np.flatnonzero(self._truth == kind)
                drawn = rng.integers(len(members), size=(len(weight), len(members)))
                drawn += np.arange(len(weight))[:, None] * len(members)
                count = np.bincount(drawn.ravel(), minlength=len(weight) * len(members))
                weight[:, members] = count.reshape(len(weight), -1)
            yield self._rates(weight)

    def _rates(self, weight: Floats) -> tuple[Floats, Floats]:
        rates = []
        for kind in (False, True):
            total = np.cumsum(weight * (self._truth == kind), axis=1)
            reached = total[:, self._ends] / total[:, -1:]
            rates.append(np.concatenate([np.zeros((len(weight), 1)), reached], axis=1))
        return rates[0], rates[1]

    @property
    def odds(self) -> float:
        """Normal samples for each abnormal one: what turns rates into precision."""
        return float((~self.abnormal).sum() / self.abnormal.sum())


def _measure(ranking: Ranking, rates: tuple[Floats, Floats]) -> Mapping[str, Floats]:
    """The image metrics [B] of ROC curves [B, P]."""
    false, found = rates
    precision = _precision(false, found, ranking.odds)
    f1 = 2 * precision * found / np.maximum(precision + found, np.finfo(float).tiny)
    enough = np.argmax(found >= FOUND - 1e-12, axis=1)
    return {
        "image_auroc": (np.diff(false, axis=1) * (found[:, 1:] + found[:, :-1]) / 2).sum(1),
        "image_aupr": (np.diff(found, axis=1) * precision[:, 1:]).sum(1),
        "f1_max": f1.max(1),
        "fpr95": false[np.arange(len(false)), enough],
    }


def _precision(false: Floats, found: Floats, odds: float) -> Floats:
    """Share of the abnormal among the flagged; 1 where nothing is flagged."""
    flagged = found + odds * false
    return np.divide(found, flagged, out=np.ones_like(found), where=flagged > 0)


def curves(score: ArrayLike, abnormal: ArrayLike, *, seed: int = 0, resamples: int = 200) -> dict[str, Curve]:
    """ROC and precision-recall curves with pointwise 95 % bands, at 201 places.

    Args:
        score: [N], larger is stranger.
        abnormal: [N] bool.
        seed: of the bootstrap.
        resamples: drawn by the bootstrap.

    Raises:
        DataError: normal or abnormal samples are missing.
    """
    ranking = Ranking(score, abnormal)
    roc, pr = _lines(ranking, ranking.once())
    drawn = [_lines(ranking, block) for block in ranking.resample(seed, resamples)]
    return {
        "roc": _banded(roc[0], np.concatenate([lines[0] for lines in drawn])),
        "pr": _banded(pr[0], np.concatenate([lines[1] for lines in drawn])),
    }


def _lines(ranking: Ranking, rates: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
    """Hits at each false-alarm rate of the grid, and precision at each share of hits, both [B, grid]."""
    roc, pr = [], []
    for false, found in zip(*rates, strict=True):
        precision = _precision(false, found, ranking.odds)
        roc.append(np.interp(_GRID, false, found))
        # at a wanted share of hits: the first threshold that reaches it, as average precision has it
        pr.append(precision[np.searchsorted(found, np.minimum(_GRID, found[-1]), side="left").clip(1)])
    return np.stack(roc), np.stack(pr)


def _banded(line: Floats, drawn: Floats) -> Curve:
    low, high = np.quantile(drawn, ((1 - LEVEL) / 2, (1 + LEVEL) / 2), axis=0)
    return Curve(_GRID, line, np.minimum(low, line), np.maximum(high, line))
