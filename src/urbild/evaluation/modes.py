"""Mode suites: how many modes of a known mixture a generator finds, and how well.

Two rules are given side by side. By the published one a mode counts with a single sample within 3 deviations of it;
under it uniform noise covers 23 of the 25 modes of the grid with 2,500 samples. By ours a mode counts with 20 of them,
and with as many in proportion of another number of samples; noise then covers none. Neither says anything without the
share of good samples and the divergence from equal shares.

Source: Srivastava et al. 2017, https://arxiv.org/abs/1705.07761; Lin et al. 2018, https://arxiv.org/abs/1712.04086
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from urbild.data.mixtures import Mixture

GOOD = 3  # deviations
ENOUGH, DRAWN = 20, 2500  # good samples of a mode, of so many samples
BLOCK = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Modes:
    """What samples cover of K modes.

    Attributes:
        n: samples.
        of: K.
        covered: modes with one good sample or more, the published rule.
        held: modes with 20 good samples of 2,500 or more; of stacked digits, where so many are too much to ask, None.
        quality: share of good samples; of stacked digits, whose judge finds a mode for anything, None.
        kl: nats from the good samples' shares of modes to equal shares; ln K where none is good.
    """

    n: int
    of: int
    covered: int
    kl: float
    held: int | None = None
    quality: float | None = None


def mixture_modes(samples: ArrayLike, mixture: Mixture) -> Modes:
    """What samples [N, 2] cover of a mixture of round Gaussians; good is within 3 deviations of the nearest centre."""
    points = np.asarray(samples, dtype=np.float64)
    nearest = np.empty(len(points), dtype=np.int64)
    good = np.empty(len(points), dtype=bool)
    for start in range(0, len(points), BLOCK):
        rows = slice(start, start + BLOCK)
        squares = ((points[rows, None] - mixture.centres) ** 2).sum(2)  # [n, K]
        nearest[rows] = squares.argmin(1)
        good[rows] = squares.min(1) <= (GOOD * mixture.deviation) ** 2
    counts = np.bincount(nearest[good], minlength=len(mixture.centres))
    return Modes(
        n=len(points),
        of=len(counts),
        covered=int((counts >= 1).sum()),
        held=int((counts * DRAWN >= ENOUGH * len(points)).sum()),
        quality=float(good.mean()),
        kl=to_uniform(counts),
    )


def stacked_modes(told: ArrayLike, count: int) -> Modes:
    """What stacked digits cover of `count` numbers (1,000 or 100), from the number [N] that a judge reads in each."""
    counts = np.bincount(np.asarray(told, dtype=np.int64), minlength=count)
    return Modes(n=int(counts.sum()), of=count, covered=int((counts >= 1).sum()), kl=to_uniform(counts))


def to_uniform(counts: NDArray[np.int64]) -> float:
    """KL in nats from the shares of counts [K] to equal shares; ln K where nothing was counted."""
    total = int(counts.sum())
    if not total:
        return float(np.log(len(counts)))
    share = counts[counts > 0] / total
    return float((share * np.log(share * len(counts))).sum())
