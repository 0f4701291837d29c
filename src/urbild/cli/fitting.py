"""`fit`, `train` and `recalibrate`: what makes or changes a run directory."""

import shlex
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from urbild.cli import shared
from urbild.cli.command import Arguments, Command, Group, Option, Place, Result
from urbild.cli.console import Console, number
from urbild.cli.parsing import DEFAULT_MODEL
from urbild.cli.rundir import run_directory
from urbild.errors import NotScoringError, OptionError

if TYPE_CHECKING:
    from urbild.data import Records
    from urbild.detection import Detector
    from urbild.runs import Run


def fit(arguments: Arguments, console: Console) -> Result:
    """Trains and calibrates a detector."""
    from urbild import catalogue

    _sane(arguments)
    shared.between(arguments, "alpha", "calibration", "overlap", "validation")
    entry = catalogue.card(arguments["model"])
    if not entry.scores:
        scoring = ", ".join(card.name for card in catalogue.cards().values() if card.scores)
        msg = (
            f"{entry.name} does not score, so it cannot be a detector; these do: {scoring} (`urbild train` trains it)."
        )
        raise NotScoringError(msg)
    records = _records(arguments, console, only_normal=True)
    with run_directory(arguments, f"fit-{entry.name}", "fit") as directory:
        detector = _fitted(arguments, records, directory, console)
    return _after_fit(arguments, records, directory, detector, console)


def _fitted(arguments: Arguments, records: "Records", directory: Path, console: Console) -> "Detector":
    from urbild.detection import Detector, fit_detector
    from urbild.training import reporter

    keys = ["alpha", "reduction", "normalise", "patch", "patches_per_image", "overlap", "calibration", "validation"]
    keys += ["window", "rate"]
    keys += ["steps", "seconds", "epochs", "batch", "precision", "clip", "patience", "device", "workers"]
    detector = Detector(
        arguments["model"],
        size=shared.size(arguments["size"]),
        random_state=arguments["seed"],
        **{key: arguments[key] for key in keys},
        **arguments.options,
    )
    return fit_detector(
        detector, records, directory=directory, resume=arguments["resume"], reporter=reporter(console.style)
    )


def _after_fit(
    arguments: Arguments, records: "Records", directory: Path, detector: "Detector", console: Console
) -> Result:
    _tell(detector, arguments["alpha"], console, "held-out normal samples")
    place = shlex.quote(str(directory))
    console.note(f"run: {directory}\n\nNext:")
    maps = " --heatmaps maps" if records.kind == "image" else ""
    console.note(f"  urbild score {place} NEW_SAMPLES{maps} --out scores.csv")
    console.note(f"  urbild evaluate {place} LABELLED_SAMPLES")
    console.note(f"  urbild report {place}")
    if console.quiet:
        console.result(str(directory))
    return {
        "directory": str(directory),
        "model": arguments["model"],
        "samples": len(records),
        "skipped": list(records.skipped),
        **_calibrated(detector, arguments["alpha"]),
    }


def train(arguments: Arguments, console: Console) -> Result:
    """Trains any system, detector or not."""
    from urbild import runs
    from urbild.training import reporter

    _sane(arguments)
    shared.positive(arguments, "accumulate")
    records = _records(arguments, console, only_normal=arguments["normal"] is not None)
    if arguments["batch"] is not None and arguments["batch"] > len(records) and not arguments["patch"]:
        msg = f"--batch {arguments['batch']} is more than the {len(records)} samples of {records.origin}; give "
        msg += f"{len(records)} or less."
        raise OptionError(msg)
    keys = ["normalise", "patch", "window", "rate", "steps", "seconds", "epochs", "batch", "seed", "precision"]
    keys += ["clip", "accumulate", "patience", "device", "tensorboard", "frames", "codes"]
    options = {key: arguments[key] for key in keys} | {"size": shared.size(arguments["size"])}
    options |= {"patches_per_image": arguments["patches_per_image"]} if arguments["patch"] else {}
    name = arguments["name"]
    with run_directory(arguments, f"train-{name}", "train") as directory:
        options |= arguments.options
        run = runs.train_run(
            name,
            records,
            options,
            directory=directory,
            resume=arguments["resume"],
            reporter=reporter(console.style),
        )
    return _after_training(name, records, run, console)


def _after_training(name: str, records: "Records", run: "Run", console: Console) -> Result:
    from urbild import catalogue
    from urbild.contract import Discrete

    directory = run.directory
    entry, place = catalogue.card(name), shlex.quote(str(directory))
    console.note(f"run: {directory}\n\nNext:")
    suffix = {"sequence": "wav", "vector": "csv"}.get(records.kind, "png")
    if "sample" in entry.verbs:
        console.note(f"  urbild sample {place} --out samples.{suffix}")
    if "reconstruct" in entry.verbs:
        console.note(f"  urbild reconstruct {place} PATH --out reconstructed.{suffix}")
    if "classify" in entry.verbs:
        console.note(f"  urbild classify {place} PATH")
    if "decode" in entry.verbs and not isinstance(run.model, Discrete):
        console.note(f"  urbild explore {place} interpolate PATH")
    if entry.scores:
        console.note(f"  urbild recalibrate {place} NORMAL_SAMPLES    (it scores raw until then)")
    console.note(f"  urbild evaluate {place} PATH")
    if console.quiet:
        console.result(str(directory))
    return {
        "directory": str(directory),
        "model": name,
        "samples": len(records),
        "skipped": list(records.skipped),
        "warnings": run.training["warnings"],
    }


