"""Comparison of systems on the same data, under one budget, over several seeds.

Every system is fitted to the same normals, and every one is measured on the same labelled samples, which no fit has
seen. The measured samples rank the systems and choose nothing inside them: no option, no number of steps, no threshold.
A figure of the best of several systems is still flattered by the choice; measure the winner on other samples.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from urbild import catalogue
from urbild.contract import Model
from urbild.data import Reading, Records, as_records, split, verify
from urbild.detection import Detector, fit_detector
from urbild.detection.fitting import refuse_unless_scoring
from urbild.errors import DataError, OptionError, nearest
from urbild.evaluation.floors import floors
from urbild.evaluation.metrics import image_metrics
from urbild.evaluation.record import Floats
from urbild.training import Quiet, Reporter

if TYPE_CHECKING:
    import pandas as pd

METRICS = ("image_auroc", "image_aupr", "f1_max", "fpr95")
HELD_OUT = 0.5  # of the normals, where the data have no test part


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What was measured of one system.

    Attributes:
        model: its name; of a floor, what it looks at.
        mean: of the metric over seeds.
        deviation: standard deviation over seeds (of a sample; 0 for a single seed).
        values: the metric of each seed.
        fit_seconds: mean time of a fit.
        rate: samples scored a second, mean.
        floor: whether it is a trivial score and no system.
    """

    model: str
    mean: float
    deviation: float
    values: tuple[float, ...]
    fit_seconds: float = 0.0
    rate: float = 0.0
    floor: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaderboard:
    """The systems, the best first, beside the trivial scores.

    Attributes:
        metric: what they are ranked by.
        rows: the best first.
        protocol: data, counts, seeds, budget.
    """

    metric: str
    rows: tuple[Row, ...]
    protocol: dict[str, Any] = field(default_factory=dict)

    @property
    def best(self) -> str:
        """The name of the best system, floors aside."""
        return next(row.model for row in self.rows if not row.floor)

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        return asdict(self)

    def frame(self) -> "pd.DataFrame":
        """As a table, a row for each system."""
        import pandas as pd

        return pd.DataFrame([{**asdict(row), "values": " ".join(f"{v:.4f}" for v in row.values)} for row in self.rows])


def compare(
    data: object,
    models: Sequence[str | Model] | None = None,
    *,
    test: object = None,
    y: object = None,
    seeds: int | Sequence[int] = 3,
    metric: str = "image_auroc",
    options: Mapping[str, Mapping[str, Any]] | None = None,
    reading: Reading | None = None,
    reporter: Reporter | None = None,
    **common: Any,
) -> Leaderboard:
    """Ranks systems by how well they tell abnormal samples from normal ones.

    Args:
        data: anything that `data.as_records` takes. Of a folder or known data set with a train and a test part, the
            parts are used as they are; of other labelled data, half of the normals (groups whole) train and the rest
            is measured.
        models: names of systems or untrained models of one's own; by default all that score on such data.
        test: labelled samples to measure on, where `data` holds only normals.
        y: labels of an array `data`.
        seeds: how many, or which.
        metric: "image_auroc", "image_aupr", "f1_max" or "fpr95" (of which less is better).
        options: of single systems, by name.
        reading: how the data are read.
        reporter: told of the runs; None says nothing.
        **common: of every `Detector`: the budget (`steps`, `seconds` or `epochs`), `size`, `patch` and so on.

    Raises:
        DataError: labels are missing, or there are no normal or no abnormal samples to measure on.
        OptionError: an unknown system or metric, or no seed.
        NotScoringError: a system does not score.
    """
    if metric not in METRICS:
        msg = f"unknown metric {metric!r}; {nearest(str(metric), METRICS)}"
        raise OptionError(msg)
    chosen = list(range(seeds)) if isinstance(seeds, int) else list(seeds)
    if not chosen:
        msg = f"seeds={seeds!r} leaves nothing to run; give at least 1."
        raise OptionError(msg)
    trial = _trial(data, test, y, reading or Reading())
    train, held_out, abnormal = trial.train, trial.measured, trial.abnormal
    systems = [_system(model) for model in models] if models else _takers(train.kind)
    told = reporter or Quiet()
    rows = [
        _row(name, trial, metric, _fits(model, chosen, {**common, **(options or {}).get(name, {})}), told)
        for name, model in systems
    ]
    for name, score in floors(train, held_out).items():
        value = _measure(score, abnormal, metric)
        rows.append(Row(model=name, mean=value, deviation=0.0, values=(value,), floor=True))
    protocol = {
        "origin": train.origin,
        "train": len(train),
        "measured_normal": int((~abnormal).sum()),
        "measured_abnormal": int(abnormal.sum()),
        "checksum": train.checksum,
        "seeds": chosen,
        "budget": {name: common[name] for name in ("steps", "seconds", "epochs") if common.get(name) is not None},
    }
    better = 1 if metric == "fpr95" else -1
    return Leaderboard(metric=metric, rows=tuple(sorted(rows, key=lambda row: better * row.mean)), protocol=protocol)


