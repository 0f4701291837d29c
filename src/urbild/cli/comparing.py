"""`compare`: several systems on the same data under one budget."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from urbild.cli import shared
from urbild.cli.command import Arguments, Command, Group, Option, Result
from urbild.cli.console import Console, seconds, table
from urbild.errors import OptionError

if TYPE_CHECKING:
    from urbild.selection import Leaderboard

WORDS = {"image_auroc": "AUROC", "image_aupr": "AUPR", "f1_max": "F1", "fpr95": "FPR at 95 % found"}


def compare(arguments: Arguments, console: Console) -> Result:
    """Ranks systems, and writes the leaderboard where a place is given."""
    from urbild import catalogue, selection
    from urbild.training import reporter

    shared.positive(arguments, "seeds", "steps", "seconds", "epochs", "max_pixels")
    names = [catalogue.card(name).name for name in shared.names(arguments["models"]) or ()]
    out = None if arguments["out"] is None else Path(arguments["out"])
    if out is not None and out.exists() and not out.is_dir():
        msg = f"--out {out} is a file; give a directory."
        raise OptionError(msg)
    board = selection.compare(
        arguments["path"],
        names or None,
        seeds=range(arguments["seed"], arguments["seed"] + arguments["seeds"]),
        reading=shared.reading(arguments, "all"),
        reporter=reporter(console.style),
        size=shared.size(arguments["size"]),
        **{key: arguments[key] for key in ("steps", "seconds", "epochs", "device")},
    )
    _show(board, console)
    if out is not None:
        shared.write(out / "leaderboard.json", json.dumps(board.to_json(), indent=1))
        shared.write(out / "leaderboard.csv", board.frame().to_csv(index=False))
        console.note(f"kept in {out}: leaderboard.json, leaderboard.csv")
    return {"best": board.best, "out": arguments["out"], **board.to_json()}


def _show(board: "Leaderboard", console: Console) -> None:
    measure = WORDS[board.metric]
    facts = board.protocol
    shown = table("", "model", measure, "sd over seeds", "fit", "scored a second", right=(measure, "fit"))
    for row in board.rows:
        name = f"({row.model})" if row.floor else row.model
        spread = f"{row.deviation:.3f}" if len(row.values) > 1 else ""
        cost = ("", "") if row.floor else (seconds(row.fit_seconds), f"{row.rate:,.0f}")
        shown.add_row(name, f"{row.mean:.3f}", spread, *cost)
    console.table(shown)
    measured = f"{facts['measured_normal']} normal and {facts['measured_abnormal']} abnormal samples"
    console.note(f"fitted on {facts['train']} normal samples, measured on {measured} that no fit has seen;")
    console.note("in brackets: trivial scores, which any system should beat.")


COMPARE = Command(
    name="compare",
    summary="rank several systems under one budget",
    about="Fits each system with each seed under the same budget, and ranks them on labelled samples that no fit has "
    "seen: the test part of a folder with train/ and test/, else half of the normals and all abnormal samples.",
    places=(shared.DATA,),
    groups=(
        Group(
            "Comparison",
            (
                Option("models", "names of the systems, with commas (default: all that score)", metavar="A,B,C"),
                Option("seeds", "runs of each system", int, 3, "N"),
                *shared.BUDGET,
                shared.SIZE,
                Option("out", "directory for leaderboard.json and leaderboard.csv", metavar="DIR"),
            ),
        ),
        shared.READING,
        shared.COMMON,
    ),
    example="urbild compare photos --models pca,nearest,autoencoder --seeds 3",
    run=compare,
)
