"""Two-dimensional mixtures of round Gaussians, on which it shows which modes a generator forgets."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from types import MappingProxyType

import numpy as np

from urbild.data.arrays import ArrayRecords
from urbild.data.embedded import part_of
from urbild.data.keys import below, uniform
from urbild.data.records import Reading

TRAIN, TEST = 100_000, 10_000  # samples


@dataclass(frozen=True, slots=True, eq=False)
class Mixture:
    """Gaussians of equal weight.

    Attributes:
        centres: [K, 2].
        deviation: of each, along each axis.
    """

    centres: np.ndarray
    deviation: float

    def draw(self, count: int, *, seed: int = 0, first: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Samples [count, 2] float32 and their modes [count]; sample number `first` and on of the seed."""
        index = np.arange(first, first + count)
        mode = below(len(self.centres), seed, 0, index)
        # Box and Muller: two normal numbers of two uniform ones
        length = np.sqrt(-2 * np.log1p(-uniform(seed, 1, index)))
        angle = 2 * np.pi * uniform(seed, 2, index)
        noise = length[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        return (self.centres[mode] + self.deviation * noise).astype(np.float32), mode


def ring(modes: int = 8, *, radius: float = 2.0, deviation: float = 0.02) -> Mixture:
    """Gaussians on a circle."""
    angle = 2 * np.pi * np.arange(modes) / modes
    return Mixture(radius * np.stack([np.cos(angle), np.sin(angle)], axis=1), deviation)


def grid(side: int = 5, *, spacing: float = 2.0, deviation: float = 0.05) -> Mixture:
    """Gaussians on a square grid about the origin."""
    places = spacing * (np.arange(side) - (side - 1) / 2)
    return Mixture(np.asarray(list(product(places, places))), deviation)


MIXTURES: Mapping[str, Mixture] = MappingProxyType({"ring8": ring(), "grid25": grid()})
"""The known data sets by name."""


def mixture(name: str, reading: Reading, *, seed: int = 0) -> ArrayRecords:
    """Samples [N, 2] of a known mixture, labelled by mode: 100,000 to train, 10,000 to test."""
    values, modes = MIXTURES[name].draw(TRAIN + TEST, seed=seed)
    rows = {"train": range(TRAIN), "test": range(TRAIN, TRAIN + TEST), "all": range(TRAIN + TEST)}[reading.part]
    classes = tuple(str(mode) for mode in range(len(MIXTURES[name].centres)))
    return part_of(name, reading, values, modes, classes, rows=np.asarray(rows))
