"""The promise of false alarms, kept on real data: their number follows the law that split conformal calibration has."""

from collections.abc import Iterator
from math import floor
from typing import Any

import numpy as np
from scipy.stats import betabinom

from benchmarks.common import data_root
from benchmarks.reproduce import Budget, Claim, Line
from benchmarks.reproduce.one_class_mnist import digits
from urbild.data import Reading, Records, as_records
from urbild.detection import Detector

ALPHAS = (0.01, 0.05, 0.10)
BAND = 0.999
DIGIT = 3
SETTINGS: dict[str, dict[str, dict[str, Any]]] = {
    "cpu": {
        "pca": {},
        "autoencoder": {"steps": 300, "batch": 64},
        "ganomaly": {"steps": 60, "batch": 32, "width": 16},
    },
}
SETTINGS["full"] = SETTINGS["cpu"]


def normals() -> Iterator[tuple[str, Any, int, dict[str, Any]]]:
    """Each data set: its name, all its normals, how many of them fit, and options of the detector."""
    train, labels = digits("train")
    yield f"mnist digit {DIGIT}", train[labels == DIGIT], 3000, {}
    tiles = as_records(data_root() / "magnetic_tile", reading=Reading(part="all"))
    yield "magnetic_tile", tiles.select(tiles.normal_rows()), 600, {"size": 64, "normalise": "image"}
    table = np.load(data_root() / "adbench" / "38_thyroid.npz")
    yield "adbench/38_thyroid", table["X"][table["y"] == 0].astype(np.float32), 2000, {}


def rows(data: Any, chosen: np.ndarray) -> Any:
    """Some rows of an array or of records."""
    return data.select(chosen) if isinstance(data, Records) else data[chosen]


def run(seed: int, budget: Budget) -> Iterator[Line]:
    """A line for each data set, system and alpha."""
    for name, data, fitted, common in normals():
        order = np.random.default_rng([seed, fitted]).permutation(len(data))
        seen, fresh = rows(data, np.sort(order[:fitted])), rows(data, np.sort(order[fitted:]))
        for system, options in SETTINGS[budget].items():
            detector = Detector(system, random_state=seed, **common, **options).fit(seen)
            p = detector.p_values(fresh)
            calibration = detector.calibration_
            assert calibration is not None
            for alpha in ALPHAS:
                count, m, n = int((p <= alpha).sum()), len(p), calibration.n
                k = floor(alpha * (n + 1) + 1e-9)
                low, high = betabinom(m, k, n + 1 - k).interval(BAND)
                inside = "inside" if low <= count <= high else "OUTSIDE"
                note = f"{count} of {m} fresh normals, {n} calibrated; {inside} {low:.0f} to {high:.0f}"
                yield Line(system, name, f"false alarms at {alpha:.2f}", count / m, note)


CLAIM = Claim(
    name="false_alarms",
    title="The promise of false alarms",
    protocol=(
        f"Random splits of real normals by the seed: MNIST digit {DIGIT} (training file; 3,000 fit, the rest is "
        "fresh), all 952 good magnetic tiles (600 fit), the normal rows of adbench/38_thyroid (2,000 fit). With n "
        "calibration samples and m fresh normals, the number of false alarms must lie in the 99.9 % band of "
        "BetaBinomial(m, k, n + 1 - k), k = floor(alpha (n + 1))."
    ),
    run=run,
    seeds=(0, 1, 2, 3, 4),
    budgets=SETTINGS,
)
