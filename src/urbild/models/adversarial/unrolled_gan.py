"""Unrolled GAN: the generator answers to the critic as it will be some moves later.

Metz, Poole, Pfau and Sohl-Dickstein 2016, Unrolled Generative Adversarial Networks, https://arxiv.org/abs/1611.02163

    w_0 = w,   w_(i+1) = w_i + the critic's move at w_i                                       (equations 3 to 5)
    generator   minimise f(theta, w_k(theta, w)), through all k moves                          (equation 7)
    critic      one ordinary move of w                                                         (equation 9)

All k moves, and the generator's loss after them, are on the same real and made samples (with habits.noise: on the same
noise), in float32. By default they are those of the critic's own Adam, which begin with the moments, the number of
moves and the learning rate that the critic's turn has at that moment, and leave them as they are;
`lookahead=GradientSteps()` takes plain gradient steps instead. A critic with batch normalisation normalises by the
batch; its running statistics are left alone. With steps=0 this is the plain game, bit for bit. Of several processes
each looks ahead on the samples that it has.

Of objectives in which the generator wins what the critic loses (Minimax, Wasserstein) the generator minimises the
whole value: the real samples count too, as what is made moves the critic that judges them. Of others it minimises its
own loss of the made samples.

Departures from the paper: two hidden layers of 128 units with tanh, as in the authors' demonstration, drawn uniformly
where theirs are orthogonal; a latent of 2 for points, where theirs is 256 (`prior=Normal(256)`); a constraint of the
critic's slope is no option, as its penalty is not differentiated to the generator.
"""
# ruff: noqa: D102 -- the verbs are documented in the contract

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.optim import Optimizer

from urbild.contract import Batch, DataSpec, Decodes, Losses, Model, Samples, Stage
from urbild.models.adversarial.game import Game, game
from urbild.nets import play
from urbild.nets.adversaries import Architecture, Dense
from urbild.nets.games import HABITS, Habits, Minimax, Objective, Rules, Wasserstein
from urbild.nets.lookahead import LookAhead, Memory, OwnSteps, Weights, seen_by
from urbild.nets.moves import STEADY, Adam, Optimiser, Rhythm
from urbild.nets.priors import NORMAL, Prior
from urbild.ops.precision import full

MINIMAX, FIVE, TANH = Minimax(), OwnSteps(), Dense(activation="tanh")
SLOW_CRITIC = Adam(generator=1e-3, critic=1e-4)


class UnrolledGan(Model, Samples, Decodes):
    """A game whose generator looks ahead.

    Args:
        game: with a free critic, and without classes.
        lookahead: how the critic is taken to go on.
    """

    def __init__(self, game: Game, lookahead: LookAhead) -> None:
        super().__init__()
        self.game, self.spec, self.lookahead = game, game.spec, lookahead
        self.memory = Memory()

    def stages(self) -> Sequence[Stage]:
        first, *rest = self.game.stages()
        critic, generator = first.turns
        critic = replace(critic, optimiser=self.memory.of(critic.optimiser))
        return (replace(first, turns=(critic, replace(generator, loss=self.generator_loss))), *rest)

    def generator_loss(self, batch: Batch) -> Losses:
        """The generator's loss under the critic that has gone on, mean over the batch."""
        if not self.lookahead.steps:
            return self.game.generator_loss(batch)
        rules, spec = self.game.rules, self.spec
        z = self.game.prior.draw(len(batch), self.game.latent, device=batch.x.device)
        fake = full(self.game.generator(z))
        with torch.autocast(batch.x.device.type, enabled=False):
            real = play.shown(rules.habits, full(play.worked(spec, batch.x)), batch.progress)
            fake = play.shown(rules.habits, fake, batch.progress)
            weights = self.ahead(real, fake)
            judge = seen_by(self.game.critic, weights)
            if isinstance(rules.objective, Minimax | Wasserstein):
                return {"loss": -rules.objective.critic(judge(real), judge(fake)).mean()}
            return {"loss": rules.objective.generator(judge(fake)).mean()}

    def ahead(self, real: Tensor, fake: Tensor) -> Weights:
        """The critic's weights some moves later, as functions of `fake`; samples as it is shown them."""
        critic = self.game.critic

        def loss(weights: Weights) -> Tensor:
            judge = seen_by(critic, weights)
            return self.game.rules.objective.critic(judge(real), judge(fake)).mean()

        return self.lookahead.weights(self._optimiser(), dict(critic.named_parameters()), loss)

    def _optimiser(self) -> Optimizer:
        make = self.game.rules.optimiser.of(generator=False)
        return self.memory.optimiser or make(self.game.critic.named_parameters())

    def sample(
        self, n: int, *, given: Tensor | None = None, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> Tensor:
        return self.game.sample(n, given=given, temperature=temperature, generator=generator)

    def decode(self, z: Tensor, *, given: Tensor | None = None) -> Tensor:
        return self.game.decode(z, given=given)


def unrolled_gan(
    spec: DataSpec,
    *,
    prior: Prior = NORMAL,
    objective: Objective = MINIMAX,
    lookahead: LookAhead = FIVE,
    generator: Architecture = TANH,
    critic: Architecture = TANH,
    optimiser: Optimiser = SLOW_CRITIC,
    rhythm: Rhythm = STEADY,
    habits: Habits = HABITS,
) -> Model:
    """Builds an unrolled GAN.

    Args:
        spec: of the data: vectors or images.
        prior: of the latent.
        objective: what the players minimise.
        lookahead: how many moves of the critic the generator looks ahead, and by which optimiser.
        generator: its network.
        critic: its network.
        optimiser: how the players learn.
        rhythm: moves of the critic for each of the generator's.
        habits: noise, packing, and an average of the weights.

    Raises:
        OptionError: an option is out of range, or does not fit the data.
    """
    rules = Rules(objective=objective, optimiser=optimiser, rhythm=rhythm, habits=habits)
    rules.check()
    lookahead.check()
    lookahead.fits(optimiser)
    return UnrolledGan(game(spec, prior, generator, critic, rules), lookahead)
