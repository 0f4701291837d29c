"""Leaving reduced precision."""

import torch
from torch import Tensor


def full(x: Tensor) -> Tensor:
    """The tensor in float32 where autocast made it narrower, else as it is: what enters a likelihood or a sum."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
