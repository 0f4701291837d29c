"""Codebooks that are searched: learned as moving averages of what chose them, or by a loss of their own.

Source: van den Oord, Vinyals and Kavukcuoglu 2017, Neural discrete representation learning,
https://arxiv.org/abs/1711.00937, equations 1 to 3 and appendix A.1.
"""

# ruff: noqa: D102 -- the methods are documented at their abstract classes

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional

from urbild.errors import OptionError
from urbild.nets.quantisers.base import Codebook, Quantised, Quantiser, need_positive, rows, tally, usage
from urbild.nets.quantisers.estimators import Estimator, pass_gradient
from urbild.nets.quantisers.search import nearest_codes

KMEANS_STEPS = 10
JITTER = 0.01  # of the deviation of each of their numbers, where fewer vectors than codes start a codebook


@dataclass(frozen=True)
class Ema(Quantiser):
    """A codebook of moving averages: each code vector follows the mean of the vectors that chose it.

    Attributes:
        codes: K.
        decay: of the averages, 0 to 1; at 0, and without smoothing, an update is a step of k-means.
        commitment: weight of the squared distance that draws the vectors to their codes.
        gradient: the estimator.
        revive: steps in a row without a choice after which a code is replaced by a random vector of the batch; None
            leaves it. (A number of steps means the same at any batch size and decay, unlike a count.)
        start: "kmeans" on the vectors of the first batch, or "uniform" within 1/K of the origin.
        smoothing: added to every count, which are then brought back to their sum (Laplace).
    """

    codes: int = 512
    decay: float = 0.99
    commitment: float = 0.25
    gradient: Estimator = "straight"
    revive: int | None = 100
    start: Literal["kmeans", "uniform"] = "kmeans"
    smoothing: float = 1e-5

    def build(self, size: int) -> "EmaCodebook":
        need_positive("Ema", codes=self.codes, commitment=self.commitment, revive=self.revive)
        if not 0 <= self.decay < 1 or not self.smoothing >= 0:
            msg = f"Ema needs decay in [0, 1) and smoothing not below 0, and has {self.decay} and {self.smoothing}."
            raise OptionError(msg)
        return EmaCodebook(self, size)


@dataclass(frozen=True)
class Gradient(Quantiser):
    """A codebook of parameters, drawn to the vectors that chose them by a squared distance of weight 1.

    Attributes:
        codes: K.
        commitment: weight of the squared distance that draws the vectors to their codes.
        gradient: the estimator.
    """

    codes: int = 512
    commitment: float = 0.25
    gradient: Estimator = "straight"

    def build(self, size: int) -> "GradientCodebook":
        need_positive("Gradient", codes=self.codes, commitment=self.commitment)
        return GradientCodebook(self, size)


class _Searched(Codebook):
    codes: Tensor  # [K, D]

    def indices(self, z: Tensor) -> Tensor:
        return nearest_codes(rows(z), self.codes).view(len(z), *z.shape[2:])

    def lookup(self, indices: Tensor) -> Tensor:
        return functional.embedding(indices, self.codes).movedim(-1, 1)

    def distance(self, z: Tensor, indices: Tensor) -> Tensor:
        return (z - self.lookup(indices)).square().mean(1)


def _shaped(vectors: Tensor, z: Tensor) -> Tensor:
    """The vectors [M, D] in the shape [N, D, *sites] of z."""
    return vectors.view(len(z), *z.shape[2:], z.shape[1]).movedim(-1, 1)


class GradientCodebook(_Searched):
    """The module of `Gradient`."""

    def __init__(self, part: Gradient, size: int) -> None:
        super().__init__()
        self.part = part
        self.codes = nn.Parameter(torch.empty(part.codes, size).uniform_(-1 / part.codes, 1 / part.codes))

    def forward(self, z: Tensor, progress: float = 0.0) -> Quantised:  # noqa: ARG002 -- nothing is scheduled
        vectors = rows(z)
        indices = nearest_codes(vectors, self.codes)
        q = functional.embedding(indices, self.codes)
        codebook, commitment = functional.mse_loss(q, vectors.detach()), functional.mse_loss(vectors, q.detach())
        z_q = _shaped(pass_gradient(vectors, q, self.part.gradient), z)
        logs = {**usage(tally(indices, self.part.codes)), "distance": codebook.detach()}
        loss = codebook + self.part.commitment * commitment
        return Quantised(z_q, indices.view(len(z), *z.shape[2:]), loss, loss.new_zeros(()), logs)


