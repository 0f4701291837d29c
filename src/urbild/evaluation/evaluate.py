"""An evaluation by verbs: what a trained model can do is measured, and what it cannot is said."""

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from time import perf_counter
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from urbild.contract import Classifies, Density, Model, Reconstructs, Samples, verbs_of
from urbild.data import Preparation, Records
from urbild.errors import DataError
from urbild.evaluation import examples, judgement
from urbild.evaluation.gallery import gallery as make_gallery
from urbild.evaluation.generators.measure import Generation, enough, measure
from urbild.evaluation.metrics import curves, image_metrics, mean, rate
from urbild.evaluation.pixels import Pixels
from urbild.evaluation.record import (
    CalibrationScores,
    Evaluation,
    Floats,
    Interval,
    Likelihoods,
)
from urbild.evaluation.subject import Subject
from urbild.runs import Run

Bools: TypeAlias = NDArray[np.bool_]

LABELS = (
    "give labels by folder names (good/ and others), a label column (--label-column) or y in an .npz, and name the "
    "normal classes with --normal where their names do not tell."
)


def evaluate(
    subject: Subject | Run,
    records: Records,
    *,
    part: str = "all",
    normal: Sequence[str] | None = None,
    labelled: bool | None = None,
    seed: int = 0,
    resamples: int = 1000,
    gallery: int = 12,
    samples: int = 16,
    generation: Generation | None = None,
) -> Evaluation:
    """Measures what a trained model can do.

    Args:
        subject: a detector, or a run of a system that does not score.
        records: raw samples, labelled where detection is to be measured.
        part: of the data, for the protocol.
        normal: names of the normal classes, where their names do not tell.
        labelled: whether labels are needed. By default they are, unless the model also samples or gives likelihoods.
        seed: of the bootstrap and of the samples.
        resamples: drawn by the bootstrap.
        gallery: samples shown, half of them the strangest.
        samples: new ones drawn to be shown.
        generation: how the samples of the model are to be measured beside real ones, or None.

    Raises:
        DataError: there are no samples or too few, or labels are missing where they are needed.
        OptionError: samples are to be measured of a model that draws none.
        ShapeError: the samples do not fit the model.
    """
    run = subject if isinstance(subject, Run) else subject.run_
    if not len(records):
        msg = f"{records.origin} has no samples to evaluate on."
        raise DataError(msg)
    scoring = None if isinstance(subject, Run) else subject
    # labels may be classes that do not tell what is normal, and need not where nothing is scored
    judged = scoring is not None and generation is None
    abnormal = None if isinstance(run.model, Classifies) else _abnormal(records, normal, judged=judged)
    if labelled is None:
        labelled = scoring is not None and not isinstance(run.model, Density | Samples)
    if labelled and abnormal is None:
        msg = f"{records.origin} has no labels, which detection metrics need; {LABELS}"
        raise DataError(msg)
    work = _Work(run, records, abnormal, seed, resamples)
    if generation is not None:
        enough(run, records, generation, rows=np.flatnonzero(work.normals))
    found = Evaluation(
        data=_described(records, abnormal, part),
        protocol=_protocol(run, seed, resamples),
        ids=tuple(records.ids),
        abnormal=abnormal,
        label=None if records.labels is None else np.asarray(records.labels, dtype=np.int64),
        classes=records.classes,
    )
    if scoring is not None:
        _detection(found, work, scoring)
    else:
        found.notes += (f"no detection was measured, as {run.name or type(run.model).__name__} gives no anomaly score",)
    _by_verbs(found, work)
    if isinstance(run.model, Classifies):
        judgement.accuracy(found, run.model, run.preparation, records)
    found.gallery = make_gallery(found, run, records, scoring, gallery)
    drawn = examples.drawn(run.model, run.preparation, samples, seed)
    found.samples = None if drawn is None else examples.pictures(drawn, run.preparation)
    if generation is not None:
        measure(found, run, records, generation, rows=np.flatnonzero(work.normals), shown=drawn, seed=seed)
    return found


def _abnormal(records: Records, normal: Sequence[str] | None, *, judged: bool) -> Bools | None:
    """Which samples are abnormal; None where that is not labelled, or not told and not needed."""
    try:
        return records.abnormal(normal)
    except DataError:
        if judged or normal is not None or records.normal is not None:
            raise
        return None


@dataclass(frozen=True, slots=True)
class _Work:
    """What is evaluated, and how."""

    run: Run
    records: Records
    abnormal: Bools | None
    seed: int
    resamples: int

    @property
    def model(self) -> Model:
        return self.run.model

    @property
    def preparation(self) -> Preparation:
        return self.run.preparation

    @property
    def bootstrap(self) -> dict[str, int]:
        return {"seed": self.seed, "resamples": self.resamples}

    @property
    def normals(self) -> Bools:
        """Which samples likelihoods and errors are averaged over."""
        return np.ones(len(self.records), dtype=bool) if self.abnormal is None else ~self.abnormal


