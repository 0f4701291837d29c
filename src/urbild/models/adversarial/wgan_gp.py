"""Wasserstein GAN, its critic held by a penalty of its gradient.

Gulrajani, Ahmed, Arjovsky, Dumoulin and Courville 2017, Improved Training of Wasserstein GANs,
https://arxiv.org/abs/1704.00028

    critic      minimise  E f(G(z)) - E f(x) + 10 E ( |d f / d x^| - 1 )^2                           (equation 3)
    generator   maximise  E f(G(z))

with x^ uniform on the line from a made sample to a real one. The penalty is of each sample's own gradient, so the
critic has no batch normalisation, and one is refused. Adam at 1e-4 with betas .5 and .9; 5 moves of the critic for each
of the generator's.

Departures from the authors' networks: the pyramid of DCGAN for images, with batch normalisation in the generator, where
their networks for MNIST have none and those for CIFAR-10 are residual; a latent of 100, not 128.
"""

from urbild.contract import DataSpec, Model
from urbild.models.adversarial.game import game
from urbild.nets.adversaries import DENSE, LEAKY, PYRAMID, Architecture, Pyramid
from urbild.nets.games import HABITS, GradientPenalty, Habits, Rules, Wasserstein
from urbild.nets.moves import Adam, Optimiser, Rhythm, Steady
from urbild.nets.priors import NORMAL, Prior

PENALTY, FIVE, PLAIN = GradientPenalty(), Steady(critic=5), Pyramid(normalisation="none")
SLOW_ADAM = Adam(generator=1e-4, critic=1e-4, momentum=0.5, memory=0.9)


def wgan_gp(
    spec: DataSpec,
    *,
    prior: Prior = NORMAL,
    constraint: GradientPenalty = PENALTY,
    generator: Architecture | None = None,
    critic: Architecture | None = None,
    optimiser: Optimiser = SLOW_ADAM,
    rhythm: Rhythm = FIVE,
    habits: Habits = HABITS,
) -> Model:
    """Builds a WGAN-GP.

    Args:
        spec: of the data: vectors or images.
        prior: of the latent.
        constraint: the penalty of the critic's gradient.
        generator: its network; by default Pyramid for images and Dense for vectors.
        critic: its network; by default Pyramid without normalisation for images, and Dense with leaky rectifiers for
            vectors.
        optimiser: how the players learn.
        rhythm: moves of the critic for each of the generator's.
        habits: noise, packing, and an average of the weights.

    Raises:
        OptionError: an option is out of range or does not fit the data, or the critic has batch normalisation.
    """
    image = spec.kind == "image"
    rules = Rules(objective=Wasserstein(), constraint=constraint, optimiser=optimiser, rhythm=rhythm, habits=habits)
    made, judge = generator or (PYRAMID if image else DENSE), critic or (PLAIN if image else LEAKY)
    return game(spec, prior, made, judge, rules)
