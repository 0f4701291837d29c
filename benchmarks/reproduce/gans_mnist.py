"""MNIST: samples of adversarial networks beside those of a VAE, real images, and a normal law."""

from benchmarks.reproduce.gans import claim

CLAIM = claim("gans_mnist", "mnist", "MNIST")
