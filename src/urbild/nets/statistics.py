"""Statistics of batch normalisation taken anew, for weights that are an average of those that gave the old ones."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

RESTATED, RESTATED_BATCH = 30, 128  # batches behind the statistics of averaged weights


def batch_norms(*networks: nn.Module) -> list[nn.BatchNorm1d | nn.BatchNorm2d]:
    """Their layers that keep statistics of batches."""
    layers = [layer for network in networks for layer in network.modules()]
    return [layer for layer in layers if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d)]


@contextmanager
def anew(*networks: nn.Module) -> Iterator[None]:
    """What passes through the networks inside is what they remember after it: means over the batches."""
    norms = batch_norms(*networks)
    usual = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a cumulative mean
        norm.train()
    try:
        yield
    finally:
        for norm, momentum in zip(norms, usual, strict=True):
            norm.momentum = momentum
            norm.eval()
