"""Heat maps, and the reductions that make a map into one score.

A heat map is the model's anomaly map [H, W], smoothed by a Gaussian whose sigma is 1/32 of the shorter side of the
model's input (2 px at 64 x 64): single noisy sites say little, a defect spans several. The reductions:

- "model": the model's own score;
- "mean": mean of the heat map;
- "max": maximum of the heat map;
- "top": mean of the highest 1 % of the heat map;
- "auto": "model" for vectors, for images up to 40 px a side, and for systems whose score does not follow their map
  (its rank correlation with the map's mean is below 0.9 on normals that do not calibrate); "max" otherwise, since on
  larger images a small defect drowns in a mean.

Where images are tiled, "model" is the largest score of a window.
"""

import math
from typing import Literal, TypeAlias, get_args

import numpy as np
from scipy.stats import rankdata
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


def choose(reduction: Reduction, spec: DataSpec, seen: Anomaly, *, tiled: bool = False) -> Reduction:
    """What "auto" means for a model; other reductions are returned as they are.

    Args:
        reduction: wanted.
        spec: of the model's input.
        seen: of some normal samples.
        tiled: whether images are scored by windows; then small windows do not speak for "model".

    Raises:
        NotScoringError: a reduction of the map is asked of a system that gives no map.
    """
    if reduction != "auto":
        if reduction != "model" and seen.map is None:
            msg = f"reduction {reduction!r} needs an anomaly map, which this system does not give; use 'model'."
            raise NotScoringError(msg)
        return reduction
    small = not tiled and spec.kind == "image" and max(spec.sites) <= SMALL
    if seen.map is None or spec.kind != "image" or small:
        return "model"
    return "max" if _agreement(seen.score, seen.map.flatten(1).mean(1)) >= FOLLOWS else "model"


def _agreement(score: Tensor, mean: Tensor) -> float:
    """Spearman's rank correlation of two [N]; 0 where one of them is constant."""
    one, other = (rankdata(values.double().cpu().numpy()) for values in (score, mean))
    if one.std() == 0 or other.std() == 0:
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])


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
