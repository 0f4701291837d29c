"""Metrics with intervals, each with its protocol written into the result."""

from urbild.evaluation.evaluate import evaluate
from urbild.evaluation.floors import brightness, floors, local_contrast
from urbild.evaluation.metrics import METRICS, curves, detection_metrics
from urbild.evaluation.record import CalibrationScores, Curve, Evaluation, Example, Interval, Likelihoods

__all__ = [
    "METRICS",
    "CalibrationScores",
    "Curve",
    "Evaluation",
    "Example",
    "Interval",
    "Likelihoods",
    "brightness",
    "curves",
    "detection_metrics",
    "evaluate",
    "floors",
    "local_contrast",
]
