"""Options that several commands share, and what they mean to the library."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from urbild.cli.command import Arguments, Group, Option, Place
from urbild.errors import OptionError, OutputError

if TYPE_CHECKING:
    from urbild.cli.console import Console
    from urbild.data import Preparation, Reading, Records

DATA = Place(
    "path",
    "images or sounds (a file or a folder with sub-folders), .npy, .npz, .csv, .tsv or .parquet, or a known data set",
)
DIRECTORY = Place("dir", "the directory of a run, that `fit` or `train` made")

OUT = Option("out", "directory of the run; without it a new one under urbild-runs/", metavar="DIR")
SEED = Option("seed", "of everything that is drawn", int, 0, "N")
DEVICE = Option("device", "auto, cpu, cuda, cuda:1, mps", str, "auto")

COMMON = Group(
    "Everywhere",
    (
        SEED,
        DEVICE,
        Option("config", "options from a YAML file; the command line wins over it", metavar="FILE"),
        Option("print-config", "print the options as YAML and do nothing else", bool, default=False),
        Option("json", "one JSON object on stdout, everything else on stderr", bool, default=False),
        Option("quiet", "results only: no explanations, no progress", bool, default=False),
    ),
)
FEW = Group("Everywhere", COMMON.options[1:])

LABELS = (
    Option("label-column", "column of a table that holds the labels (default: label)", metavar="NAME"),
    Option(
        "normal", "names of the classes that are normal, with commas (default: good, normal, ok, ...)", metavar="A,B"
    ),
    Option("group-by", "samples that belong together: 'parent' (their folder) or a regular expression", metavar="RULE"),
)
FILES = (
    Option("skip-bad", "leave out files that cannot be read, and count them", bool, default=False),
    Option("max-pixels", "largest image that is read", int, 100_000_000, "N"),
    Option("workers", "processes that decode files (default: one for each core)", int | None, None, "N"),
)
READING = Group("Data", (*LABELS, *FILES))
PART = Option(
    "part",
    "which part of a folder with train/ and test/, or of a known data set",
    Literal["train", "test", "all"],
    "test",
)
SCORED = Group("Data", (PART, *LABELS, *FILES))
SIZE = Option(
    "size",
    "working size of images: 64, or 64x96 (height x width); without it chosen from the data",
    int | str | None,
    None,
    "N",
)
TRAINED = Group(
    "Data",
    (
        SIZE,
        Option(
            "normalise",
            "'image' takes brightness and contrast out of every image; 'rms' and 'peak' the level out of every sound",
            Literal["none", "image", "rms", "peak"],
            "none",
        ),
        Option(
            "patch", "train on random crops of this size, and score by maps stitched from them", int | None, None, "N"
        ),
        Option("patches-per-image", "random crops an image and epoch", int, 16, "N"),
        Option(
            "window",
            "train on random crops of sounds, this many samples each",
            int | None,
            None,
            "N",
        ),
        Option("rate", "samples of sound a second (default: the commonest of the files)", int | None, None, "HZ"),
        *LABELS,
        *FILES,
    ),
)
BUDGET = (
    Option("steps", "training steps (default: the model's own number of epochs)", int | None, None, "N"),
    Option("seconds", "training time", float | None, None, "S"),
    Option("epochs", "passes over the data", float | None, None, "X"),
)
LEARNING = (
    *BUDGET,
    Option("batch", "samples in a batch (default: the model's own)", int | None, None, "N"),
    Option("precision", "of the arithmetic", Literal["auto", "32", "bf16", "16"], "auto"),
    Option("clip", "largest norm of a gradient", float | None, None, "X"),
    Option("patience", "checks on held-out samples without progress before training stops", int | None, None, "N"),
)
RUN = (OUT, Option("resume", "go on with the interrupted run in --out", bool, default=False))
REDUCTION = Option(
    "reduction",
    "from a map to a score: max of the smoothed map, mean, top share, or the model's own score",
    Literal["auto", "model", "mean", "max", "top"],
    "auto",
)
OVERLAP = Option("overlap", "share that neighbouring tiles of a large image have in common", float, 0.5, "X")
ALPHA = Option("alpha", "false alarms allowed among normal samples: 0.05 is one in twenty", float, 0.05, "X")
ALPHA_AFTER = Option("alpha", "false alarms allowed among normal samples (default: as fitted)", float | None, None, "X")


def names(text: str | None) -> tuple[str, ...] | None:
    """The words of a list with commas, or None where there is none."""
    if text is None:
        return None
    return tuple(word.strip() for word in text.split(",") if word.strip())


def size(value: int | str | None) -> int | tuple[int, int] | None:
    """A working size from "64" or "64x96" (height x width).

    Raises:
        OptionError: it is neither.
    """
    given: int | tuple[int, int] | None
    if value is None or isinstance(value, int):
        given = value
    else:
        sides = value.lower().replace(",", "x").strip("[]() ").split("x")
        if len(sides) != 2 or not all(side.strip().isdigit() for side in sides):
            msg = f"--size: {value!r} is neither a number of pixels (64) nor height x width (64x96)."
            raise OptionError(msg)
        given = (int(sides[0]), int(sides[1]))
    smallest = given if isinstance(given, int) else min(given or (1,))
    if smallest < 1:
        msg = f"--size: {value} is not a size; it wants pixels, 1 or more."
        raise OptionError(msg)
    return given


def reading(arguments: Arguments, part: Literal["train", "test", "all"]) -> "Reading":
    """How the data of a command are read."""
    from urbild.data import Reading

    return Reading(
        part=part,
        label_column=arguments["label_column"],
        group_by=arguments["group_by"],
        normal=names(arguments["normal"]),
        skip_bad=arguments["skip_bad"],
        max_pixels=arguments["max_pixels"],
        workers=arguments["workers"],
    )


def given(arguments: Arguments, console: "Console") -> "Records":
    """The samples that a trained model is to look at."""
    from urbild.data import as_records, verify

    records = as_records(arguments["path"], reading=reading(arguments, arguments["part"]))
    if arguments["skip_bad"]:
        records = verify(records, skip_bad=True, training=False)
        tell_skipped(records, console)
    return records


def tell_skipped(records: "Records", console: "Console") -> None:
    """Counts and names what was left out."""
    count = len(records.skipped)
    if count:
        what = "1 unreadable file is" if count == 1 else f"{count} unreadable files are"
        console.warn(f"{what} left out: {few(records.skipped)}")


def tell_heard(preparation: "Preparation", records: "Records", console: "Console") -> None:
    """Says what is done to sounds before a trained model hears them; warns where it does not hear all.

    Raises:
        ShapeError: the samples are of another kind.
    """
    from urbild.data.waves import Waves

    preparation.check(records)
    how = preparation.how
    if not isinstance(how, Waves):
        return
    changes, cut = how.changes(records), how.cut(records)
    if changes:
        console.note(f"{changes}; {how.rate:,} Hz")
    if cut:
        what = "1 sound is" if cut == 1 else f"{cut:,} sounds are"
        console.warn(
            f"{what} longer than the {how.length:,} samples of the longest training sound; what comes after is left "
            "out, so cut long recordings into pieces."
        )


def normals(records: "Records", console: "Console") -> "Records":
    """The samples that training may use; says which were left out, or that all were taken."""
    rows = records.normal_rows()
    if len(rows) < len(records):
        console.note(f"{len(records) - len(rows)} abnormal samples are left out; {len(rows)} normal ones remain")
        return records.select(rows)
    labels = [] if records.labels is None else sorted({int(label) for label in records.labels if label >= 0})
    present = [records.classes[label] for label in labels]
    if len(present) > 1 and records.normal is None:
        shown = few(present)
        console.note(f"all {len(rows)} samples ({shown}) are taken as normal; --normal names the classes that are")
    return records


def positive(arguments: Arguments, *keys: str) -> None:
    """Refuses numbers that must be larger than nothing.

    Raises:
        OptionError: one is zero or negative.
    """
    for key in keys:
        value: Any = arguments[key]
        if value is not None and not value > 0:
            msg = f"--{key.replace('_', '-')}: {value} is too small; it must be more than 0."
            raise OptionError(msg)


def between(arguments: Arguments, *keys: str) -> None:
    """Refuses shares outside 0 to 1.

    Raises:
        OptionError: one is not a share.
    """
    for key in keys:
        if not 0 <= arguments[key] < 1:
            msg = f"--{key.replace('_', '-')}: {arguments[key]} is not a share from 0 to 1."
            raise OptionError(msg)


def few(words: Sequence[str], most: int = 3) -> str:
    """The first of many names."""
    more = len(words) - most
    return ", ".join(words[:most]) + (f" and {more} more" if more > 0 else "")


def write(path: Path, data: bytes | str) -> None:
    """Writes a result of the user's choice of place, making its directory.

    Raises:
        OutputError: the place cannot be written.
    """
    from urbild.artifacts import write_atomically

    make(path.parent)
    if path.is_dir():
        msg = f"{path} is a directory; give the name of a file."
        raise OutputError(msg)
    write_atomically(path, data)


def make(directory: Path) -> None:
    """Makes a directory.

    Raises:
        OutputError: it cannot be made.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"cannot make the directory {directory}: {(error.strerror or str(error)).lower()}; give another place."
        raise OutputError(msg) from None
