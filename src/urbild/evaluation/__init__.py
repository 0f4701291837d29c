"""Metrics with intervals, each with its protocol written into the result."""

from urbild.evaluation.record import CalibrationScores, Curve, Evaluation, Example, Interval, Likelihoods

__all__ = ["CalibrationScores", "Curve", "Evaluation", "Example", "Interval", "Likelihoods"]
