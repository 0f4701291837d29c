"""One error for each thing that a user can fix; each says what was found, what was wanted, and what to do.

The command line prints the message as one sentence and exits with code 2. Everything else is a bug of ours.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class UrbildError(Exception):
    """Base of all errors that a user can fix."""


class DataError(UrbildError):
    """The data are missing, empty, unreadable or not finite."""


class ShapeError(DataError):
    """The data are readable, but of another shape, kind or set of columns than wanted."""


class OptionError(UrbildError):
    """An option or a name is unknown, or its value is out of range."""


class NotScoringError(UrbildError):
    """An anomaly score is asked of a system that has no sound way to give one."""


class TrainingDivergedError(UrbildError):
    """A loss became NaN or infinite."""


class ArtifactError(UrbildError):
    """A saved model or checkpoint is missing, damaged, changed or from a newer release."""


class OutputError(UrbildError):
    """A result cannot be written where it was asked for."""


class ExtraError(UrbildError):
    """An optional dependency is not installed."""


MOST_SHOWN = 12


def nearest(word: str, known: Iterable[str]) -> str:
    """Ends an error message with the known names closest to `word`, or with those that there are."""
    names = sorted(known)
    close = get_close_matches(word.lower(), names, n=3, cutoff=0.6)
    if close:
        return f"did you mean {' or '.join(close)}?"
    shown = sorted(sorted(names, key=len)[:MOST_SHOWN])
    more = f", and {len(names) - len(shown)} more" if len(names) > len(shown) else ""
    return f"known: {', '.join(shown)}{more}."
