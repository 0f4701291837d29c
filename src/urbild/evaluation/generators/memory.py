"""Whether a generator repeats what it was shown: the nearest training sample of each of its samples."""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor


class Nearest(NamedTuple):
    """The training sample nearest to each of some samples.

    Attributes:
        distance: [N] Euclidean, in units of prepared values.
        x: [N, *sample] the nearest ones.
    """

    distance: Tensor
    x: Tensor


def nearest_of(x: Tensor, batches: Iterable[Tensor]) -> Nearest:
    """Finds the nearest of training samples that come some at a time, for samples [N, *sample]."""
    flat = x.flatten(1).double()
    best, found = flat.new_full((len(x),), torch.inf), torch.zeros_like(x)
    for batch in batches:
        some = batch.flatten(1).double()
        squares = flat.square().sum(1)[:, None] + some.square().sum(1) - 2 * flat @ some.mT  # [N, M]
        row = squares.argmin(1)
        # the winner's distance is taken from differences, so that a copy is at distance 0
        exact = (flat - some[row]).square().sum(1)
        closer = exact < best
        best = torch.where(closer, exact, best)
        found[closer] = batch[row[closer]].to(found.dtype)
    return Nearest(best.sqrt(), found)
