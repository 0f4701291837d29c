"""Deep generative models behind one small contract, and the calibrated anomaly detectors built on them.

Names are imported when they are first used, so that the command line answers at once.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from urbild.detection import Detector
    from urbild.runs import load, train

__version__ = "0.1.0"
__all__ = ["Detector", "load", "train"]

_HOMES = {"Detector": "urbild.detection", "load": "urbild.runs", "train": "urbild.runs"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        msg = f"module 'urbild' has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(_HOMES[name]), name)
