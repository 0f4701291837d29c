"""Networks of games that are played on pairs of a sample and a code, (x, E(x)) against (G(z), z).

Inside a game a pair is one vector, the entries of the sample and then those of the code: so noise, packs and penalties
of the gradient are of both, and the rules of a game of samples hold as they are.
"""

# ruff: noqa: D102 -- the methods are documented at their abstract classes

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn

from urbild.contract import DataSpec
from urbild.nets import dcgan
from urbild.nets.adversaries import Architecture, Critic, Dense, Pyramid, scaled
from urbild.nets.priors import Prior
from urbild.nets.spectral import Normaliser, spectral
from urbild.ops.gaussians import reparameterise
from urbild.ops.precision import full

LARGEST_HIDDEN = 512  # units of the layers in which features of a sample meet those of a code
LOG_VARIANCE = (-10.0, 10.0)  # beyond these the exponential overflows or the noise vanishes


def pair(x: Tensor, z: Tensor) -> Tensor:
    """Samples [N, *sample] and codes [N, Z] side by side: [N, D + Z]."""
    return torch.cat([full(x).flatten(1), full(z)], dim=1)


class PairCritic(nn.Module):
    """Judges pairs.

    Args:
        shape: of a sample.
        judge: from samples [N, m C, ...] and codes [N, m Z] to logits [N].
        packing: m, pairs that are judged at once.
    """

    def __init__(self, shape: tuple[int, ...], judge: nn.Module, *, packing: int = 1) -> None:
        super().__init__()
        self.shape, self.judge, self.packing = shape, judge, packing

    def forward(self, pairs: Tensor) -> Tensor:
        """Logits [N] of packs of pairs [N, m (D + Z)]; larger is more real."""
        apart = pairs.reshape(len(pairs), self.packing, -1)
        x, z = apart[..., : prod(self.shape)], apart[..., prod(self.shape) :]
        x = x.reshape(len(pairs), self.packing * self.shape[0], *self.shape[1:])
        if x.dim() == 4:
            x = x.contiguous(memory_format=torch.channels_last)
        logits: Tensor = self.judge(x, z.flatten(1))
        return logits


