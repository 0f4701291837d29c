"""Spectral normalisation, and the names of the ways to normalise a player of an adversarial game."""

from collections.abc import Callable
from typing import Any, Literal, TypeAlias, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.nn.utils.parametrize import register_parametrization

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
            _make_sendable(layer)
    return network


def _make_sendable(layer: nn.Module) -> None:
    """Lets a normalised layer be pickled, as several processes need it; the class that torch gave it refuses."""
    own: Any = type(layer)  # this layer's alone
    own.__reduce__ = _reduced


def _reduced(layer: nn.Module) -> tuple[Callable[..., nn.Module], tuple[Any, ...]]:
    return _rebuilt, (type(layer).__bases__[0], layer.__dict__)


def _rebuilt(kind: type[nn.Module], state: dict[str, Any]) -> nn.Module:
    """A normalised layer as it was: its weight is put back, and normalised by what was sent. Draws nothing."""
    modules = dict(state["_modules"])
    weight = modules.pop("parametrizations")["weight"]
    layer = kind.__new__(kind)
    layer.__dict__ = {**state, "_modules": modules, "_parameters": {"weight": weight.original, **state["_parameters"]}}
    register_parametrization(layer, "weight", nn.Identity(), unsafe=True)
    cast("nn.ModuleDict", layer.parametrizations)["weight"] = weight
    _make_sendable(layer)
    return layer
