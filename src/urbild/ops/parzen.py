"""Parzen windows: a density from samples, for comparison with the tables of early papers alone.

In many dimensions the estimate says little of the model: the training images themselves score lower than the centres of
their clusters (https://arxiv.org/abs/1511.01844).
"""

from collections.abc import Sequence
from math import log, pi

import torch
from torch import Tensor

ROWS, COLUMNS = 512, 4096


def parzen_log_density(x: Tensor, centres: Tensor, deviation: float) -> Tensor:
    """The log-density ln (1/M) sum_i N(x; c_i, deviation^2 I) in nats: [N] float64 of x [N, D]; centres [M, D].

    Source: Breuleux, Bengio and Vincent 2011, Quickly generating representative samples from an RBM-derived process.
    """
    found = [_block(block.double(), centres, deviation) for block in torch.split(x, ROWS)]
    constant = log(len(centres)) + x.shape[1] * (log(deviation) + log(2 * pi) / 2)
    return torch.cat(found) - constant if found else x.new_zeros(0, dtype=torch.float64)


def best_deviation(x: Tensor, centres: Tensor, deviations: Sequence[float]) -> float:
    """The deviation under which validation samples x [N, D] are likeliest; never choose it on test samples."""
    return max(deviations, key=lambda deviation: float(parzen_log_density(x, centres, deviation).mean()))


def _block(x: Tensor, centres: Tensor, deviation: float) -> Tensor:
    total = x.new_full((len(x),), -torch.inf)
    for some in torch.split(centres, COLUMNS):
        near = torch.cdist(x, some.double(), compute_mode="donot_use_mm_for_euclid_dist")
        total = torch.logaddexp(total, (-(near / deviation).square() / 2).logsumexp(1))
    return total
