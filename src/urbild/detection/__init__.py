"""Detectors: calibrated anomaly scores, heat maps and tiling."""

from urbild.detection.calibration import Calibration, CalibrationWarning

__all__ = ["Calibration", "CalibrationWarning"]
