"""Distance to the nearest normal samples, in raw values.

Ramaswamy, Rastogi and Shim 2000, Efficient algorithms for mining outliers from large data sets,
https://doi.org/10.1145/342009.335437

    score(x) = || x - s_k(x) || / sqrt(D)        s_k(x): the k-th nearest of the stored normal samples

that is definition 2.1, on new samples instead of the stored ones, as a root mean square over the D values compared.
With `neighbours=1` a stored sample has score 0. The map is the squared difference at each site to the mean of the k
nearest; the score does not come from it.

Images are compared at a working resolution, at which no side is longer than `resolution`; larger ones are averaged
down. Of more than `limit` samples a subset is stored, drawn without replacement by a fixed seed. So memory is at most
`limit` samples at that resolution, in training too, and distances are taken in blocks.
"""
# ruff: noqa: ARG002, D102 -- the verbs are documented in the contract; `given` is not used here

from collections.abc import Sequence
from math import sqrt

import numpy as np
import torch
from torch import Tensor

from urbild.contract import Anomaly, DataSpec, Model, Scores, Source, Stage
from urbild.nets import stock
from urbild.nets.layers import image_size
from urbild.ops.distances import site_error
from urbild.ops.neighbours import nearest_neighbours
from urbild.ops.resampling import resize

BLOCK = 256  # rows read at once in training


class Nearest(Model, Scores):
    """Stored normal samples.

    Args:
        spec: of the data.
        neighbours: k; fewer where fewer are stored.
        resolution: longest side of an image at which images are compared.
        limit: samples stored at most.

    Attributes:
        stored: [M, D] the normal samples at their working resolution.
    """

    stored: Tensor

    def __init__(self, spec: DataSpec, *, neighbours: int, resolution: int, limit: int) -> None:
        super().__init__()
        self.spec = spec
        self.neighbours, self.limit = neighbours, limit
        self.working = _working_shape(spec, resolution)
        self.register_buffer("stored", torch.zeros(0, int(np.prod(self.working))))

    def stages(self) -> Sequence[Stage]:
        return (Stage(name="store", solve=self.solve),)

    def solve(self, source: Source) -> None:
        """Stores all samples, or a subset of `limit` of them."""
        rows = np.arange(len(source))
        if len(rows) > self.limit:
            rows = np.sort(np.random.default_rng(0).choice(rows, self.limit, replace=False))
        stored = self.stored.new_empty(len(rows), self.stored.shape[1])
        blocks = [rows[start : start + BLOCK].tolist() for start in range(0, len(rows), BLOCK)]
        start = 0
        for batch in source.stream((0, block) for block in blocks):
            stored[start : start + len(batch)] = self._work(batch.x.to(stored)).flatten(1)
            start += len(batch)
        self.stored = stored

    def _work(self, x: Tensor) -> Tensor:
        """Samples at the working resolution: [N, *working]."""
        return resize(x, (self.working[1], self.working[2])) if self.spec.kind == "image" else x

    def anomaly(self, x: Tensor, *, given: Tensor | None = None) -> Anomaly:
        small = self._work(x)
        query = small.flatten(1)  # [N, D]
        found = nearest_neighbours(query, self.stored, min(self.neighbours, len(self.stored)))
        score = found.distance[:, -1] / sqrt(query.shape[1])
        typical = torch.stack([self.stored[column] for column in found.rows.unbind(1)]).mean(0)
        error = site_error(small, torch.unflatten(typical, 1, self.working))  # [N, *working sites]
        if self.spec.kind == "image":
            error = resize(error[:, None], image_size(self.spec))[:, 0]  # [N, H, W]
        return Anomaly(score, error)


def _working_shape(spec: DataSpec, resolution: int) -> tuple[int, ...]:
    """Shape of a sample whose longest side is at most `resolution`; the aspect is kept."""
    if spec.kind != "image":
        return spec.shape
    factor = min(1.0, resolution / max(spec.sites))
    return (spec.channels, *(max(1, round(side * factor)) for side in spec.sites))


def nearest(spec: DataSpec, *, neighbours: int = 1, resolution: int = 32, limit: int = 10_000) -> Model:
    """Builds an empty store.

    Args:
        spec: of the data.
        neighbours: which neighbour's distance is the score: the first, the second, ...
        resolution: longest side, in pixels, at which images are compared.
        limit: samples stored at most.

    Raises:
        OptionError: an option is out of range.
    """
    stock.check_sizes(neighbours=neighbours, resolution=resolution, limit=limit)
    return Nearest(spec, neighbours=neighbours, resolution=resolution, limit=limit)
