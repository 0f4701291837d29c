"""Conditional GAN on Fashion-MNIST."""

from typing import Any

from benchmarks.reproduce import Target
from benchmarks.reproduce.conditional_gans import LESS, claim

SETTINGS: dict[str, Any] = {
    "width": 16,
    "steps": 20_000,
    "batch": 64,
    "average": 0.995,
    "judge": 3,
    "samples": 2000,
}

CLAIM = claim(
    "conditional_fashion",
    "fashion_mnist",
    "Fashion-MNIST",
    SETTINGS,
    Target("conditional_gan", "fashion_mnist", LESS, -0.03, "gate"),
)
