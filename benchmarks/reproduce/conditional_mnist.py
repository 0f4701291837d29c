"""Conditional GAN on MNIST."""

from typing import Any

from benchmarks.reproduce import Target
from benchmarks.reproduce.conditional_gans import AGREEMENT, claim

SETTINGS: dict[str, Any] = {
    "width": 24,
    "steps": 24_000,
    "batch": 64,
    "average": 0.999,
    "judge": 3,
    "samples": 2000,
}

CLAIM = claim(
    "conditional_mnist", "mnist", "MNIST", SETTINGS, Target("conditional_gan", "mnist", AGREEMENT, 0.97, "gate")
)
