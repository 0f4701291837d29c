"""`score`: how strange samples are, as a table for machines and a summary for people."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from urbild.cli import shared
from urbild.cli.command import Arguments, Command, Group, Option, Result
from urbild.cli.console import Console, number, table
from urbild.errors import NotScoringError

if TYPE_CHECKING:
    import pandas as pd

    from urbild.data import Records
    from urbild.detection import Block, Detector
    from urbild.detection.scorer import HeatMap

STRANGEST = 5
PIXELS = 1 << 24  # of the heat maps that set the scale of colours
TOP_COLUMNS = 3
SIGNS = "A score is raw, larger is stranger; a p-value is the share of normal samples that look at least as strange."
UNCALIBRATED = "this run is not calibrated: scores are raw, without p-values and verdicts (see `urbild recalibrate`)."


def score(arguments: Arguments, console: Console) -> Result:
    """Scores samples; writes a CSV, and heat maps where they are wanted."""
    from urbild.detection import Detector

    detector = Detector.load(arguments["dir"], device=arguments["device"])
    if arguments["alpha"] is not None:
        detector.alpha = arguments["alpha"]
    records = shared.given(arguments, console)
    shared.tell_heard(detector.preparation_, records, console)
    frame = _scored(detector, records, arguments["heatmaps"], console)
    if arguments["out"]:
        shared.write(Path(arguments["out"]), frame.to_csv(index=False))
    return _summary(arguments, frame, records, detector, console)


def _scored(detector: "Detector", records: "Records", maps: str | None, console: Console) -> "pd.DataFrame":
    """The scores of all samples; heat maps are written as they come, so that any number of them fits into memory."""
    blocks = []
    with console.progress("scoring", len(records)) as advance:
        found = detector.blocks(records, maps=maps is not None)
        for block in found if maps is None else _mapped(found, Path(maps), records):
            blocks.append(replace(block, maps=None))
            advance(len(block.rows))
    return scores_frame(detector, records, blocks)


def scores_frame(detector: "Detector", records: "Records", blocks: "Sequence[Block]") -> "pd.DataFrame":
    """The table that `--out` writes: id, score, p_value, verdict, and for tables the columns that contributed most."""
    import numpy as np
    import pandas as pd

    score = np.concatenate([block.score for block in blocks])
    frame = pd.DataFrame({"id": list(records.ids), "score": score, "p_value": None, "verdict": None})
    if detector.calibration_ is not None:
        detector.calibration_.check(detector.alpha)
        p_value = detector.calibration_.p_value(score)
        frame["p_value"], frame["verdict"] = p_value, np.where(p_value <= detector.alpha, "anomalous", "normal")
    shares = [block.contributions for block in blocks if block.contributions is not None]
    if shares:
        columns = np.asarray(records.columns, dtype=object)
        largest = np.argsort(-np.concatenate(shares), axis=1, kind="stable")[:, :TOP_COLUMNS]
        for place in range(largest.shape[1]):
            frame[f"because_{place + 1}"] = columns[largest[:, place]]
    return frame


def _mapped(blocks: "Iterator[Block]", directory: Path, records: "Records") -> "Iterator[Block]":
    """Writes the heat maps of blocks, all on one scale of colours that the first of them set."""
    from urbild.report import heat_scale, save_heatmap

    first: list[Block] = []
    while sum(heat.size for block in first for heat in _maps(block, records)) < PIXELS:
        block = next(blocks, None)
        if block is None:
            break
        first.append(block)
    scale = heat_scale([heat for block in first for heat in _maps(block, records)])
    for block in chain(first, blocks):
        for row, heat in zip(block.rows.tolist(), _maps(block, records), strict=True):
            target = directory / Path(records.ids[row]).with_suffix(".png")
            shared.make(target.parent)
            save_heatmap(target, records.read(row), heat, scale)
        yield block


def _maps(block: "Block", records: "Records") -> "list[HeatMap]":
    """The heat maps of a block.

    Raises:
        NotScoringError: there are none.
    """
    if block.maps is None:
        reason = "the samples are no images" if records.kind != "image" else "this system gives none"
        msg = f"there are no heat maps to write: {reason}; leave --heatmaps out."
        raise NotScoringError(msg)
    return block.maps


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
        console.result(f"{rate}.")
    else:
        console.result(f"{len(frame)} samples scored.")
        console.warn(UNCALIBRATED)
    console.table(shown)
    console.note(SIGNS)
    if arguments["out"]:
        console.note(f"scores: {arguments['out']}")
    if arguments["heatmaps"]:
        console.note(f"heat maps: {arguments['heatmaps']}")
    return _object(arguments, frame, records, flagged if calibrated else None, detector)


def _object(
    arguments: Arguments, frame: "pd.DataFrame", records: "Records", flagged: int | None, detector: "Detector"
) -> Result:
    import numpy as np

    rows = frame.astype(object).replace({np.nan: None}).to_dict("records")
    return {
        "directory": arguments["dir"],
        "samples": len(frame),
        "flagged": flagged,
        "alpha": None if flagged is None else detector.alpha,
        "skipped": list(records.skipped),
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
