"""The game on pairs that BiGAN and VEEGAN play, each with a loss of its own.

    critic                  learns to tell (x, E(x)) from (G(z), z), z from the prior
    generator and encoder   minimise what the system says

A moving average covers weights alone: where generator or encoder have batch statistics, a last stage takes them anew
under the averaged weights, as means over batches of what passes through both in their turn.
"""
# ruff: noqa: ARG002, D102 -- the verbs are documented in the contract; `given` is not used here

from abc import abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from urbild.contract import Batch, DataSpec, Decodes, Encodes, Losses, Model, Samples, Source, Stage
from urbild.nets import play
from urbild.nets.adversaries import DENSE, LEAKY, PYRAMID, Architecture
from urbild.nets.games import Rules
from urbild.nets.pairs import Encoder, PairCritic, inverse, pair, pair_critic
from urbild.nets.priors import Prior
from urbild.nets.statistics import RESTATED, RESTATED_BATCH, anew, batch_norms


class Players(NamedTuple):
    """Who plays.

    Attributes:
        generator: from latents [N, Z] to samples [N, *shape]; images in [-1, 1].
        encoder: from samples in the same range to what the law of codes reads.
        critic: of pairs.
    """

    generator: nn.Module
    encoder: nn.Module
    critic: PairCritic


class PairGame(Model, Samples, Encodes, Decodes):
    """The frame of a system whose critic judges pairs of a sample and a code.

    Args:
        spec: of the data.
        players: their networks.
        prior: of the latent.
        law: of the codes of a sample.
        rules: of the game.
    """

    def __init__(self, spec: DataSpec, players: Players, *, prior: Prior, law: Encoder, rules: Rules) -> None:
        super().__init__()
        self.spec, self.prior, self.law, self.rules = spec, prior, law, rules
        self.latent = prior.entries(spec)
        self.generator, self.encoder, self.critic = players

    def stages(self) -> Sequence[Stage]:
        players = play.turns(
            self.rules,
            critic=(self.critic,),
            generator=(self.generator, self.encoder),
            critic_loss=self.critic_loss,
            generator_loss=self.generator_loss,
        )
        game = play.stage("game", self.rules, players)
        if self.rules.habits.average is not None and batch_norms(self.generator, self.encoder):
            return (game, Stage(name="statistics", solve=self.restate))
        return (game,)

    def real(self, x: Tensor) -> Tensor:
        """Pairs (x, E(x)) of samples in the range of the data: [N, D + Z]."""
        x = play.worked(self.spec, x)
        return pair(x, self.law.draw(self.encoder(x)))

    def noise(self, n: int) -> Tensor:
        """New latents [n, Z]."""
        return self.prior.draw(n, self.latent, device=next(self.parameters()).device)

    def made(self, n: int) -> Tensor:
        """Pairs (G(z), z) of new latents: [n, D + Z]."""
        z = self.noise(n)
        return pair(self.generator(z), z)

    def critic_loss(self, batch: Batch) -> Losses:
        """See `nets.play.critic_losses`; of pairs."""
        with torch.no_grad():
            real, made = self.real(batch.x), self.made(len(batch))
        return play.critic_losses(self.rules, self.critic, real, made, batch)

    @abstractmethod
    def passed(self, x: Tensor) -> tuple[Tensor, ...]:
        """What generator and encoder make in their turn on samples [N, *shape], in the range of the data."""

    @abstractmethod
    def generator_loss(self, batch: Batch) -> Losses:
        """Of generator and encoder, from what has `passed`."""

    def sample(
        self, n: int, *, given: Tensor | None = None, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> Tensor:
        device = next(self.parameters()).device
        return self.decode(self.prior.draw(n, self.latent, device=device, generator=generator, temperature=temperature))

    def encode(self, x: Tensor, *, given: Tensor | None = None) -> Tensor:
        return self.law.mean(self.encoder(play.worked(self.spec, x)))  # [N, Z]

    def decode(self, z: Tensor, *, given: Tensor | None = None) -> Tensor:
        return play.restored(self.spec, self.generator(z))  # [N, *shape]

    def restate(self, source: Source) -> None:
        """Takes the batch statistics of generator and encoder anew."""
        device = next(self.parameters()).device
        with anew(self.generator, self.encoder):
            for _ in range(RESTATED):
                rows = torch.randint(len(source), (RESTATED_BATCH,)).tolist()
                self.passed(source.fetch(rows).x.to(device))


def players(
    spec: DataSpec,
    prior: Prior,
    law: Encoder,
    rules: Rules,
    *,
    generator: Architecture | None,
    encoder: Architecture | None,
    critic: Architecture | None,
) -> Players:
    """Networks made in turn; without architectures Pyramid for images and Dense for vectors, the critic's leaky.

    Raises:
        OptionError: such data cannot have such networks, or the rules such a critic.
    """
    rules.check()
    image, latent = spec.kind == "image", prior.entries(spec)
    usual, judge = PYRAMID if image else DENSE, critic or (PYRAMID if image else LEAKY)
    player = (generator or usual).generator(spec, latent)
    inverter = nn.Sequential(*inverse(encoder or usual, spec, law.outputs(latent)), law.last(latent, prior))
    opponent = pair_critic(judge, spec, latent, packing=rules.habits.packing)
    play.check_constraint(rules.constraint, opponent)
    return Players(player, inverter, opponent)
