"""The one training loop: stages, turns and solvers, on Lightning Fabric."""

from urbild.training.launch import fit
from urbild.training.loop import Outcome
from urbild.training.plan import Plan, Precision, pick_device, place
from urbild.training.progress import Plain, Quiet, Reporter, Rich, reporter
from urbild.training.record import METRICS, Row, as_csv, read_csv
from urbild.training.state import CHECKPOINT
from urbild.training.watch import Watch

__all__ = [
    "CHECKPOINT",
    "METRICS",
    "Outcome",
    "Plain",
    "Plan",
    "Precision",
    "Quiet",
    "Reporter",
    "Rich",
    "Row",
    "Watch",
    "as_csv",
    "fit",
    "pick_device",
    "place",
    "read_csv",
    "reporter",
]
