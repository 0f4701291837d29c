"""Heat maps, and the reductions that make a map into one score.

A heat map is the model's anomaly map [H, W], smoothed by a Gaussian whose sigma is 1/32 of the shorter side of the
model's input (2 px at 64 x 64): single noisy sites say little, a defect spans several. The reductions:

- "model": the model's own score;
- "mean": mean of the heat map;
- "max": maximum of the heat map;
- "top": mean of the highest 1 % of the heat map;
- "auto": "model" for vectors, for images up to 40 px a side, and for systems whose score does not follow their map
  (its correlation with the map's mean over training samples is below 0.9); "max" otherwise, since on larger images a
  small defect drowns in a mean.
"""

import math
from typing import Literal, TypeAlias, get_args

from torch import Tensor

from urbild.contract import Anomaly, DataSpec
from urbild.errors import NotScoringError, OptionError, nearest
from urbild.ops.smoothing import gaussian_blur

Reduction: TypeAlias = Literal["auto", "model", "mean", "max", "top"]

SIGMA = 1 / 32
TOP = 0.01
SMALL = 40
FOLLOWS = 0.9


def check_reduction(reduction: str) -> None:
    """Refuses an unknown reduction.

    Raises:
        OptionError: there is no such reduction.
    """
    known = get_args(Reduction)
    if reduction not in known:
        msg = f"unknown reduction {reduction!r}; {nearest(str(reduction), known)}"
        raise OptionError(msg)


def choose(reduction: Reduction, spec: DataSpec, seen: Anomaly) -> Reduction:
    """What "auto" means for a model, from the anomaly of some training samples; others are returned as they are.

    Raises:
        NotScoringError: a reduction of the map is asked of a system that gives no map.
    """
    if reduction != "auto":
        if reduction != "model" and seen.map is None:
            msg = f"reduction {reduction!r} needs an anomaly map, which this system does not give; use 'model'."
            raise NotScoringError(msg)
        return reduction
    if seen.map is None or spec.kind != "image" or max(spec.sites) <= SMALL:
        return "model"
    return "max" if _follows(seen.score.double(), seen.map.double().flatten(1).mean(1)) else "model"


def _follows(score: Tensor, mean: Tensor) -> bool:
    score, mean = score - score.mean(), mean - mean.mean()
    return bool((score @ mean) >= FOLLOWS * score.norm() * mean.norm())


def smooth(maps: Tensor, spec: DataSpec) -> Tensor:
    """Heat maps [N, H, W] of anomaly maps [N, H, W]; maps of other data than images are left as they are."""
    return gaussian_blur(maps, SIGMA * min(spec.sites)) if spec.kind == "image" else maps


def reduce(score: Tensor, maps: Tensor | None, reduction: Reduction) -> Tensor:
    """One score [N] a sample from the model's scores [N] and the heat maps [N, *sites]."""
    if maps is None or reduction in ("auto", "model"):
        return score
    flat = maps.flatten(1)  # [N, sites]
    match reduction:
        case "mean":
            return flat.mean(1)
        case "max":
            return flat.amax(1)
        case _:
            return flat.topk(max(1, math.ceil(TOP * flat.shape[1])), dim=1).values.mean(1)
