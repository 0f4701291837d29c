"""Codes by class on MNIST."""

from typing import Any

from benchmarks.reproduce.codes_by_class import claim

SETTINGS: dict[str, dict[str, Any]] = {
    "cpu": {
        "autoencoder": {"codes": 128, "hidden": 48, "code_size": 32, "learning_rate": 1e-3},
        "plan": {"steps": 3000, "batch": 64},
        "prior": {"layers": 8, "width": 64},
        "prior_plan": {"steps": 10_000, "batch": 64},
    },
    "full": {
        "autoencoder": {"codes": 128, "hidden": 128, "code_size": 64, "learning_rate": 1e-3},
        "plan": {"steps": 20_000, "batch": 64},
        "prior": {"layers": 12, "width": 64},
        "prior_plan": {"steps": 40_000, "batch": 64},
    },
}

CLAIM = claim("codes_mnist", "mnist", "MNIST", SETTINGS)
