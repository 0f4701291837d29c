"""VEEGAN: a reconstructor maps samples back to noise, so that a mode that was lost is missed.

Srivastava, Valkov, Russell, Gutmann and Sutton 2017, VEEGAN: Reducing Mode Collapse in GANs using Implicit Variational
Learning, https://arxiv.org/abs/1705.07761

    critic                         logistic regression of (x, F(x)) from (G(z), z)               (equation 5)
    generator and reconstructor    minimise  E |z - F(G(z))|^2 + E D(G(z), z)                    (equation 4)

The logit here is large where a pair looks real, so that D, the paper's estimate of ln q(x, z) / p(x, z), is its
negative. F(x) of the real samples enters the critic alone; F learns from the first term, and G from both. Noise that F
makes of a mode which G lacks is not the prior's, and the critic tells it.

Departures: the reconstructor gives a code and not a law of codes, so that its cross-entropy is the squared error up to
scale; Adam at 2e-4 for all players; the networks are those of `gan` and `dcgan`.
"""
# ruff: noqa: ARG002, D102 -- the verbs are documented in the contract; `given` is not used here

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from urbild.contract import Batch, DataSpec, Decodes, Encodes, Losses, Model, Samples, Source, Stage
from urbild.nets import play
from urbild.nets.adversaries import DENSE, LEAKY, PYRAMID, Architecture
from urbild.nets.games import FREE, HABITS, Constraint, Habits, Rules
from urbild.nets.moves import ADAM, STEADY, Optimiser, Rhythm
from urbild.nets.pairs import PairCritic, inverse, pair, pair_critic
from urbild.nets.priors import NORMAL, Prior
from urbild.nets.statistics import anew, batch_norms
from urbild.ops.precision import full

RESTATED, RESTATED_BATCH = 30, 128  # batches behind the statistics of averaged weights


class Veegan(Model, Samples, Encodes, Decodes):
    """A generator, a reconstructor, and a critic of pairs.

    Args:
        spec: of the data.
        generator: from latents [N, Z] to samples [N, *shape]; images in [-1, 1].
        reconstructor: from samples in the same range to latents [N, Z].
        critic: of pairs.
        prior: of the latent.
        rules: of the game.
    """

    def __init__(
        self,
        spec: DataSpec,
        generator: nn.Module,
        reconstructor: nn.Module,
        critic: PairCritic,
        *,
        prior: Prior,
        rules: Rules,
    ) -> None:
        super().__init__()
        self.spec, self.prior, self.rules = spec, prior, rules
        self.latent = prior.entries(spec)
        self.generator, self.reconstructor, self.critic = generator, reconstructor, critic

    def stages(self) -> Sequence[Stage]:
        players = play.turns(
            self.rules,
            critic=(self.critic,),
            generator=(self.generator, self.reconstructor),
            critic_loss=self.critic_loss,
            generator_loss=self.generator_loss,
        )
        game = play.stage("game", self.rules, players)
        if self.rules.habits.average is not None and batch_norms(self.generator, self.reconstructor):
            return (game, Stage(name="statistics", solve=self.restate))
        return (game,)

    def _noise(self, n: int) -> Tensor:
        return self.prior.draw(n, self.latent, device=next(self.parameters()).device)

    def critic_loss(self, batch: Batch) -> Losses:
        """See `nets.play.critic_losses`; of pairs."""
        with torch.no_grad():
            x, z = play.worked(self.spec, batch.x), self._noise(len(batch))
            real, made = pair(x, self.reconstructor(x)), pair(self.generator(z), z)
        return play.critic_losses(self.rules, self.critic, real, made, batch)

    def generator_loss(self, batch: Batch) -> Losses:
        """Of generator and reconstructor: squared error summed over a latent, and the critic's ln q / p."""
        z = self._noise(len(batch))
        made = self.generator(z)
        error = (z - full(self.reconstructor(made))).square().sum(1).mean()
        logits = full(self.critic(play.shown(self.rules.habits, pair(made, z), batch.progress)))
        return {"loss": error - logits.mean(), "reconstruction": error.detach(), "ratio": -logits.detach().mean()}

    def sample(
        self, n: int, *, given: Tensor | None = None, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> Tensor:
        device = next(self.parameters()).device
        return self.decode(self.prior.draw(n, self.latent, device=device, generator=generator, temperature=temperature))

    def encode(self, x: Tensor, *, given: Tensor | None = None) -> Tensor:
        return full(self.reconstructor(play.worked(self.spec, x)))  # [N, Z]

    def decode(self, z: Tensor, *, given: Tensor | None = None) -> Tensor:
        return play.restored(self.spec, self.generator(z))  # [N, *shape]

    def restate(self, source: Source) -> None:
        """Takes the batch statistics of generator and reconstructor anew, of made samples as in their turn."""
        with anew(self.generator, self.reconstructor):
            for _ in range(RESTATED):
                self.reconstructor(self.generator(self._noise(RESTATED_BATCH)))


def veegan(
    spec: DataSpec,
    *,
    prior: Prior = NORMAL,
    constraint: Constraint = FREE,
    generator: Architecture | None = None,
    reconstructor: Architecture | None = None,
    critic: Architecture | None = None,
    optimiser: Optimiser = ADAM,
    rhythm: Rhythm = STEADY,
    habits: Habits = HABITS,
) -> Model:
    """Builds a VEEGAN.

    Args:
        spec: of the data: vectors or images.
        prior: of the latent.
        constraint: what holds the critic's slope; a penalty of its gradient needs a critic without batch normalisation.
        generator: its network; by default Pyramid for images and Dense for vectors.
        reconstructor: its network, as a critic with another end; by default Pyramid for images and Dense for vectors.
        critic: its network; by default Pyramid for images and Dense with leaky rectifiers for vectors.
        optimiser: how the players learn; the reconstructor learns as the generator does.
        rhythm: moves of the critic for each of the others'.
        habits: noise, packing, and an average of the weights.

    Raises:
        OptionError: an option is out of range, or does not fit the data.
    """
    image = spec.kind == "image"
    rules = Rules(constraint=constraint, optimiser=optimiser, rhythm=rhythm, habits=habits)
    rules.check()
    usual, judge = PYRAMID if image else DENSE, critic or (PYRAMID if image else LEAKY)
    latent = prior.entries(spec)
    player = (generator or usual).generator(spec, latent)
    inverter = inverse(reconstructor or usual, spec, latent)
    opponent = pair_critic(judge, spec, latent, packing=habits.packing)
    play.check_constraint(constraint, opponent)
    return Veegan(spec, player, inverter, opponent, prior=prior, rules=rules)
