"""`score`: how strange samples are, as a table for machines and a summary for people."""

from pathlib import Path
from typing import TYPE_CHECKING

from urbild.cli import shared
from urbild.cli.command import Arguments, Command, Group, Option, Result
from urbild.cli.console import Console, number, table

if TYPE_CHECKING:
    import pandas as pd

    from urbild.data import Records
    from urbild.detection import Detector, Scoring

STRANGEST = 5
TOP_COLUMNS = 3
SIGNS = "A score is raw, larger is stranger; a p-value is the share of normal samples that look at least as strange."
UNCALIBRATED = "this run is not calibrated: scores are raw, without p-values and verdicts (see `urbild recalibrate`)."


def score(arguments: Arguments, console: Console) -> Result:
    """Scores samples; writes a CSV, and heat maps where they are wanted."""
    from urbild.data import as_records, verify
    from urbild.detection import Detector

    detector = Detector.load(arguments["dir"])
    if arguments["alpha"] is not None:
        shared.positive(arguments, "alpha")
        detector.alpha = arguments["alpha"]
    records = as_records(arguments["path"], reading=shared.reading(arguments, arguments["part"]))
    if arguments["skip_bad"]:
        records = verify(records, skip_bad=True)
    wanted = arguments["heatmaps"] is not None
    scoring = detector.scoring(records, maps=wanted)
    frame = scores_frame(scoring)
    if arguments["out"]:
        shared.write(Path(arguments["out"]), frame.to_csv(index=False))
    if wanted:
        _write_maps(Path(arguments["heatmaps"]), scoring, records)
    return _summary(arguments, frame, records, detector, console)


def scores_frame(scoring: "Scoring") -> "pd.DataFrame":
    """The table that `--out` writes: id, score, p_value, verdict, and for tables the columns that contributed most."""
    import numpy as np
    import pandas as pd

    empty = [None] * len(scoring.score)
    frame = pd.DataFrame({"id": list(scoring.ids), "score": scoring.score})
    frame["p_value"] = empty if scoring.p_value is None else scoring.p_value
    verdict = None if scoring.anomalous is None else np.where(scoring.anomalous, "anomalous", "normal")
    frame["verdict"] = empty if verdict is None else verdict
    if scoring.contributions is not None:
        columns = np.asarray(scoring.columns, dtype=object)
        order = np.argsort(-scoring.contributions, axis=1)[:, :TOP_COLUMNS]
        for place in range(order.shape[1]):
            frame[f"because_{place + 1}"] = columns[order[:, place]]
    return frame


def _write_maps(directory: Path, scoring: "Scoring", records: "Records") -> None:
    from urbild.report import heat_scale, save_heatmap

    maps = scoring.maps or ()
    scale = heat_scale(maps)
    for row, heat in enumerate(maps):
        target = directory / Path(scoring.ids[row]).with_suffix(".png")
        shared.make(target.parent)
        save_heatmap(target, records.read(row), heat, scale)


def _summary(
    arguments: Arguments, frame: "pd.DataFrame", records: "Records", detector: "Detector", console: Console
) -> Result:
    calibrated = bool(frame["p_value"].notna().any())
    flagged = int((frame["verdict"] == "anomalous").sum())
    strangest = frame.sort_values("score", ascending=False, kind="stable").head(STRANGEST)
    shown = table("Strangest" if len(frame) > STRANGEST else "", *frame.columns, right=("score", "p_value"))
    for row in strangest.itertuples(index=False):
        shown.add_row(*(_cell(value) for value in row))
    if calibrated:
        rate = f"{flagged} of {len(frame)} samples are anomalous at alpha {detector.alpha:g}"
        console.result(f"{rate} (calibrated on {detector.calibration_.n} normal samples).")
    else:
        console.result(f"{len(frame)} samples scored.")
        console.warn(UNCALIBRATED)
    console.table(shown)
    console.note(SIGNS)
    if arguments["out"]:
        console.note(f"scores: {arguments['out']}")
    if arguments["heatmaps"]:
        console.note(f"heat maps: {arguments['heatmaps']}")
    skipped = [f"{name}" for name in records.skipped]
    if skipped:
        console.warn(f"{len(skipped)} unreadable files were left out: {shared.few(skipped)}")
    return _object(arguments, frame, skipped, flagged if calibrated else None, detector)


def _object(
    arguments: Arguments, frame: "pd.DataFrame", skipped: list[str], flagged: int | None, detector: "Detector"
) -> Result:
    import numpy as np

    rows = frame.astype(object).replace({np.nan: None}).to_dict("records")
    return {
        "directory": arguments["dir"],
        "samples": len(frame),
        "flagged": flagged,
        "alpha": None if flagged is None else detector.alpha,
        "skipped": skipped,
        "out": arguments["out"],
        "heatmaps": arguments["heatmaps"],
        "scores": rows,
    }


def _cell(value: object) -> str:
    if value is None or value != value:  # noqa: PLR0124 -- NaN
        return ""
    return number(value) if isinstance(value, float) else str(value)


SCORE = Command(
    name="score",
    summary="score samples; CSV, verdicts and heat maps",
    about="Scores samples with a run. Columns of --out: id, score, p_value, verdict; for a table also the columns that "
    f"contributed most. {SIGNS} A folder with train/ and test/ is scored on its test part.",
    places=(shared.DIRECTORY, shared.DATA),
    groups=(
        Group(
            "Results",
            (
                Option(
                    "alpha", "false alarms allowed among normal samples (default: as fitted)", float | None, None, "X"
                ),
                Option("out", "CSV of all scores", metavar="FILE"),
                Option("heatmaps", "a heat map for each image", metavar="DIR"),
            ),
        ),
        shared.SCORED,
        shared.FEW,
    ),
    example="urbild score runs/first photos/new --heatmaps maps --out scores.csv",
    run=score,
)
