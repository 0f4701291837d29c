"""Techniques against collapse, and critics with another verdict.

Minibatch discrimination lets a critic see how like each other the samples of a batch are; feature matching has the
generator meet the mean of the critic's features; historical averaging keeps weights near the mean of what they were.

Source: Salimans et al. 2016, https://arxiv.org/abs/1606.03498, sections 3.1 to 3.3.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from urbild.contract import DataSpec
from urbild.nets.adversaries import Critic
from urbild.ops.precision import full

ENTRIES = 1 << 23  # distances that are held at once


class MinibatchDiscrimination(nn.Module):
    """Appends to each sample's features how near it is to the others of its batch, by each of some kernels.

    M = f T in [N, B, C], where each column of T has a direction and a learnt length; o_b = sum_j exp(-|M_ib - M_jb|_1)
    plus a learnt bias, at first -1, which takes away that each sample is near itself. What it gives depends on the
    company of a sample: nothing that scores may use it.

    Args:
        features: A.
        kernels: B.
        size: C.
    """

    def __init__(self, features: int, kernels: int, size: int) -> None:
        super().__init__()
        self.kernels = kernels
        self.direction = nn.Parameter(torch.randn(features, kernels * size))
        self.log_length = nn.Parameter(torch.zeros(kernels * size))
        self.bias = nn.Parameter(torch.full((kernels,), -1.0))

    def forward(self, features: Tensor) -> Tensor:
        """Takes [N, A] to [N, A + B]."""
        with torch.autocast(features.device.type, enabled=False):
            features = full(features)
            columns = self.log_length.exp() * self.direction / torch.linalg.vector_norm(self.direction, dim=0)
            near = nearness((features @ columns).unflatten(1, (self.kernels, -1)))
            return torch.cat([features, near + self.bias], dim=1)


def nearness(places: Tensor) -> Tensor:
    """sum_j exp(-|m_ib - m_jb|_1) of places [N, B, C], the sample itself among them: [N, B].

    Blocks of samples bound the memory at `ENTRIES` distances, which a backward pass computes anew.
    """
    places = places.transpose(0, 1).contiguous()  # [B, N, C]
    kernels, count = places.shape[:2]
    rows = max(1, ENTRIES // (kernels * count))
    if rows >= count:
        return _near(places, places)
    blocks = [
        checkpoint(_near, block, places, use_reentrant=False, preserve_rng_state=False)
        for block in torch.split(places, rows, dim=1)
    ]
    return torch.cat(blocks)


def _near(some: Tensor, every: Tensor) -> Tensor:
    return torch.exp(-torch.cdist(some, every, p=1.0)).sum(2).T


def feature_gap(real: Tensor, fake: Tensor) -> Tensor:
    """The squared distance of the mean features of real and of made samples, both [N, ...]; a scalar."""
    return (full(real).flatten(1).mean(0) - full(fake).flatten(1).mean(0)).square().sum()


class History(nn.Module):
    """The mean of what a network's weights were after each of its moves."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.count: Tensor
        self.register_buffer("count", torch.zeros((), dtype=torch.long))
        for number, weight in enumerate(network.parameters()):
            self.register_buffer(f"mean_{number}", weight.detach().clone())

    def _pairs(self, network: nn.Module) -> list[tuple[Tensor, Tensor]]:
        return [(self.get_buffer(f"mean_{number}"), weight) for number, weight in enumerate(network.parameters())]

    def distance(self, network: nn.Module) -> Tensor:
        """The squared distance of the network's weights from the mean; a scalar."""
        return torch.stack([(weight - mean).square().sum() for mean, weight in self._pairs(network)]).sum()

    @torch.no_grad()
    def take(self, network: nn.Module) -> None:
        """Counts the weights as they are."""
        self.count += 1
        for mean, weight in self._pairs(network):
            mean.add_((weight - mean) / self.count)


def headed(critic: Critic, spec: DataSpec, verdict: Callable[[int], nn.Module], *, packing: int = 1) -> Critic:
    """The critic with another verdict, made for its number of features, which it is given as vectors or maps."""
    shape = (packing * spec.shape[0], *spec.shape[1:])
    training = critic.training
    with torch.no_grad():
        count = critic.eval().features(torch.zeros(2, *shape)).flatten(1).shape[1]
    critic.train(training)
    return Critic(critic.body, verdict(count), size=critic.size)
