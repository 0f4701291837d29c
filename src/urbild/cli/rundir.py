"""The directory of a run: made fresh, removed again when nothing came of it, and named when the user stops."""

import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from urbild.cli.command import Arguments
from urbild.cli.console import StoppedError
from urbild.errors import OptionError

ROOT = Path("urbild-runs")


@contextmanager
def run_directory(arguments: Arguments, stem: str, command: str) -> Iterator[Path]:
    """A directory to train into. Whatever ends the run early leaves a run that can be resumed, or nothing."""
    from urbild.artifacts import MANIFEST, fresh_directory
    from urbild.training import CHECKPOINT

    resume = arguments["resume"]
    wanted = None if arguments["out"] is None else Path(arguments["out"])
    made = _first_missing(wanted or ROOT)
    directory = fresh_directory(wanted, resume=resume, root=ROOT, stem=stem)
    if resume and (directory / MANIFEST).exists():
        msg = f"the run in {directory} is finished, there is nothing to resume; give another --out to train anew."
        raise OptionError(msg)
    try:
        yield directory
    except BaseException as error:
        resumable = resume or (directory / CHECKPOINT).exists()
        if not resumable:
            _remove(directory, made)
        if not isinstance(error, KeyboardInterrupt):
            raise
        if not resumable:
            msg = "stopped before the first checkpoint; nothing was kept."
            raise StoppedError(msg) from None
        go_on = again(arguments, command, directory)
        msg = f"stopped; the checkpoint is {directory / CHECKPOINT}. To go on:\n  {go_on}"
        raise StoppedError(msg) from None


def again(arguments: Arguments, command: str, directory: Path) -> str:
    """The command line that resumes a run."""
    words = ["urbild", command, *arguments.line]
    words += [] if arguments["out"] else ["--out", str(directory)]
    words += [] if arguments["resume"] else ["--resume"]
    return shlex.join(words)


def _first_missing(path: Path) -> Path | None:
    """The highest directory that has to be made for `path`."""
    missing = None
    for place in (path, *path.parents):
        if place.exists():
            break
        missing = place
    return missing


def _remove(directory: Path, made: Path | None) -> None:
    """Removes what the run wrote, and the directories that were made for it as far as they are empty."""
    if made is None:
        for entry in directory.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        if directory.parent == ROOT:
            directory.rmdir()
        return
    shutil.rmtree(directory)
    parent = directory.parent
    while parent.is_relative_to(made) and not any(parent.iterdir()):
        parent.rmdir()
        parent = parent.parent