class Features(nn.Module):
    """What a critic's verdict is made of, as one vector.

    Args:
        critic: of samples alone, whose verdict is left out.
        shape: of what it is shown.

    Attributes:
        count: F.
    """

    def __init__(self, critic: Critic, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.sight = Critic(critic.body, nn.Identity(), size=critic.size)
        self.eval()  # a look at the shape may neither draw nor move statistics
        with torch.no_grad():
            self.count = self(torch.zeros(1, *shape)).shape[1]
        self.train()

    def forward(self, x: Tensor) -> Tensor:
        """Features [N, F] of samples [N, *sample]."""
        return self.sight.features(x).flatten(1)


class Meeting(nn.Module):
    """Convolves the sample alone, passes the code through a layer, and judges both in dense layers.

    Args:
        features: of the sample.
        code: numbers in a code.
        hidden: units of a layer.
        normalisation: of the layer in which both meet; batch statistics without gains and shifts.
        dropout: share of hidden units that are left out in training.
    """

    def __init__(
        self,
        features: Features,
        code: int,
        hidden: int,
        *,
        normalisation: Normaliser = "none",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.features = features
        self.code = nn.Sequential(nn.Linear(code, hidden), nn.LeakyReLU(0.2), nn.Dropout(dropout))
        joint = [nn.Linear(features.count + hidden, hidden), *scaled(normalisation, hidden, gains=False)]
        self.verdict = nn.Sequential(*joint, nn.LeakyReLU(0.2), nn.Dropout(dropout), nn.Linear(hidden, 1))
        for part in (self.code, self.verdict):
            dcgan.initialise(part, normalisation)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        """Logits [N] of samples [N, C, H, W] and codes [N, Z]."""
        logits: Tensor = self.verdict(torch.cat([self.features(x), self.code(z)], dim=1))
        return logits.squeeze(1)


def pair_critic(architecture: Architecture, spec: DataSpec, code: int, *, packing: int = 1) -> PairCritic:
    """The critic of pairs: dense networks take the code at their last hidden layer, convolutional ones after all.

    Where a code enters beside hundreds of pixels, a critic hardly sees it, and an encoder learns little.

    Raises:
        OptionError: such data cannot have such a network.
    """
    alone = architecture.critic(spec, packing=packing)
    if alone.size is None:
        joined = architecture.late_critic if isinstance(architecture, Dense) else architecture.critic
        return PairCritic(spec.shape, joined(spec, extra=code, packing=packing), packing=packing)
    features = Features(alone, (packing * spec.channels, *spec.sites))
    judge = Meeting(
        features,
        packing * code,
        min(LARGEST_HIDDEN, features.count),
        normalisation=architecture.normalisation,
        dropout=architecture.dropout or 0.0,
    )
    return PairCritic(spec.shape, judge, packing=packing)


def inverse(architecture: Architecture, spec: DataSpec, outputs: int) -> nn.Sequential:
    """A network from samples [N, *sample], as players see them, to [N, outputs]: a critic with another end.

    Raises:
        OptionError: such data cannot have such a network.
    """
    features = Features(architecture.critic(spec), spec.shape)
    end = nn.Sequential(nn.Linear(features.count, outputs))
    if isinstance(architecture, Pyramid):
        dcgan.initialise(end, architecture.normalisation)
    elif architecture.normalisation == "spectral":
        spectral(end)
    return nn.Sequential(features, *end)


class Standardised(nn.Module):
    """Brings each entry of codes to mean 0 and a given deviation over a batch, as batch normalisation without gains.

    Args:
        code: numbers in a code.
        deviation: of each.
    """

    def __init__(self, code: int, deviation: float) -> None:
        super().__init__()
        self.deviation = deviation
        self.norm = nn.BatchNorm1d(code, affine=False)

    def forward(self, z: Tensor) -> Tensor:
        """Takes [N, Z] to [N, Z]."""
        standard: Tensor = self.norm(full(z))
        return self.deviation * standard


class Encoder(ABC):
    """What an encoder says of the code of a sample: a dataclass with its network among the fields."""

    network: Architecture | None

    @abstractmethod
    def outputs(self, code: int) -> int:
        """Numbers that the network must give for a code of so many."""

    def last(self, code: int, prior: Prior) -> nn.Module:  # noqa: ARG002
        """What the outputs pass through before anybody reads them."""
        return nn.Identity()

    @abstractmethod
    def mean(self, output: Tensor) -> Tensor:
        """The code [N, Z] that is meant by what the network gave [N, outputs]."""

    def draw(self, output: Tensor) -> Tensor:
        """A code [N, Z] as a game sees it."""
        return self.mean(output)


@dataclass(frozen=True, slots=True)
class Certain(Encoder):
    """A code, as in BiGAN.

    Attributes:
        network: of the encoder; by default as the critic's.
        standardised: whether codes have the prior's mean and deviation over a batch; then the verbs use the running
            statistics of training.
    """

    network: Architecture | None = None
    standardised: bool = True

    def outputs(self, code: int) -> int:
        return code

    def last(self, code: int, prior: Prior) -> nn.Module:
        return Standardised(code, prior.deviation) if self.standardised else nn.Identity()

    def mean(self, output: Tensor) -> Tensor:
        return full(output)


@dataclass(frozen=True, slots=True)
class Noisy(Encoder):
    """A normal law of codes with a variance for each entry, as in ALI; the game sees draws of it.

    Attributes:
        network: of the encoder; by default as the critic's.
    """

    network: Architecture | None = None

    def outputs(self, code: int) -> int:
        return 2 * code

    def mean(self, output: Tensor) -> Tensor:
        return full(output).chunk(2, dim=1)[0]

    def draw(self, output: Tensor) -> Tensor:
        mean, log_variance = full(output).chunk(2, dim=1)
        return reparameterise(mean, log_variance.clamp(*LOG_VARIANCE), torch.randn_like(mean))


CERTAIN = Certain()
