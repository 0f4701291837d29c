"""Saved runs, opened as what they can do."""

from pathlib import Path

from urbild import runs
from urbild.contract import Model, Scores
from urbild.detection.detector import Detector


def open_run(path: str | Path, *, model: Model | None = None, device: str = "auto") -> Detector | runs.Run:
    """A saved detector, or the bare run of a system that does not score.

    Args:
        path: the directory.
        model: where the saved one was a model of one's own: an instance of the same class and shape.
        device: to put it on.

    Raises:
        ArtifactError: files are missing, damaged, changed or from a newer release.
    """
    run = runs.load(path, model=model, device=device)
    return Detector.from_run(run) if isinstance(run.model, Scores) else run
