"""`evaluate` and `report`: how good a run is, in numbers and on a page."""

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from urbild.cli import shared
from urbild.cli.command import Arguments, Command, Group, Option, Place, Result
from urbild.cli.console import Console, table

if TYPE_CHECKING:
    from urbild.data import Records
    from urbild.evaluation import Evaluation
    from urbild.evaluation.generators import Generation
    from urbild.runs import Run

WORDS = {
    "accuracy": "accuracy (share told right)",
    "image_auroc": "AUROC",
    "image_aupr": "AUPR (average precision)",
    "f1_max": "largest F1",
    "fpr95": "false alarms where 95 % are found",
    "pixel_auroc": "AUROC of pixels",
    "pro": "PRO (overlap of defects, false alarms up to 30 %)",
    "false_alarm_rate": "false alarms at alpha",
    "hit_rate": "found at alpha",
    "reconstruction_error": "reconstruction error of normal samples",
}
SAMPLES = {
    "fid": "FID",
    "kid": "KID",
    "inception_score": "Inception score",
    "precision": "precision (k = 3)",
    "recall": "recall (k = 3)",
    "density": "density (k = 5)",
    "coverage": "coverage (k = 5)",
    "sliced_wasserstein": "sliced Wasserstein distance",
    "patch_wasserstein": "the same of Laplacian patches, x 1000",
    "wanted_class": "wanted class told by the judge",
    "distinct": "distinct samples",
    "modes": "modes with a good sample",
    "modes_held": "modes with 20 good samples of 2,500",
    "good_samples": "good samples (within 3 deviations)",
    "kl_of_modes": "KL of modes to equal shares, nats",
    "nearest_training": "distance to the nearest training sample",
}
REAL = "_real"


def evaluate(arguments: Arguments, console: Console) -> Result:
    """Measures a run on data, keeps the result in the run's directory and shows it."""
    found = _evaluated(arguments, console)
    _show(found, console)
    place = shlex.quote(arguments["dir"])
    console.note(f"kept in {arguments['dir']}; `urbild report {place}` makes a page of it.")
    return {"directory": arguments["dir"], **_object(found)}


def report(arguments: Arguments, console: Console) -> Result:
    """Makes one page of a run; evaluates first where data are given."""
    from urbild.report import build

    if arguments["path"] is not None:
        _show(_evaluated(arguments, console), console)
    out = None if arguments["out"] is None else Path(arguments["out"])
    page = build(Path(arguments["dir"]), out)
    console.result(str(page) if console.quiet else f"report: {page}")
    return {"directory": arguments["dir"], "report": str(page)}


def _evaluated(arguments: Arguments, console: Console) -> "Evaluation":
    from urbild import runs
    from urbild.contract import Scores
    from urbild.detection import Detector
    from urbild.evaluation import evaluate as measure

    run = runs.load(arguments["dir"], device=arguments["device"])
    detector = Detector.from_run(run) if isinstance(run.model, Scores) else None
    if detector is not None and arguments["alpha"] is not None:
        detector.alpha = arguments["alpha"]
    records = shared.given(arguments, console)
    shared.tell_heard(run.preparation, records, console)
    asked = _generation(arguments, run, records)
    found = measure(detector or run, records, part=arguments["part"], seed=arguments["seed"], generation=asked)
    found.save(Path(arguments["dir"]))
    return found


def _generation(arguments: Arguments, run: "Run", records: "Records") -> "Generation | None":
    """How samples are to be measured, where --features or --samples ask for it, or there is nothing else to measure."""
    from urbild.contract import Classifies, Density, Reconstructs, Scores
    from urbild.data import as_records
    from urbild.evaluation.generators import Generation, space_of

    features, samples, training = (arguments.values.get(name) for name in ("features", "samples", "training"))
    other = isinstance(run.model, Scores | Density | Reconstructs | Classifies)
    if features is None and samples is None and training is None and other:
        return None
    if samples is not None:
        shared.positive(arguments, "samples")
    shown = None
    if training is not None or arguments["part"] == "test":
        shown = as_records(training or arguments["path"], reading=shared.reading(arguments, "train"))
        # data of one part are the same in each: nothing tells what was trained on
        shown = None if training is None and shown.checksum == records.checksum else shown
    return Generation(space=space_of(features, run, records.origin), samples=samples, training=shown)


