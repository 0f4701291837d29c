"""VEEGAN: a reconstructor maps samples back to noise, so that a mode that was lost is missed.

Srivastava, Valkov, Russell, Gutmann and Sutton 2017, VEEGAN: Reducing Mode Collapse in GANs using Implicit Variational
Learning, https://arxiv.org/abs/1705.07761

    critic                         logistic regression of (x, F(x)) from (G(z), z)               (equation 5)
    generator and reconstructor    minimise  E |z - F(G(z))|^2 + E D(G(z), z)                    (equation 4)

The logit here is large where a pair looks real, so that D, the paper's estimate of ln q(x, z) / p(x, z), is its
negative. F(x) of the real samples enters the critic alone; F learns from the first term, and G from both. Noise that F
makes of a mode which G lacks is not the prior's, and the critic tells it.

With batch statistics in the reconstructor, F(x) in the game is normalised by the real samples of its batch, and after
it by those of made ones, which F learns from. `Pyramid(normalisation="group")` has no such difference.

Departures: the reconstructor gives a code and not a law of codes, so that its cross-entropy is the squared error up to
scale; Adam at 2e-4 for all players; the networks are those of `gan` and `dcgan`.
"""

from torch import Tensor

from urbild.contract import Batch, DataSpec, Losses, Model
from urbild.models.adversarial.pairing import PairGame, players
from urbild.nets import play
from urbild.nets.adversaries import Architecture
from urbild.nets.games import FREE, HABITS, Constraint, Habits, Rules
from urbild.nets.moves import ADAM, STEADY, Optimiser, Rhythm
from urbild.nets.pairs import Certain, pair
from urbild.nets.priors import NORMAL, Prior
from urbild.ops.precision import full

FREELY = Certain(standardised=False)


class Veegan(PairGame):
    """A game on pairs whose encoder, the reconstructor, learns to find the noise again."""

    def passed(self, x: Tensor) -> tuple[Tensor, ...]:
        """Latents, what is made of them, and the latents that are found in it; as many as samples."""
        z = self.noise(len(x))
        made = self.generator(z)
        return z, made, full(self.encoder(made))

    def generator_loss(self, batch: Batch) -> Losses:
        """Of generator and reconstructor: squared error summed over a latent, and the critic's ln q / p."""
        z, made, found = self.passed(batch.x)
        error = (z - found).square().sum(1).mean()
        logits = full(self.critic(play.shown(self.rules.habits, pair(made, z), batch.progress)))
        return {"loss": error - logits.mean(), "reconstruction": error.detach(), "ratio": -logits.detach().mean()}


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
    rules = Rules(constraint=constraint, optimiser=optimiser, rhythm=rhythm, habits=habits)
    networks = players(spec, prior, FREELY, rules, generator=generator, encoder=reconstructor, critic=critic)
    return Veegan(spec, networks, prior=prior, law=FREELY, rules=rules)
