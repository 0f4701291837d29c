"""Which samples a new part of a mixture should learn from, by how well the mixture so far covers each."""

from math import ceil

import torch
from torch import Tensor


def mixture_shares(count: int, beta: float | None = None) -> Tensor:
    """Shares [T] of the parts of a mixture that was grown part by part: (1 - b_t) of what was there, and b_t of new.

    Args:
        count: T.
        beta: b_t of the second and later parts; None for 1/t, which makes all shares equal.
    """
    shares = torch.ones(1, dtype=torch.float64)
    for number in range(2, count + 1):
        new = 1 / number if beta is None else beta
        shares = torch.cat([(1 - new) * shares, shares.new_full((1,), new)])
    return shares


def star_weights(ratio: Tensor, beta: float) -> Tensor:
    """Weights [N] of samples for the best new part: max(0, level - (1 - beta) r) / (N beta), which sum to 1.

    Of all weights they bring (1 - beta) r + beta N w, the ratio of the grown mixture to the data, nearest to 1 in every
    f-divergence: samples that are covered best are left out, and the others are raised to the same level.

    Args:
        ratio: r [N], of the mixture so far to the data, at samples of the data.
        beta: share of the new part, above 0 and at most 1.

    Source: Tolstikhin et al. 2017, theorem 1 and equation 13.
    """
    covered = (1 - beta) * ratio.double()
    ordered = covered.sort().values
    counts = torch.arange(1, len(ratio) + 1, device=ratio.device)
    levels = (len(ratio) * beta + ordered.cumsum(0)) / counts  # if just the first of them are raised
    level = levels[int((levels > ordered).sum()) - 1]
    return (level - covered).clamp_min(0) / (len(ratio) * beta)


def lowest_weights(ratio: Tensor, share: float) -> Tensor:
    """Equal weights [N] of the samples with the smallest ratio [N], a share of all and at least one; 0 for the rest."""
    count = max(1, ceil(share * len(ratio)))
    weights = torch.zeros_like(ratio, dtype=torch.float64)
    weights[ratio.argsort(stable=True)[:count]] = 1 / count
    return weights


def systematic_rows(weights: Tensor, offset: float) -> Tensor:
    """Rows [N] drawn by weight [N], each as often as N w says, rounded up or down: the mean over offsets is exact.

    Args:
        weights: not negative, and not all 0.
        offset: in (0, 1), uniform; at the ends rounding decides.

    Source: systematic resampling; Carpenter, Clifford and Fearnhead 1999.
    """
    edges = weights.double().cumsum(0)
    points = (torch.arange(len(weights), dtype=edges.dtype, device=edges.device) + offset) / len(weights)
    rows = torch.searchsorted(edges, points * edges[-1], right=True)
    last = int(weights.nonzero()[-1])  # rounding may step past it
    return rows.clamp_max(last)