def _show(found: "Evaluation", console: Console) -> None:
    shown = table("", "measure", "value", "95 % interval", right=("value", "95 % interval"))
    for name, interval in _measures(found).items():
        low, high = interval["low"], interval["high"]
        form = ".4g" if name.removesuffix(REAL) in SAMPLES else ".3f"
        between = "" if low == high else f"{low:{form}} to {high:{form}}"
        shown.add_row(_word(name), f"{interval['value']:{form}}", between)
    console.table(shown)
    if "samples_measured" in found.protocol:
        count, space = found.protocol["samples_measured"], found.protocol["feature_space"]
        console.note(f"{count:,} samples beside {count:,} real ones, and {count:,} other real ones; space: {space}")
    for note in found.notes:
        console.note(note)


def _word(name: str) -> str:
    if name.endswith(REAL):
        return f"  {SAMPLES.get(name.removesuffix(REAL), name)}: real samples"
    return WORDS.get(name) or SAMPLES.get(name, name)


def _measures(found: "Evaluation") -> dict[str, dict[str, float]]:
    measures = {name: asdict(interval) for name, interval in found.metrics.items()}
    if found.likelihood:
        line = found.likelihood
        measures[f"{line.kind}, nats a sample"] = asdict(line.nats)
        measures[f"{line.kind}, bits a dimension"] = asdict(line.bits)
    return measures


def _object(found: "Evaluation") -> dict[str, Any]:
    told = ("samples_measured", "feature_space", "kid", "intervals_of_samples")
    return {
        "data": found.data,
        "measures": _measures(found),
        "alpha": found.alpha,
        "samples": {name: found.protocol[name] for name in told if name in found.protocol},
        "notes": list(found.notes),
    }


_RESULTS = (Option("alpha", "false alarms allowed among normal samples (default: as fitted)", float | None, None, "X"),)
_SAMPLES = Group(
    "Generated samples",
    (
        Option(
            "features",
            "measure samples in this space: the run of a classifier of the same data, an ONNX file or a transformers "
            "folder (default: the values themselves)",
            metavar="RUN|FILE",
        ),
        Option(
            "samples",
            "measure this many, beside as many real ones (default: 10,000, or half of the data)",
            int | None,
            None,
            "N",
        ),
        Option(
            "training", "what the run was trained on, to look for copies (default: that part of DATA)", metavar="DATA"
        ),
    ),
)
EVALUATE = Command(
    name="evaluate",
    summary="measure a run: detection on labelled data, likelihoods, accuracy, samples, ...",
    about="Measures what the run's model can do, with 95 % intervals, and keeps it in the run's directory. Labels come "
    "from folder names, a label column, or y in an .npz; a folder with train/ and test/ is measured on its test part. "
    "With --features or --samples new samples are drawn and put beside real ones: FID, KID, precision, recall, ...",
    places=(shared.DIRECTORY, shared.DATA),
    groups=(Group("Results", (shared.ALPHA_AFTER,)), _SAMPLES, shared.SCORED, shared.COMMON),
    example="urbild evaluate runs/first photos-with-labels",
    run=evaluate,
)
_PAGE = Option("out", "the page (default: report.html in the run)", metavar="FILE")
REPORT = Command(
    name="report",
    summary="make one self-contained HTML page of a run",
    about="Shows a run on one page: scores and threshold, curves, the strangest samples with their heat maps, the "
    "training, the protocol. With PATH the run is evaluated on it first.",
    places=(shared.DIRECTORY, Place("path", "labelled samples to evaluate on first", required=False)),
    groups=(
        Group(
            "Results", (shared.ALPHA_AFTER, Option("out", "the page (default: report.html in the run)", metavar="FILE"))
        ),
        shared.SCORED,
        shared.COMMON,
    ),
    example="urbild report runs/first photos-with-labels",
    run=report,
)
