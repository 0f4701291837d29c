"""Gated PixelCNN on dynamically binarised MNIST."""

from benchmarks.reproduce import Target
from benchmarks.reproduce.pixels_mnist import claim

CLAIM = claim(
    "gated_pixelcnn",
    "Gated PixelCNN: exact likelihood of binary MNIST",
    {
        "cpu": {"layers": 8, "width": 32, "batch": 16, "learning_rate": 3e-3, "steps": 13_000},
        "full": {"layers": 10, "width": 128, "steps": 30_000},
    },
    Target("gated_pixelcnn", "test", "nats", 86.8, "gate", most=True),
)
