"""A run: a model, how its data are prepared, and how it was trained. Here data, training and artifacts meet."""

from urbild.runs.learning import learn, sort_options, train, train_run
from urbild.runs.parts import built_on
from urbild.runs.saving import Run, describe, load, save

__all__ = ["Run", "built_on", "describe", "learn", "load", "save", "sort_options", "train", "train_run"]
