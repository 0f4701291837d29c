"""Training and calibrating: the normals are split, a part trains, a part watches, a part calibrates."""

from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from urbild import catalogue, runs
from urbild.contract import Anomaly, Model, Scores, Source
from urbild.data import Preparation, Records, Split, split
from urbild.detection.calibration import check_alpha
from urbild.detection.heat import check_reduction, choose
from urbild.detection.inputs import UnknownOptionError
from urbild.detection.scorer import Scorer, patch_of
from urbild.detection.tiling import check_overlap
from urbild.errors import DataError, NotScoringError, OptionError, ShapeError, nearest
from urbild.training import Plan, Reporter

if TYPE_CHECKING:
    from urbild.detection.detector import Detector

PATIENCE = 10
_LOOK = 256  # normals that the reduction is chosen on


def fit_detector(
    detector: "Detector",
    records: Records,
    *,
    directory: Path | None = None,
    resume: bool = False,
    reporter: Reporter | None = None,
) -> "Detector":
    """Fits a detector to the normal samples of `records`, and saves it in `directory`.

    The normals are split into disjoint parts for training, early stopping and calibration; groups stay whole. Rows that
    are labelled abnormal are left out.

    Args:
        detector: whose options count; it is fitted in place.
        records: verified (see `data.verify`).
        directory: empty, or of the run to resume; None keeps nothing.
        resume: whether to go on with the interrupted run in `directory`.
        reporter: told of the run; None says nothing.

    Returns:
        The detector.

    Raises:
        NotScoringError: the system has no sound way to score.
        DataError: there are fewer than two normal samples, or groups that cannot be split.
        OptionError: an option is unknown or out of range.
    """
    detector._choose_seed()
    model = checked(detector)
    rows = records.normal_rows()
    normals = records if len(rows) == len(records) else records.select(rows)
    parts = _parts(detector, normals)
    preparation = _prepared(detector, normals, parts.train, model)
    crops = preparation.crops(detector.patches_per_image)
    source, watched = (
        preparation.source(normals, part, crops=crops, seed=detector.seed_, workers=detector.workers)
        for part in (parts.train, parts.validation)
    )
    if reporter:
        reporter.note(preparation.describe())
        reporter.note(_told(parts))
    run = runs.learn(
        model,
        detector.options,
        preparation,
        source,
        _plan(detector, validated=len(parts.validation) > 0),
        data={**runs.describe(records), **_counts(parts)},
        validation=watched if len(parts.validation) else None,
        directory=directory,
        resume=resume,
        reporter=reporter,
    )
    detector._take(run)
    detector.reduction_ = resolve(detector, watched if len(parts.validation) else source)
    detector._calibrate(normals.select(parts.calibration))
    if directory is not None:
        detector.save(directory)
    return detector


def checked(detector: "Detector") -> str | Model:
    """The system to train, a copy where it is a model of the user's own, after a look at all options.

    Raises:
        NotScoringError: the system does not score.
        OptionError: an option is unknown or out of range.
    """
    check_alpha(detector.alpha)
    check_reduction(detector.reduction)
    check_overlap(detector.overlap)
    if not 0 < detector.calibration <= 0.5:
        msg = f"calibration is {detector.calibration}; give the share kept to calibrate on, above 0 and at most 0.5."
        raise OptionError(msg)
    if not detector.patches_per_image > 0:
        msg = f"patches_per_image is {detector.patches_per_image}; give a number above 0."
        raise OptionError(msg)
    _plan(detector, validated=False)
    if isinstance(detector.model, str):
        check_options(detector.model, detector.options)
        refuse_unless_scoring(catalogue.card(detector.model).scores, detector.model)
        return detector.model
    if not isinstance(detector.model, Model):
        msg = f"model is a {type(detector.model).__name__}; give a system's name, or an instance of contract.Model."
        raise OptionError(msg)
    check_options(None, detector.options)
    refuse_unless_scoring(isinstance(detector.model, Scores), type(detector.model).__name__)
    return deepcopy(detector.model)


def check_options(name: str | None, options: dict[str, Any]) -> None:
    """Refuses options that a system does not have.

    Raises:
        UnknownOptionError: the nearest are shown.
    """
    known = catalogue.parameters(name) if name is not None else {}
    for option in options:
        if option not in known:
            what, near = name or "a model of one's own", f"; {nearest(option, known)}" if known else "."
            msg = f"{what} has no option {option!r}{near}"
            raise UnknownOptionError(msg)


def refuse_unless_scoring(scores: bool, name: str) -> None:
    """Names the systems that score.

    Raises:
        NotScoringError: this one does not.
    """
    if not scores:
        able = ", ".join(sorted(card.name for card in catalogue.cards().values() if card.scores))
        msg = f"{name} does not score, so it cannot be a detector; these do: {able}."
        raise NotScoringError(msg)


def resolve(detector: "Detector", source: Source) -> Any:
    """The reduction that "auto" means, by a look at some normals of `source`."""
    scorer = Scorer(model=detector.model_, preparation=detector.preparation_)
    rows = range(min(_LOOK, len(source)))
    seen = [scorer.anomaly(batch.x) for batch in source.stream((0, at) for at in _chunks(rows, scorer.batch))]
    means = [one.map.flatten(1).mean(1, keepdim=True) for one in seen if one.map is not None]
    together = Anomaly(torch.cat([one.score for one in seen]), torch.cat(means) if means else None)
    tiled = patch_of(detector.preparation_) is not None
    return choose(detector.reduction, detector.preparation_.spec, together, tiled=tiled)


def _chunks(rows: range, size: int) -> list[range]:
    return [rows[first : first + size] for first in range(0, len(rows), size)]


def _parts(detector: "Detector", normals: Records) -> Split:
    parts = split(
        len(normals),
        validation=detector.validation,
        calibration=detector.calibration,
        groups=normals.groups,
        seed=detector.seed_,
    )
    if not len(parts.train) or not len(parts.calibration):
        msg = f"{len(normals)} normal samples cannot be split into some to train on and some to calibrate; give more."
        raise DataError(msg)
    return parts


def _prepared(detector: "Detector", normals: Records, rows: "np.ndarray", model: str | Model) -> Preparation:
    size = detector.size
    own = None if isinstance(model, str) else model.spec
    if own is not None and own.kind == "image" and size is None and detector.patch is None:
        size = own.shape[1:]  # type: ignore[assignment]  # (C, H, W)
    preparation = Preparation.fit(
        normals,
        rows,
        size=size,
        normalise=detector.normalise,
        patch=detector.patch,
        window=detector.window,
        rate=detector.rate,
    )
    spec = preparation.spec
    if own is not None and (own.shape, own.kind) != (spec.shape, spec.kind):
        msg = f"the model takes {own.kind} samples of {own.shape}, but these are {spec.kind} data of {spec.shape}."
        raise ShapeError(msg)
    return preparation


def _plan(detector: "Detector", *, validated: bool) -> Plan:
    plan = Plan(
        steps=detector.steps,
        seconds=detector.seconds,
        epochs=detector.epochs,
        batch=detector.batch,
        seed=detector.seed_,
        precision=detector.precision,
        clip=detector.clip,
        patience=detector.patience,
        device=detector.device,
    )
    if not validated:
        return replace(plan, patience=None)
    return replace(plan, patience=PATIENCE) if plan.patience is None else plan


def _counts(parts: Split) -> dict[str, int]:
    return {"train": len(parts.train), "validation": len(parts.validation), "calibration": len(parts.calibration)}


def _told(parts: Split) -> str:
    return f"{len(parts.train)} samples train, {len(parts.validation)} watch, {len(parts.calibration)} calibrate"
