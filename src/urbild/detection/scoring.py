"""Scores of many samples, with what was decided about them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from urbild.data import Records
from urbild.detection.calibration import Calibration
from urbild.detection.scorer import Floats, HeatMap, Scorer


@dataclass(frozen=True, slots=True, kw_only=True)
class Scoring:
    """What is known of N samples. Here larger is stranger.

    Attributes:
        ids: of the samples.
        score: [N] raw.
        p_value: [N] conformal, or None without a calibration.
        anomalous: [N] bool, p_value <= alpha; None without a calibration.
        maps: N heat maps [H, W] at the images' size, or None where they were not wanted or do not exist.
        columns: names of a table's columns, else ().
        contributions: [N, columns] what each column adds to the strangeness, or None.
    """

    ids: tuple[str, ...]
    score: Floats
    p_value: Floats | None = None
    anomalous: NDArray[np.bool_] | None = None
    maps: list[HeatMap] | None = None
    columns: tuple[str, ...] = ()
    contributions: Floats | None = None


def collect(
    scorer: Scorer, records: Records, calibration: Calibration | None, alpha: float, *, maps: bool = False
) -> Scoring:
    """Scores all records. With `maps` all heat maps are held: for very many images, take `Scorer.blocks` instead."""
    blocks = list(scorer.blocks(records, maps=maps))
    score = np.concatenate([block.score for block in blocks]) if blocks else np.zeros(0)
    p_value = None if calibration is None else calibration.p_value(score)
    found = [one for block in blocks for one in block.maps or ()]
    shares = [block.contributions for block in blocks if block.contributions is not None]
    return Scoring(
        ids=tuple(records.ids),
        score=score,
        p_value=p_value,
        anomalous=None if p_value is None else p_value <= alpha,
        maps=found if found else None,
        columns=scorer.columns if shares else (),
        contributions=np.concatenate(shares) if shares else None,
    )
