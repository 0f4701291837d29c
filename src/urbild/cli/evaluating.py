"""`evaluate` and `report`: how good a run is, in numbers and on a page."""

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from urbild.cli import shared
from urbild.cli.command import Arguments, Command, Group, Option, Place, Result
from urbild.cli.console import Console, table

if TYPE_CHECKING:
    from urbild.evaluation import Evaluation

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
    found = measure(detector or run, records, part=arguments["part"], seed=arguments["seed"])
    found.save(Path(arguments["dir"]))
    return found


def _show(found: "Evaluation", console: Console) -> None:
    shown = table("", "measure", "value", "95 % interval", right=("value", "95 % interval"))
    for name, interval in _measures(found).items():
        shown.add_row(
            WORDS.get(name, name), f"{interval['value']:.3f}", f"{interval['low']:.3f} to {interval['high']:.3f}"
        )
    console.table(shown)
    for note in found.notes:
        console.note(note)


def _measures(found: "Evaluation") -> dict[str, dict[str, float]]:
    measures = {name: asdict(interval) for name, interval in found.metrics.items()}
    if found.likelihood:
        line = found.likelihood
        measures[f"{line.kind}, nats a sample"] = asdict(line.nats)
        measures[f"{line.kind}, bits a dimension"] = asdict(line.bits)
    return measures


def _object(found: "Evaluation") -> dict[str, Any]:
    return {"data": found.data, "measures": _measures(found), "alpha": found.alpha, "notes": list(found.notes)}


_RESULTS = (Option("alpha", "false alarms allowed among normal samples (default: as fitted)", float | None, None, "X"),)
EVALUATE = Command(
    name="evaluate",
    summary="measure a run: detection on labelled data, likelihoods, accuracy, ...",
    about="Measures what the run's model can do, with 95 % intervals, and keeps it in the run's directory. Labels come "
    "from folder names, a label column, or y in an .npz; a folder with train/ and test/ is measured on its test part.",
    places=(shared.DIRECTORY, shared.DATA),
    groups=(Group("Results", (shared.ALPHA_AFTER,)), shared.SCORED, shared.COMMON),
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
