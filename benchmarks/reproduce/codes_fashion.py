"""Codes by class on Fashion-MNIST."""

from typing import Any

from benchmarks.reproduce.codes_by_class import claim

SETTINGS: dict[str, dict[str, Any]] = {
    "cpu": {
        "autoencoder": {"codes": 256, "groups": 2, "hidden": 64, "code_size": 64, "learning_rate": 1e-3},
        "plan": {"steps": 8000, "batch": 32, "precision": "32"},
        "prior": {"layers": 8, "width": 64},
        "prior_plan": {"steps": 20_000, "batch": 32},
    },
    "full": {
        "autoencoder": {"codes": 256, "groups": 2, "hidden": 128, "code_size": 64, "learning_rate": 1e-3},
        "plan": {"steps": 20_000, "batch": 64},
        "prior": {"layers": 12, "width": 64},
        "prior_plan": {"steps": 40_000, "batch": 64},
    },
}

NOTE = (
    " The autoencoder's size was chosen on the last 5,000 training images. Samples at temperature .9 stand beside: "
    "more of them are of the wanted class, and their distance to the nearest other tells what that costs."
)
CLAIM = claim("codes_fashion", "fashion_mnist", "Fashion-MNIST", SETTINGS, cooler=(0.9,), note=NOTE)