class EmaCodebook(_Searched):
    """The module of `Ema`. All that it knows is in buffers, which only training mode changes.

    Counts start at 1: from 0, a code that the first batch leaves out would be its sum over nearly nothing, thrown far
    away and dead for ever.
    """

    counts: Tensor  # [K] averages of how many vectors of a batch chose a code
    sums: Tensor  # [K, D] averages of their sum
    idle: Tensor  # [K] steps since a code was last chosen
    started: Tensor

    def __init__(self, part: Ema, size: int) -> None:
        super().__init__()
        self.part = part
        codes = torch.empty(part.codes, size).uniform_(-1 / part.codes, 1 / part.codes)
        self.register_buffer("codes", codes)
        self.register_buffer("counts", torch.ones(part.codes))
        self.register_buffer("sums", codes.clone())
        self.register_buffer("idle", torch.zeros(part.codes, dtype=torch.long))
        self.register_buffer("started", torch.tensor(part.start == "uniform"))

    def forward(self, z: Tensor, progress: float = 0.0) -> Quantised:  # noqa: ARG002 -- nothing is scheduled
        vectors = rows(z)
        if self.training and not self.started:
            self._start(vectors.detach())
        indices = nearest_codes(vectors, self.codes)
        q = functional.embedding(indices, self.codes)
        commitment = functional.mse_loss(vectors, q)
        z_q = _shaped(pass_gradient(vectors, q, self.part.gradient), z)
        chosen = tally(indices, self.part.codes)
        if self.training:
            self._learn(vectors.detach(), indices, _total(chosen))
        logs = {**usage(chosen), "distance": commitment.detach()}
        loss = self.part.commitment * commitment
        return Quantised(z_q, indices.view(len(z), *z.shape[2:]), loss, loss.new_zeros(()), logs)

    @torch.no_grad()
    def _learn(self, vectors: Tensor, indices: Tensor, chosen: Tensor) -> None:
        """One update of the averages by the vectors [M, D]; `chosen` [K] counts those of all processes."""
        part = self.part
        added = _total(torch.zeros_like(self.sums).index_add_(0, indices, vectors.to(self.sums.dtype)))
        self.counts.mul_(part.decay).add_(chosen, alpha=1 - part.decay)
        self.sums.mul_(part.decay).add_(added, alpha=1 - part.decay)
        total = self.counts.sum()
        counts = (self.counts + part.smoothing) / (total + part.codes * part.smoothing) * total
        # Without decay and smoothing, a code that nothing chose has no mean: it stays.
        known = (self.counts > 0)[:, None]
        self.codes.copy_(torch.where(known, self.sums / counts[:, None].clamp(min=1e-30), self.codes))
        self.idle.add_(1).masked_fill_(chosen > 0, 0)
        if part.revive is not None:
            self._revive(vectors, self.idle >= part.revive)

    def _revive(self, vectors: Tensor, dead: Tensor) -> None:
        """Gives dead codes [K] the place of random vectors of the batch."""
        if not bool(dead.any()):
            return
        places = torch.randint(len(vectors), (len(dead),), device=vectors.device)
        fresh = _of_first(vectors[places].to(self.codes.dtype))
        for held in (self.codes, self.sums):
            held.copy_(torch.where(dead[:, None], fresh, held))
        self.counts.masked_fill_(dead, 1)
        self.idle.masked_fill_(dead, 0)

    @torch.no_grad()
    def _start(self, vectors: Tensor) -> None:
        """Puts the codes where a few steps of k-means on the vectors [M, D] of all processes lead."""
        vectors, wanted = vectors.to(self.codes.dtype), self.part.codes
        order = torch.randperm(len(vectors), device=vectors.device)
        codes = vectors[order.repeat(-(-wanted // len(order)))[:wanted]]
        if wanted > len(order):  # equal codes would tie, and all but one of them never move
            codes = codes + JITTER * (vectors.std(0) + 1e-6) * torch.randn_like(codes)
        codes = _of_first(codes)
        for _ in range(KMEANS_STEPS):
            indices = nearest_codes(vectors, codes)
            counts = _total(tally(indices, wanted))[:, None]
            sums = _total(torch.zeros_like(codes).index_add_(0, indices, vectors))
            codes = torch.where(counts > 0, sums / counts.clamp(min=1), codes)
        self.codes.copy_(codes)
        self.sums.copy_(codes)
        self.started.fill_(True)


def _together() -> bool:
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1


def _total(x: Tensor) -> Tensor:
    """The sum of a tensor over all processes; a single one's tensor as it is."""
    if _together():
        x = x.clone()
        distributed.all_reduce(x)
    return x


def _of_first(x: Tensor) -> Tensor:
    """The first process's tensor, in all of them."""
    if _together():
        x = x.contiguous()
        distributed.broadcast(x, src=0)
    return x
