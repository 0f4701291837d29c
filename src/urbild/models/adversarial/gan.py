"""Generative adversarial network.

Goodfellow et al. 2014, Generative Adversarial Networks, https://arxiv.org/abs/1406.2661

    min_G max_D  E ln D(x) + E ln(1 - D(G(z)))                                    (equation 1)
    generator, in practice:  minimise  -E ln D(G(z))                              (section 3)

At the critic's optimum D = p / (p + q) the value is 2 JSD(p, q) - 2 ln 2. `objective=Minimax()` is the first form, the
default `NonSaturating()` the second; the other objectives, constraints and habits make later papers' games of it.

Departures from the paper: Adam instead of SGD with momentum; the default critic has leaky rectifiers, where the paper
has maxout with dropout (`critic=Dense(width=240, activation="maxout", dropout=.5)`); two hidden layers of 128 units for
vectors and 512 for images, where the paper's generator has 1200; images end in a tanh on [-1, 1].
"""

from urbild.contract import DataSpec, Model
from urbild.models.adversarial.game import game
from urbild.nets.adversaries import DENSE, LEAKY, Architecture
from urbild.nets.games import FREE, HABITS, NON_SATURATING, Constraint, Habits, Objective, Rules
from urbild.nets.moves import ADAM, STEADY, Optimiser, Rhythm
from urbild.nets.priors import NORMAL, Prior


def gan(
    spec: DataSpec,
    *,
    prior: Prior = NORMAL,
    objective: Objective = NON_SATURATING,
    constraint: Constraint = FREE,
    generator: Architecture = DENSE,
    critic: Architecture = LEAKY,
    optimiser: Optimiser = ADAM,
    rhythm: Rhythm = STEADY,
    habits: Habits = HABITS,
) -> Model:
    """Builds a GAN.

    Args:
        spec: of the data: vectors or images.
        prior: of the latent.
        objective: what the players minimise.
        constraint: what holds the critic's slope.
        generator: its network.
        critic: its network.
        optimiser: how the players learn.
        rhythm: moves of the critic for each of the generator's.
        habits: noise, packing, and an average of the weights.

    Raises:
        OptionError: an option is out of range, or does not fit the data.
    """
    rules = Rules(objective=objective, constraint=constraint, optimiser=optimiser, rhythm=rhythm, habits=habits)
    return game(spec, prior, generator, critic, rules)
