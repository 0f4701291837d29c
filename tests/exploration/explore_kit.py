"""Models of known codes for the tests of exploration."""

import numpy as np
import torch

from urbild import catalogue
from urbild.contract import DataSpec

ROWS = DataSpec(shape=(6,), kind="vector")
IMAGES = DataSpec(shape=(1, 8, 8), kind="image", levels=256)


def model(name, spec=ROWS, seed=0, **options):
    """An untrained system in evaluation mode; of GANs the small one of its card."""
    small = catalogue.decode_options(name, catalogue.card(name).small)
    return catalogue.build(name, spec, {**small, **options}, seed=seed).eval()


def subspace(components=3):
    """A PCA in float64 whose directions are orthonormal."""
    made = model("pca", components=components)
    made.directions = torch.linalg.qr(torch.from_numpy(np.random.default_rng(0).normal(size=(6, 6))))[0][:components]
    made.mean = torch.arange(6, dtype=torch.float64)
    return made.double()


def codes(n, size, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(n, size)))
