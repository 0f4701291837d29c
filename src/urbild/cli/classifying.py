"""`classify`: the class of each sample, and how sure the model is of it."""

from pathlib import Path
from typing import TYPE_CHECKING

from urbild.cli import shared, verbs
from urbild.cli.command import Arguments, Command, Group, Option, Result
from urbild.cli.console import Console, table
from urbild.errors import OptionError

if TYPE_CHECKING:
    import pandas as pd

    from urbild.data import Records
    from urbild.runs import Run

MOST_SHOWN = 12


def classify(arguments: Arguments, console: Console) -> Result:
    """Names the class of samples; writes a CSV."""
    run = verbs.run_with(arguments, "classify")
    out = Path(arguments["out"] or Path(arguments["dir"]) / "classes.csv")
    if out.suffix != ".csv":
        msg = f"--out {out}: classes are written as .csv; give a name that ends so."
        raise OptionError(msg)
    records = verbs.whole(arguments, run, console)
    frame = _classified(arguments, run, records, console)
    shared.write(out, frame.to_csv(index=False))
    counts = {str(label): int(count) for label, count in frame["label"].value_counts().items()}
    shown = table("", "class", "samples", right=("samples",))
    for label, count in list(counts.items())[:MOST_SHOWN]:
        shown.add_row(label, str(count))
    if not console.quiet:
        console.table(shown)
    return {**verbs.told(arguments, console, out, "classes", len(frame)), "samples": len(frame), "counts": counts}


def _classified(arguments: Arguments, run: "Run", records: "Records", console: Console) -> "pd.DataFrame":
    """Columns id, label, probability."""
    import pandas as pd
    import torch

    from urbild.contract import Classifies

    model = run.model
    assert isinstance(model, Classifies)
    source, names = run.preparation.source(records, workers=arguments["workers"], memory=0), model.spec.classes
    labels, sure = list[str](), list[float]()
    with torch.no_grad(), console.progress("classifying", len(records)) as advance:
        for batch in source.batches(verbs.BATCH):
            highest = model.classify(verbs.moved(batch.x, model)).max(dim=1)
            labels += [names[label] for label in highest.indices.tolist()]
            sure += highest.values.exp().clamp(max=1).tolist()
            advance(len(batch))
    return pd.DataFrame({"id": list(records.ids), "label": labels, "probability": sure})


CLASSIFY = Command(
    name="classify",
    summary="name the class of samples",
    about="Names the likeliest class of each sample among those that the run learnt. Columns of --out: id, label, "
    "probability; it is the model's own, and no promise.",
    places=(shared.DIRECTORY, shared.DATA),
    groups=(
        Group("Classes", (Option("out", "CSV of all classes (default: in the run's directory)", metavar="FILE"),)),
        shared.SCORED,
        shared.FEW,
    ),
    example="urbild classify runs/judge photos/new --out classes.csv",
    run=classify,
)
