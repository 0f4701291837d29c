"""Bidirectional GAN: an encoder that learns to invert the generator, without a loss of reconstruction.

Donahue, Krahenbuhl and Darrell 2016, Adversarial Feature Learning, https://arxiv.org/abs/1605.09782; the same game with
an encoder that draws is ALI, Dumoulin et al. 2016, Adversarially Learned Inference, https://arxiv.org/abs/1606.00704

    critic                  minimise  -E ln D(x, E(x)) - E ln(1 - D(G(z), z))                        (equation 3)
    encoder and generator   minimise  -E ln(1 - D(x, E(x))) - E ln D(G(z), z)        labels swapped (section 3.4)

At the best critic the value is 2 JSD - 2 ln 2 of the two laws of pairs (proposition 2); where it is least, encoder and
generator invert each other (theorem 2). `encoder=Noisy()` is ALI's: codes are drawn from N(mean, variance) of a sample,
in the game alone; the verbs take the mean.

The critic of dense networks takes the code at its last hidden layer, as in the code of BiGAN's authors; that of
convolutions after the sample's features, as in both papers. Reconstructions mean the same as the sample, and are not
near it pixel by pixel.

Departures: codes E(x) are standardised to the prior's mean and deviation over a batch, where the papers leave them as
they are. At the start they are far too small, and later they may grow without bound; either way the critic tells pairs
by the codes' scale alone, and the encoder learns next to nothing. `encoder=Certain(standardised=False)` is the paper's.
Where sample and code meet, the convolutional critic normalises the batch, without gains and shifts, as its other layers
do. On MNIST, after 1,000 moves of batches of 64 with pyramids of width 16, a reconstruction is at .95 of the distance
of a random image's without both, at .86 with the first, and at .74 with both and a start from N(0, .02).

The networks are those of `gan` and `dcgan`, the encoder's as the critic's; a latent of 100 for images, where the paper
has 50 on MNIST. Its networks there, as in its authors' code, are
`generator=Dense(width=1024, normalisation="batch", unit=True, start=.02)` and
`critic=Dense(width=1024, activation="leaky", normalisation="batch", unit=True, start=.02)`, there without gains and
shifts in the generator as well. Pixels in [0, 1], hidden layers that see them before a batch is normalised, and the
small start all count: without any one of them the critic soon tells every pair. So do rate and batch: on MNIST 512
units with batches of 128 at a constant 5e-4 in float32 keep the game open (three seeds), 256 units with batches of 64
at 2e-4 lose it, and so does 1e-3. It stays near its edge: on 55,000 of the images two seeds of three lose it within
1,500 moves, and dropout of .3 in the critic (`encoder=Certain(network=...)` for one without) keeps it with both. The
pyramids that are the default lose theirs on MNIST after some 4,000 moves (one seed), and their samples collapse by
8,000. Tried there, the share of pairs that the critic tells: plain .97 after 1,850 moves; spectral normalisation .99
and a quarter of the rate .96 after 1,500; dropout of .2 .98 and of .3, which leaves it blind, .5 after 550. A faster
generator keeps it longest: at 1e-3 beside 1e-4, `optimiser=Adam(generator=1e-3, critic=1e-4)`, told is .86 after 1,500
moves, .96 after 3,500 and .99 after 5,500, where samples and reconstructions are still what they were; at 1e-3 beside
2e-4 the samples have collapsed by then. ALI's networks are not made, and its codes, which are drawn, are not
standardised.
"""
# ruff: noqa: ARG002, D102 -- the verbs are documented in the contract; `given` is not used here

from torch import Tensor

from urbild.contract import Batch, DataSpec, Losses, Model, Reconstructs
from urbild.models.adversarial.pairing import PairGame, players
from urbild.nets import play
from urbild.nets.adversaries import LEAKY, PYRAMID, Architecture
from urbild.nets.games import FREE, HABITS, Constraint, Habits, Rules
from urbild.nets.moves import ADAM, STEADY, Optimiser, Rhythm
from urbild.nets.pairs import CERTAIN, Encoder
from urbild.nets.priors import UNIFORM, Prior
from urbild.ops.precision import full


class Bigan(PairGame, Reconstructs):
    """A game on pairs whose encoder plays against the critic as the generator does."""

    def passed(self, x: Tensor) -> tuple[Tensor, ...]:
        """Pairs of the samples, and as many made ones."""
        return self.real(x), self.made(len(x))

    def generator_loss(self, batch: Batch) -> Losses:
        """Of encoder and generator: the critic's with swapped labels, whose gradients do not die."""
        seen = [play.shown(self.rules.habits, pairs, batch.progress) for pairs in self.passed(batch.x)]
        on_real, on_fake = (full(self.critic(pairs)) for pairs in seen)
        return {"loss": self.rules.objective.critic(on_fake, on_real).mean()}

    def reconstruct(self, x: Tensor, *, given: Tensor | None = None) -> Tensor:
        return self.decode(self.encode(x))


def bigan(
    spec: DataSpec,
    *,
    prior: Prior = UNIFORM,
    constraint: Constraint = FREE,
    generator: Architecture | None = None,
    encoder: Encoder = CERTAIN,
    critic: Architecture | None = None,
    optimiser: Optimiser = ADAM,
    rhythm: Rhythm = STEADY,
    habits: Habits = HABITS,
) -> Model:
    """Builds a BiGAN.

    Args:
        spec: of the data: vectors or images.
        prior: of the latent.
        constraint: what holds the critic's slope; a penalty of its gradient needs a critic without batch normalisation.
        generator: its network; by default Pyramid for images and Dense for vectors.
        encoder: what it says of a code, and its network.
        critic: its network; by default Pyramid for images and Dense with leaky rectifiers for vectors.
        optimiser: how the players learn; the encoder learns as the generator does.
        rhythm: moves of the critic for each of the others'.
        habits: noise, packing, and an average of the weights.

    Raises:
        OptionError: an option is out of range, or does not fit the data.
    """
    rules = Rules(constraint=constraint, optimiser=optimiser, rhythm=rhythm, habits=habits)
    inverter = encoder.network or critic or (PYRAMID if spec.kind == "image" else LEAKY)
    networks = players(spec, prior, encoder, rules, generator=generator, encoder=inverter, critic=critic)
    return Bigan(spec, networks, prior=prior, law=encoder, rules=rules)