def recalibrate(arguments: Arguments, console: Console) -> Result:
    """Sets a detector's calibration from new normal samples."""
    from urbild.detection import Detector

    shared.between(arguments, "alpha")
    detector = Detector.load(arguments["dir"], device=arguments["device"])
    records = _records(arguments, console, only_normal=True)
    detector.alpha = arguments["alpha"]
    detector.recalibrate(records)
    detector.save(arguments["dir"])
    _tell(detector, arguments["alpha"], console, "normal samples")
    return {"directory": arguments["dir"], **_calibrated(detector, arguments["alpha"])}


def _tell(detector: "Detector", alpha: float, console: Console, what: str) -> None:
    calibration = detector.calibration_
    assert calibration is not None  # the caller has just made it
    what = f"groups of {what}" if calibration.grouped else what
    console.note(f"calibrated on {calibration.n} {what}; smallest reachable alpha {number(calibration.smallest_alpha)}")
    threshold = calibration.threshold(alpha)
    rule = f"score above {number(threshold)}" if isfinite(threshold) else "never, alpha is too small"
    console.note(f"anomalous at alpha {alpha:g}: {rule}")


def _calibrated(detector: "Detector", alpha: float) -> dict[str, Any]:
    calibration = detector.calibration_
    assert calibration is not None  # the caller has just made it
    return {
        "calibration_samples": calibration.n,
        "smallest_alpha": calibration.smallest_alpha,
        "alpha": alpha,
        "threshold": float(calibration.threshold(alpha)),
    }


def _records(arguments: Arguments, console: Console, *, only_normal: bool) -> "Records":
    """The samples of a command that learns from them; says what was found and left out."""
    from urbild.data import as_records, verify

    records = as_records(arguments["path"], reading=shared.reading(arguments, "train"))
    records = verify(records, skip_bad=arguments["skip_bad"])
    shared.tell_skipped(records, console)
    return shared.normals(records, console) if only_normal else records


def _sane(arguments: Arguments) -> None:
    if arguments["resume"] and arguments["out"] is None:
        msg = "--resume needs --out, the directory of the run that is to go on."
        raise OptionError(msg)
    keys = ["steps", "seconds", "epochs", "batch", "clip", "patience", "patch", "patches_per_image", "window", "rate"]
    shared.positive(arguments, *keys, "max_pixels")
    shared.size(arguments["size"])


_DETECTION = Group(
    "Detection",
    (
        shared.ALPHA,
        Option("calibration", "share of the samples kept to calibrate on (20 at least, half at most)", float, 0.2, "X"),
        Option("validation", "share of the samples kept for early stopping", float, 0.1, "X"),
        shared.REDUCTION,
        shared.OVERLAP,
    ),
)
_NAME = Option("model", "name of the system; `urbild models` lists them", str, DEFAULT_MODEL, "NAME")

_FITTING = Group("Training", (*shared.LEARNING, *shared.RUN))
_TRAINING = Group(
    "Training",
    (
        *shared.LEARNING,
        Option("codes", "run of a trained code autoencoder that a prior is built on", str | None, None, "DIR"),
        Option("accumulate", "pieces that a batch is cut into, to save memory", int, 1, "N"),
        Option("tensorboard", "also write TensorBoard's event files into the run", bool, default=False),
        Option("frames", "pictures, at most, of samples.gif: the same latents while it trains; 0: none", int, 24, "N"),
        *shared.RUN,
    ),
)
FIT = Command(
    name="fit",
    summary="train and calibrate a detector on normal samples",
    about="Learns what normal samples look like and calibrates a threshold that keeps a promised rate of false alarms.",
    places=(shared.DATA,),
    groups=(Group("Model", (_NAME,)), shared.TRAINED, _DETECTION, _FITTING, shared.COMMON),
    model="option",
    example="urbild fit photos/good --model autoencoder --size 64 --out runs/first",
    run=fit,
)
TRAIN = Command(
    name="train",
    summary="train any system, detector or not",
    about="Trains a system and keeps it in a run directory. `recalibrate` makes a detector of it, if it scores.",
    places=(Place("name", "of the system; `urbild models` lists them"), shared.DATA),
    groups=(shared.TRAINED, _TRAINING, shared.COMMON),
    model="place",
    example="urbild train vae digits --latent 16 --out runs/vae",
    run=train,
)
RECALIBRATE = Command(
    name="recalibrate",
    summary="calibrate a run on new normal samples, without training",
    about="Replaces the calibration of a run by one on these normal samples; also calibrates what `train` made.",
    places=(shared.DIRECTORY, shared.DATA),
    groups=(shared.READING, Group("Detection", (shared.ALPHA,)), shared.FEW),
    example="urbild recalibrate runs/first photos/good-of-this-week",
    run=recalibrate,
)