def _system(model: str | Model) -> tuple[str, str | Model]:
    if isinstance(model, Model):
        return type(model).__name__, model
    refuse_unless_scoring(catalogue.card(model).scores, model)
    return model, model


def _takers(kind: str) -> list[tuple[str, str | Model]]:
    return [(card.name, card.name) for card in catalogue.cards().values() if card.scores and kind in card.kinds]


@dataclass(frozen=True, slots=True)
class _Trial:
    """Normals that train, samples that are measured, and which of these are abnormal."""

    train: Records
    measured: Records
    abnormal: "np.ndarray"


def _trial(data: object, test: object, y: object, reading: Reading) -> _Trial:
    first, second = replace(reading, part="train"), replace(reading, part="test")
    train = as_records(data, y=y, reading=first)
    measured = as_records(data, y=y, reading=second) if test is None else as_records(test, reading=second)
    if test is not None or list(train.ids) != list(measured.ids):
        return _Trial(_normals(train), measured, _labels(measured))
    abnormal = _labels(train)
    normal = np.flatnonzero(~abnormal)
    groups = None if train.groups is None else train.groups[normal]
    parts = split(len(normal), validation=0.0, calibration=HELD_OUT, groups=groups)
    rows = np.sort(np.concatenate([normal[parts.calibration], np.flatnonzero(abnormal)]))
    return _Trial(verify(train.select(normal[parts.train])), train.select(rows), abnormal[rows])


def _normals(records: Records) -> Records:
    return verify(records.select(records.normal_rows()))


def _labels(records: Records) -> "np.ndarray":
    abnormal = records.abnormal()
    if abnormal is None or abnormal.all() or not abnormal.any():
        what = "no labels" if abnormal is None else f"only {'abnormal' if abnormal.all() else 'normal'} samples"
        msg = (
            f"{records.origin} has {what}, so nothing can be compared; give normal and abnormal samples, labelled by "
            "folder names, a label column or y in an .npz."
        )
        raise DataError(msg)
    return abnormal


def _fits(model: str | Model, seeds: Sequence[int], options: Mapping[str, Any]) -> list[Detector]:
    return [Detector(model, random_state=seed, **options) for seed in seeds]


def _row(name: str, trial: _Trial, metric: str, detectors: Sequence[Detector], reporter: Reporter) -> Row:
    """Fits and measures a system with each of its seeds."""
    values, fitting, scoring = [], [], []
    for detector in detectors:
        start = perf_counter()
        fit_detector(detector, trial.train)
        middle = perf_counter()
        score = -detector.score_samples(trial.measured)
        fitting.append(middle - start)
        scoring.append(perf_counter() - middle)
        values.append(_measure(score, trial.abnormal, metric))
        reporter.note(f"{name}, seed {detector.seed_}: {metric} {values[-1]:.3f} in {fitting[-1]:.1f} s")
    return Row(
        model=name,
        mean=float(np.mean(values)),
        deviation=float(np.std(values, ddof=1)) if len(values) > 1 else 0.0,
        values=tuple(values),
        fit_seconds=float(np.mean(fitting)),
        rate=len(trial.measured) / max(float(np.mean(scoring)), 1e-9),
    )


def _measure(score: Floats, abnormal: "np.ndarray", metric: str) -> float:
    finite = np.nan_to_num(score, posinf=np.finfo(np.float64).max)
    return image_metrics(finite, abnormal, resamples=0)[metric].value
