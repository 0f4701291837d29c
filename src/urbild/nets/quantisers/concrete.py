"""A relaxed categorical choice, which needs no search: the quantiser of a discrete VAE.

Source: Jang et al. 2016, https://arxiv.org/abs/1611.01144; Maddison et al. 2016,
https://arxiv.org/abs/1611.00712; as a codebook, Ramesh et al. 2021, https://arxiv.org/abs/2102.12092, section 2.1.
"""

# ruff: noqa: D102 -- the methods are documented at their abstract classes

from dataclasses import dataclass
from math import cos, log, pi

import torch
from torch import Tensor, nn
from torch.nn import functional

from urbild.nets.quantisers.base import Codebook, Quantised, Quantiser, need_positive, rows, tally, usage
from urbild.ops.precision import full


@dataclass(frozen=True)
class Gumbel(Quantiser):
    """Soft one-hot choices whose temperature falls in training, and hard ones in evaluation.

    Attributes:
        codes: K.
        hot: temperature at the start of training.
        cold: from its middle on; a cosine lies between.
        weight: of the KL to the uniform prior, in nats; at 1 the loss of a model is a relaxed negative ELBO.
    """

    codes: int = 512
    hot: float = 1.0
    cold: float = 0.3
    weight: float = 1.0

    def build(self, size: int) -> "GumbelCodebook":
        need_positive("Gumbel", codes=self.codes, hot=self.hot, cold=self.cold, weight=self.weight)
        return GumbelCodebook(self, size)

    def temperature(self, progress: float) -> float:
        """At a point of the training, 0 to 1."""
        return self.cold + (self.hot - self.cold) * (1 + cos(pi * min(1.0, 2 * progress))) / 2


class GumbelCodebook(Codebook):
    """The module of `Gumbel`: logits of a choice, and the code vectors that it weighs."""

    def __init__(self, part: Gumbel, size: int) -> None:
        super().__init__()
        self.part = part
        self.logits = nn.Linear(size, part.codes)
        self.codes = nn.Parameter(torch.randn(part.codes, size))

    def forward(self, z: Tensor, progress: float = 0.0) -> Quantised:
        logits = full(self.logits(rows(z)))  # [M, K]
        log_q = functional.log_softmax(logits, dim=1)
        indices = logits.argmax(1)
        if self.training:
            noise = -torch.log(torch.empty_like(logits).exponential_().clamp(min=torch.finfo(logits.dtype).tiny))
            soft = torch.softmax((logits + noise) / self.part.temperature(progress), dim=1)
            with torch.autocast(z.device.type, enabled=False):
                vectors = soft @ self.codes
        else:
            vectors = functional.embedding(indices, self.codes)
        divergence = (log_q.exp() * (log_q + log(self.part.codes))).sum(1)  # [M] nats of KL(q || uniform)
        kl = divergence.sum() / len(z)
        z_q = vectors.view(len(z), *z.shape[2:], -1).movedim(-1, 1)
        logs = {**usage(tally(indices, self.part.codes)), "kl": kl.detach()}
        rate = self.part.weight * kl
        return Quantised(z_q, indices.view(len(z), *z.shape[2:]), rate.new_zeros(()), rate, logs)

    def indices(self, z: Tensor) -> Tensor:
        found: Tensor = self.logits(rows(z)).argmax(1)
        return found.view(len(z), *z.shape[2:])

    def lookup(self, indices: Tensor) -> Tensor:
        return functional.embedding(indices, self.codes).movedim(-1, 1)

    def distance(self, z: Tensor, indices: Tensor) -> Tensor:
        """The surprise -ln q(k | z) of the symbols, in nats."""
        log_q = functional.log_softmax(full(self.logits(rows(z))), dim=1)
        return -log_q.gather(1, indices.reshape(-1, 1)).view_as(indices)
