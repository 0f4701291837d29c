"""What an evaluation found, and how it is kept: words and numbers in `evaluation.json`, arrays in `evaluation.npz`."""

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from urbild.artifacts import write_together
from urbild.errors import ArtifactError

Floats: TypeAlias = NDArray[np.float64]
Array: TypeAlias = NDArray[Any]

FORMAT = 1
NUMBERS, ARRAYS = "evaluation.json", "evaluation.npz"


@dataclass(frozen=True, slots=True)
class Interval:
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Curve:
    """A curve with its pointwise 95 % band, each [P].

    Attributes:
        x: false-alarm rate ("roc"), or share of the abnormal samples that are found ("pr").
        y: share of the abnormal samples that are found ("roc"), or precision ("pr").
        low: lower end of the band of y.
        high: upper end.
    """

    x: Floats
    y: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One sample as the report shows it.

    Attributes:
        id: of the sample.
        score: raw, larger is stranger.
        display: the score on the 0-to-1 scale of the calibration, or None without one.
        p_value: conformal, or None without a calibration.
        abnormal: what its label says, or None without one.
        label: name of its class, or "".
        input: [H, W, 1 or 3] uint8, at most `evaluate.LONGEST` px a side; None for tables.
        reconstruction: the model's version, [h, w, 1 or 3] uint8, at the model's size.
        map: [H, W] float32 heat map, of the size of `input`; larger is stranger.
        mask: [H, W] bool, the truth, of the size of `input`.
        columns: for tables (name, value, contribution to the score), the largest contribution first.
    """

    id: str
    score: float
    display: float | None = None
    p_value: float | None = None
    abnormal: bool | None = None
    label: str = ""
    input: Array | None = None
    reconstruction: Array | None = None
    map: Array | None = None
    mask: Array | None = None
    columns: tuple[tuple[str, str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Likelihoods:
    """Log-densities of the evaluated normal samples (of all, where there are no labels).

    Attributes:
        kind: "exact", or the bound that it is.
        draws: Monte Carlo draws behind one value; 0 where it is exact.
        nats: mean over samples of the log-density of one sample.
        bits: the same as bits per dimension (smaller is better).
        values: [N] nats of every evaluated sample.
    """

    kind: str
    draws: int
    nats: Interval
    bits: Interval
    values: Floats


@dataclass(frozen=True, slots=True)
class CalibrationScores:
    """The calibration scores, sorted, raw and on the display scale, both [n]."""

    score: Floats
    display: Floats


@dataclass(kw_only=True)
class Evaluation:
    """What an evaluation found. Arrays have one entry a sample, in the order of `ids`.

    Attributes:
        data: origin, part, kind, samples, abnormal (or None), masks, checksum.
        protocol: model, options, reduction, how metrics and intervals were computed, seconds, rate, versions.
        metrics: by name, see `evaluation.METRICS`; empty without labels.
        ids: of the samples.
        score: [N] raw, larger is stranger; None for a system that does not score.
        display: [N] on the 0-to-1 scale of the calibration; None without one.
        p_value: [N] conformal; None without a calibration.
        abnormal: [N] bool; None without labels.
        label: [N] int64 index into classes, -1 unlabelled; None without labels.
        classes: names of the labels.
        curves: "roc" and "pr", where there are labels.
        alpha: at which verdicts were given; None without a calibration.
        threshold: a sample is anomalous when its score is above it; infinite where alpha cannot be reached.
        threshold_display: the same on the display scale.
        calibration: the scores behind the threshold.
        likelihood: log-densities, of systems that give them.
        gallery: the most and least anomalous samples, the strangest first.
        samples: [n, H, W, 1 or 3] uint8 new samples of the model, or [n, D] rows of a table.
        nearest: [n, H, W, 1 or 3] uint8 the training sample nearest to each of `samples`.
        nearest_distance: [n] of the two, in units of prepared values.
        notes: what could not be evaluated, and why; a sentence each.
    """

    data: dict[str, Any]
    protocol: dict[str, Any]
    metrics: dict[str, Interval] = field(default_factory=dict)
    ids: tuple[str, ...] = ()
    score: Floats | None = None
    display: Floats | None = None
    p_value: Floats | None = None
    abnormal: NDArray[np.bool_] | None = None
    label: NDArray[np.int64] | None = None
    classes: tuple[str, ...] = ()
    curves: dict[str, Curve] = field(default_factory=dict)
    alpha: float | None = None
    threshold: float | None = None
    threshold_display: float | None = None
    calibration: CalibrationScores | None = None
    likelihood: Likelihoods | None = None
    gallery: list[Example] = field(default_factory=list)
    samples: Array | None = None
    nearest: Array | None = None
    nearest_distance: Floats | None = None
    notes: tuple[str, ...] = ()

    def save(self, directory: str | Path) -> None:
        """Writes both files into an existing directory, or leaves what was there.

        Raises:
            OutputError: the disk is full, or the place cannot be written.
        """
        numbers, arrays = _take_apart(self)
        packed = BytesIO()
        np.savez_compressed(packed, **arrays)  # type: ignore[arg-type]  # the stub takes allow_pickle for an array
        numbers["arrays"] = sha256(packed.getvalue()).hexdigest()
        text = json.dumps({"format": FORMAT, **numbers}, indent=1, ensure_ascii=False, allow_nan=False)
        place = Path(directory)
        write_together({place / ARRAYS: packed.getvalue(), place / NUMBERS: text.encode()})

    @classmethod
    def load(cls, directory: str | Path) -> "Evaluation":
        """Reads what `save` wrote; nothing is ever unpickled.

        Raises:
            ArtifactError: a file is missing, damaged, does not belong to the other, or comes from a newer release.
        """
        place = Path(directory)
        numbers = _read_numbers(place / NUMBERS)
        try:
            packed = (place / ARRAYS).read_bytes()
        except OSError as error:
            msg = f"{place / ARRAYS} cannot be read ({error.strerror}); evaluate again."
            raise ArtifactError(msg) from None
        if sha256(packed).hexdigest() != numbers.pop("arrays", None):
            msg = f"{place / ARRAYS} does not belong to {NUMBERS} (its checksum differs); evaluate again."
            raise ArtifactError(msg)
        try:
            with np.load(BytesIO(packed), allow_pickle=False) as archive:
                return _put_together(numbers, {name: archive[name] for name in archive.files})
        except (KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
            msg = f"{place / NUMBERS} is damaged ({error}); evaluate again."
            raise ArtifactError(msg) from None


def _read_numbers(path: Path) -> dict[str, Any]:
    try:
        numbers = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        msg = f"{path.parent} holds no evaluation ({path.name} is missing); run `urbild evaluate` first."
        raise ArtifactError(msg) from None
    except (OSError, ValueError) as error:
        msg = f"{path} cannot be read ({error}); evaluate again."
        raise ArtifactError(msg) from None
    if not isinstance(numbers, dict) or not isinstance(numbers.get("format"), int):
        msg = f"{path} is not an evaluation; evaluate again."
        raise ArtifactError(msg)
    if numbers.pop("format") > FORMAT:
        msg = f"{path} comes from a newer release; update urbild, or evaluate again."
        raise ArtifactError(msg)
    return numbers


_PER_SAMPLE = ("score", "display", "p_value", "abnormal", "label", "samples", "nearest", "nearest_distance")
_PICTURES = ("input", "reconstruction", "map", "mask")
_PLAIN = ("data", "protocol", "ids", "classes", "notes", "alpha")


def _take_apart(found: Evaluation) -> tuple[dict[str, Any], dict[str, Array]]:
    own = vars(found)
    numbers: dict[str, Any] = {name: own[name] for name in _PLAIN}
    numbers["thresholds"] = [_finite(found.threshold), _finite(found.threshold_display)]
    numbers["metrics"] = {name: _triple(interval) for name, interval in found.metrics.items()}
    numbers["gallery"] = [
        {name: getattr(example, name) for name in Example.__slots__ if name not in _PICTURES}
        for example in found.gallery
    ]
    arrays = {name: own[name] for name in _PER_SAMPLE if own[name] is not None}
    for name, curve in found.curves.items():
        arrays[f"curve/{name}"] = np.stack([curve.x, curve.y, curve.low, curve.high])
    if found.calibration:
        arrays["calibration"] = np.stack([found.calibration.score, found.calibration.display])
    if found.likelihood:
        line = found.likelihood
        numbers["likelihood"] = [line.kind, line.draws, _triple(line.nats), _triple(line.bits)]
        arrays["likelihood"] = line.values
    for row, example in enumerate(found.gallery):
        pictures = {f"gallery/{row}/{name}": getattr(example, name) for name in _PICTURES}
        arrays |= {name: picture for name, picture in pictures.items() if picture is not None}
    return numbers, arrays


def _put_together(numbers: dict[str, Any], arrays: Mapping[str, Any]) -> Evaluation:
    thresholds = [_unfinite(value) for value in numbers["thresholds"]]
    gallery = [
        Example(
            **{**entry, "columns": tuple((str(n), str(v), float(c)) for n, v, c in entry["columns"])},
            **{name: arrays[key] for name in _PICTURES if (key := f"gallery/{row}/{name}") in arrays},
        )
        for row, entry in enumerate(numbers["gallery"])
    ]
    likelihood = None
    if "likelihood" in numbers:
        kind, draws, nats, bits = numbers["likelihood"]
        likelihood = Likelihoods(kind, draws, Interval(*nats), Interval(*bits), arrays["likelihood"])
    return Evaluation(
        data=numbers["data"],
        protocol=numbers["protocol"],
        metrics={name: Interval(*values) for name, values in numbers["metrics"].items()},
        ids=tuple(numbers["ids"]),
        classes=tuple(numbers["classes"]),
        curves={name.split("/")[1]: Curve(*value) for name, value in arrays.items() if name.startswith("curve/")},
        alpha=numbers["alpha"],
        threshold=thresholds[0],
        threshold_display=thresholds[1],
        calibration=CalibrationScores(*arrays["calibration"]) if "calibration" in arrays else None,
        likelihood=likelihood,
        gallery=gallery,
        notes=tuple(numbers["notes"]),
        **{name: arrays[name] for name in _PER_SAMPLE if name in arrays},
    )


def _triple(interval: Interval) -> list[float]:
    return [float(interval.value), float(interval.low), float(interval.high)]


def _finite(value: float | None) -> float | str | None:
    """JSON has no infinity: an unreachable threshold is written as a word."""
    return value if value is None or np.isfinite(value) else str(value)


def _unfinite(value: float | str | None) -> float | None:
    return None if value is None else float(value)
