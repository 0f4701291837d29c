"""Spectral normalisation, and the names of the ways to normalise a player of an adversarial game."""

from typing import Literal, TypeAlias, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

Normaliser: TypeAlias = Literal["none", "batch", "group", "spectral"]

WARM_UP = 40  # iterations that bring a random start to about .99 of the norm


class _Precise(nn.Module):
    """A parametrisation computed in float32 under autocast, which would mix the precisions of its products."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, weight: Tensor) -> Tensor:
        with torch.autocast(weight.device.type, enabled=False):
            normalised: Tensor = self.inner(weight)
        return normalised


def spectral(network: nn.Module) -> nn.Module:
    """Divides the weights of all linear and convolutional layers by their largest singular value, as estimated.

    A convolution's weight counts as a matrix [channels out, the rest], whose norm is not that of the convolution: this
    bounds the slope, and does not make it 1. Each forward pass in training mode refines the estimate by one iteration;
    it starts near its goal.

    Source: Miyato et al. 2018, https://arxiv.org/abs/1802.05957, algorithm 1.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            weight = layer.weight.detach()
            spectral_norm(layer, eps=1e-12)
            entries = cast("nn.ModuleList", layer.parametrizations["weight"])  # type: ignore[index]
            for _ in range(WARM_UP):
                entries[0](weight)
            entries[0] = _Precise(entries[0])
    return network
