"""PixelCNN on dynamically binarised MNIST."""

from benchmarks.reproduce import Target
from benchmarks.reproduce.pixels_mnist import claim

CLAIM = claim(
    "pixelcnn",
    "PixelCNN: exact likelihood of binary MNIST",
    {
        "cpu": {"blocks": 6, "width": 32, "kernel": 7, "batch": 16, "learning_rate": 4e-3, "steps": 26_000},
        "full": {"blocks": 15, "width": 16, "steps": 100_000},
    },
    Target("pixelcnn", "test", "nats", 84.0, "gate", most=True),
)
