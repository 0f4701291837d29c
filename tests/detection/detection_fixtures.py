"""Small data and models that the tests of detection share."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from urbild.contract import Anomaly, DataSpec, Model, Scores, Source, Stage


def table(n: int = 240, *, seed: int = 0) -> np.ndarray:
    """Rows [n, 5] near a plane."""
    rng = np.random.default_rng(seed)
    plane = np.random.default_rng(99).normal(size=(2, 5))
    return rng.normal(size=(n, 2)) @ plane + 0.1 * rng.normal(size=(n, 5))


def images(n: int = 60, side: int = 48, *, spot: bool = False, seed: int = 0) -> np.ndarray:
    """Soft gradients [n, side, side] uint8, with a bright spot where wanted."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] / side
    slopes = rng.uniform(60, 120, size=(2, n, 1, 1))
    found = slopes[0] * x + slopes[1] * y + rng.normal(0, 3, size=(n, side, side))
    if spot:
        found[:, side // 2 : side // 2 + 5, side // 4 : side // 4 + 5] += 60
    return found.clip(0, 255).astype(np.uint8)


class Distance(Model, Scores):
    """A user's own model: the squared distance from the training mean."""

    mean: Tensor

    def __init__(self, spec: DataSpec, *, gain: float = 1.0) -> None:
        super().__init__()
        self.spec, self.gain = spec, gain
        self.register_buffer("mean", torch.zeros(spec.shape))

    def stages(self) -> Sequence[Stage]:
        return [Stage(name="mean", solve=self._solve)]

    def _solve(self, source: Source) -> None:
        total = sum(batch.x.sum(0) for batch in source.batches())
        self.mean.copy_(torch.as_tensor(total) / len(source))

    def anomaly(self, x: Tensor, *, given: Tensor | None = None) -> Anomaly:
        error = self.gain * (x - self.mean).square()
        maps = error.mean(1) if self.spec.kind == "image" else error
        return Anomaly(error.flatten(1).mean(1), maps)


class Mute(Model):
    """A model that does not score."""

    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        self.spec = spec

    def stages(self) -> Sequence[Stage]:
        return []
