"""Conditional GAN: samples of a class that is asked for.

Mirza and Osindero 2014, Conditional Generative Adversarial Nets, https://arxiv.org/abs/1411.1784

    min_G max_D  E ln D(x|y) + E ln(1 - D(G(z|y)|y))           (equation 2), the generator in its non-saturating form

The class enters one-hot: after the latent, and after the columns of a vector, or as constant maps beside the channels
of an image. Made samples are judged under the classes of the batch. A critic with spectral normalisation has the class
as Miyato and Koyama give it (2018, cGANs with Projection Discriminator, https://arxiv.org/abs/1802.05637, equation 3):

    D(x, y) = v.phi(x) + y.V phi(x)

Departures from the paper: images get the convolutional form that the authors of DCGAN gave it, with the class at the
networks' entries alone and not at every layer, where the paper has dense maxout networks that embed z, x and y apart
(`generator=Dense(...)` and `critic=Dense(activation="maxout", dropout=.5)` come near them); Adam instead of SGD with
momentum; vectors have dense networks.
"""

from urbild.contract import DataSpec, Model
from urbild.errors import OptionError
from urbild.models.adversarial.game import game
from urbild.nets.adversaries import DENSE, LEAKY, PYRAMID, Architecture
from urbild.nets.games import FREE, HABITS, NON_SATURATING, Constraint, Habits, Objective, Rules
from urbild.nets.moves import ADAM, STEADY, Optimiser, Rhythm
from urbild.nets.priors import UNIFORM, Prior


def conditional_gan(
    spec: DataSpec,
    *,
    prior: Prior = UNIFORM,
    objective: Objective = NON_SATURATING,
    constraint: Constraint = FREE,
    generator: Architecture | None = None,
    critic: Architecture | None = None,
    optimiser: Optimiser = ADAM,
    rhythm: Rhythm = STEADY,
    habits: Habits = HABITS,
) -> Model:
    """Builds a GAN that is conditioned on the class.

    Args:
        spec: of the data, which have classes.
        prior: of the latent.
        objective: what the players minimise.
        constraint: what holds the critic's slope; a penalty of its gradient needs a critic without batch normalisation.
        generator: its network; by default Pyramid for images and Dense for vectors.
        critic: its network; by default Pyramid for images and Dense with leaky rectifiers for vectors; with spectral
            normalisation it projects its features by the class.
        optimiser: how the players learn.
        rhythm: moves of the critic for each of the generator's.
        habits: noise, packing, and an average of the weights.

    Raises:
        OptionError: an option is out of range or does not fit the data, or the data have no classes.
    """
    if not spec.classes:
        msg = "conditional_gan needs labelled data, and these have no classes; give a label column, or a folder for "
        msg += "each class, or take gan or dcgan."
        raise OptionError(msg)
    image = spec.kind == "image"
    rules = Rules(objective=objective, constraint=constraint, optimiser=optimiser, rhythm=rhythm, habits=habits)
    made, judge = generator or (PYRAMID if image else DENSE), critic or (PYRAMID if image else LEAKY)
    return game(spec, prior, made, judge, rules, classes=len(spec.classes), projected=judge.normalisation == "spectral")