def _detection(found: Evaluation, work: _Work, subject: Subject) -> None:
    """Scores, verdicts, metrics and curves."""
    pixels = _pixels(work)
    start = perf_counter()
    score = _scores(work, subject, pixels)
    seconds = perf_counter() - start
    found.score = score
    found.protocol |= {
        "reduction": subject.reduction_ or "model",
        "seconds": round(seconds, 3),
        "samples_per_second": round(len(score) / max(seconds, 1e-9), 1),
    }
    calibration = subject.calibration_
    if calibration is None:
        found.notes += ("the model is not calibrated: scores are raw, and there are no verdicts",)
    else:
        found.display, found.p_value = calibration.display(score), calibration.p_value(score)
        found.alpha, found.threshold = subject.alpha, calibration.threshold(subject.alpha)
        found.threshold_display = float(calibration.display(np.array([found.threshold]))[0])
        found.calibration = CalibrationScores(calibration.scores, calibration.display(calibration.scores))
    if work.abnormal is None:
        found.notes += (f"there are no labels, so no detection metrics: {LABELS.rstrip('.')}",)
        return
    both = bool(work.abnormal.any() and not work.abnormal.all())
    if both:
        found.metrics |= image_metrics(score, work.abnormal, **work.bootstrap)
        found.curves = curves(score, work.abnormal, seed=work.seed)
        _add_pixels(found, work, pixels)
    else:
        kind = "abnormal" if work.abnormal.all() else "normal"
        found.notes += (f"all samples are {kind}, so nothing tells the two kinds apart",)
    if found.p_value is not None and subject.alpha:
        flagged = found.p_value <= subject.alpha
        for name, rows in (("false_alarm_rate", ~work.abnormal), ("hit_rate", work.abnormal)):
            if rows.any():
                found.metrics[name] = rate(flagged[rows])


def _scores(work: _Work, subject: Subject, pixels: Pixels | None) -> Floats:
    """Raw scores [N]; on the way, the pixels of heat maps are counted and the maps forgotten."""
    scores: list[Floats] = []
    row = 0
    for block in subject.blocks(work.records, maps=pixels is not None):
        scores.append(block.score)
        for place, heat in enumerate(block.maps or ()):
            mask = work.records.mask(row + place) if pixels is not None else None
            if pixels is not None and mask is not None:
                pixels.add(heat, mask)
        row += len(block.score)
    # a score that is no number is as strange as can be, and metrics need finite ones
    return np.nan_to_num(np.concatenate(scores), posinf=np.finfo(np.float64).max)


def _pixels(work: _Work) -> Pixels | None:
    """A count of pixels, where an abnormal sample has a mask."""
    if work.abnormal is None or work.preparation.spec.kind != "image" or work.abnormal.all():
        return None
    masked = (work.records.mask(int(row)) is not None for row in np.flatnonzero(work.abnormal))
    return Pixels() if any(masked) else None


def _add_pixels(found: Evaluation, work: _Work, pixels: Pixels | None) -> None:
    if pixels is None or not pixels.images:
        if work.preparation.spec.kind == "image":
            why = "there are no masks" if pixels is None else "the system gives no maps"
            found.notes += (f"{why}, so no pixel metrics",)
        return
    found.data["n_masks"] = pixels.images
    found.metrics |= pixels.metrics(**work.bootstrap)


def _by_verbs(found: Evaluation, work: _Work) -> None:
    """Log-likelihoods and reconstruction errors, in one pass."""
    able = isinstance(work.model, Density | Reconstructs)
    if not able:
        return
    if examples.works_on_windows(work.preparation):
        found.notes += ("the model works on windows, so reconstructions and likelihoods of whole images are left out",)
        return
    nats, errors, sizes, line = [], [], [], None
    for x in examples.prepared(work.model, work.preparation, work.records):
        sizes.append(examples.entries(x, work.preparation.spec))
        with torch.no_grad():
            if isinstance(work.model, Density):
                line = work.model.log_prob(x)
                nats.append(line.value.double().cpu().numpy())
            if isinstance(work.model, Reconstructs):
                squares = (work.model.reconstruct(x) - x).square().flatten(1).sum(1)
                errors.append(squares.double().cpu().numpy() / sizes[-1])
    if errors and work.normals.any():
        found.metrics["reconstruction_error"] = mean(np.concatenate(errors)[work.normals], **work.bootstrap)
    if line is not None and work.normals.any():
        values = np.concatenate(nats)
        average = mean(values[work.normals], **work.bootstrap)
        found.likelihood = Likelihoods(
            line.kind, line.draws, average, _bits(average, np.concatenate(sizes)[work.normals].mean()), values
        )


def _bits(nats: Interval, size: float) -> Interval:
    """Bits per dimension, of which a sample has `size`; the sign turns, so the ends change places."""
    scale = -1 / (size * np.log(2))
    return Interval(nats.value * scale, nats.high * scale, nats.low * scale)


def _described(records: Records, abnormal: Bools | None, part: str) -> dict[str, Any]:
    return {
        "origin": records.origin,
        "part": part,
        "kind": records.kind,
        "n": len(records),
        "n_abnormal": None if abnormal is None else int(abnormal.sum()),
        "n_skipped": len(records.skipped),
        "checksum": records.checksum,
    }


def _protocol(run: Run, seed: int, resamples: int) -> dict[str, Any]:
    return {
        "model": run.name or type(run.model).__name__,
        "verbs": list(verbs_of(run.model)),
        "prepared": run.preparation.describe(),
        "trained_on": run.data.get("origin"),
        "intervals": f"95 %: percentiles of a stratified bootstrap, {resamples} resamples, seed {seed}; of rates exact",
        "device": str(examples.device_of(run.model)),
        "threads": torch.get_num_threads(),
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
        "versions": {name: version(name) for name in ("urbild", "torch", "numpy", "torchmetrics", "scikit-learn")},
    }
