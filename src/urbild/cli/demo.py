"""`demo`: the whole job as a user would do it, on data that come along."""

import shlex
import time
from pathlib import Path

from urbild.cli import shared
from urbild.cli.command import Arguments, Command, Group, Option, Place, Result
from urbild.cli.console import Console, seconds
from urbild.errors import OptionError, nearest

JOBS: dict[str, tuple[str, ...]] = {
    "digits": ("--model", "autoencoder"),
    "surfaces": ("--model", "pca", "--size", "64"),
}
"""What each job adds to `urbild fit`."""

ABOUT = {
    "digits": "handwritten digits; nine of them are normal, the fours are not",
    "surfaces": "brushed, woven and grainy surfaces; some have scratches, spots, dents or missing threads",
}


def demo(arguments: Arguments, console: Console) -> Result:
    """Runs one job, or both."""
    wanted = arguments["job"]
    if wanted is not None and wanted not in JOBS:
        msg = f"there is no demo {wanted!r}; {nearest(wanted, JOBS)}"
        raise OptionError(msg)
    pages = {job: _job(job, arguments, console) for job in ([wanted] if wanted else JOBS)}
    console.note("\nOpen in a browser:")
    for page in pages.values():
        console.result(f"{page}" if console.quiet else f"  {page}")
    return {"reports": {job: str(page) for job, page in pages.items()}}


def _job(job: str, arguments: Arguments, console: Console) -> Path:
    from urbild.data import write_folder

    began = time.monotonic()
    place = Path(arguments["out"]) / job
    data, run = place / "data", _free(place)
    console.note(f"\n== {job}: {ABOUT[job]}")
    if not data.exists():
        shared.make(place)
        write_folder(job, data, seed=0)
    console.note(f"data written to {data}: train/good, test/good, test/..., as a user's would lie")
    for words in commands(job, data, run, arguments):
        console.note(f"\n$ {shlex.join(['urbild', *words])}")
        _run(words, console)
    console.note(f"\n{job} took {seconds(time.monotonic() - began)}.")
    return run / "report.html"


def commands(job: str, data: Path, run: Path, arguments: Arguments) -> list[list[str]]:
    """The command lines of a job, as a user would type them."""
    shown, found = str(run), str(data)
    common = ["--device", arguments["device"]] if arguments["device"] != "auto" else []
    common += ["--quiet"] if arguments["quiet"] else []
    seed = ["--seed", str(arguments["seed"])] if arguments["seed"] else []
    maps = ["--heatmaps", f"{shown}-heatmaps"] if job == "surfaces" else []
    return [
        ["fit", found, *JOBS[job], "--out", shown, *seed, *common],
        ["score", shown, found, "--out", f"{shown}-scores.csv", *maps, *common],
        ["evaluate", shown, found, *common],
        ["report", shown, *common],
    ]


def _run(words: list[str], console: Console) -> None:
    from urbild.cli.main import COMMANDS
    from urbild.cli.parsing import parse

    command = COMMANDS[words[0]]
    silent = Console(json=True, quiet=True)
    command.run(parse(command, words[1:]), silent if console.quiet else console)


def _free(place: Path) -> Path:
    """A name for the run that is not taken: a demo may be repeated, and overwrites nothing."""
    names = (place / ("run" if number == 1 else f"run-{number}") for number in range(1, 10_000))
    return next(name for name in names if not name.exists())


DEMO = Command(
    name="demo",
    summary="the whole job on data that come along: digits, surfaces",
    about="Writes example data as folders, then fits, scores, evaluates and reports, showing each command as you would "
    "type it.",
    places=(Place("job", "digits or surfaces; both without a name", required=False),),
    groups=(
        Group("Demo", (Option("out", "directory for data and runs", str, "urbild-demo", "DIR"),)),
        shared.COMMON,
    ),
    example="urbild demo surfaces",
    run=demo,
)
