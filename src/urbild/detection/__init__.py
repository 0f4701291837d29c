"""Detectors: calibrated anomaly scores, heat maps and tiling."""

from urbild.detection.calibration import Calibration, CalibrationWarning
from urbild.detection.detector import EXPECTED_FAILED_CHECKS, Detector
from urbild.detection.fitting import fit_detector
from urbild.detection.heat import Reduction
from urbild.detection.inputs import InputError, UnknownOptionError
from urbild.detection.scorer import Block, Scorer
from urbild.detection.scoring import Scoring

__all__ = [
    "EXPECTED_FAILED_CHECKS",
    "Block",
    "Calibration",
    "CalibrationWarning",
    "Detector",
    "InputError",
    "Reduction",
    "Scorer",
    "Scoring",
    "UnknownOptionError",
    "fit_detector",
]
