"""DCGAN: the all-convolutional game that first trained stably.

Radford, Metz and Chintala 2015, Unsupervised Representation Learning with Deep Convolutional Generative Adversarial
Networks, https://arxiv.org/abs/1511.06434

    critic      minimise  -E ln D(x) - E ln(1 - D(G(z)))
    generator   minimise  -E ln D(G(z))                        z ~ U(-1, 1)^100

Both networks are pyramids of strided convolutions (`nets.dcgan`), with batch normalisation but at the generator's end
and the critic's ends, rectifiers in the generator and leaky ones in the critic; weights start at N(0, .02). Adam at
2e-4 with momentum .5, batches of 128.

Departures from the paper: kernels of 4 instead of 5, which cover a strided map evenly; 32 channels in the largest maps,
where the paper has 128, for the sake of CPUs; no weight decay; images of any size, resampled to one that can be halved.
The authors' fall of the rates over the second half is `optimiser=Adam(linear=True)`.
"""

from urbild.contract import DataSpec, Model
from urbild.models.adversarial.game import game
from urbild.nets.adversaries import PYRAMID, Architecture
from urbild.nets.games import FREE, HABITS, NON_SATURATING, Constraint, Habits, Objective, Rules
from urbild.nets.moves import ADAM, STEADY, Optimiser, Rhythm
from urbild.nets.priors import UNIFORM, Prior


def dcgan(
    spec: DataSpec,
    *,
    prior: Prior = UNIFORM,
    objective: Objective = NON_SATURATING,
    constraint: Constraint = FREE,
    generator: Architecture = PYRAMID,
    critic: Architecture = PYRAMID,
    optimiser: Optimiser = ADAM,
    rhythm: Rhythm = STEADY,
    habits: Habits = HABITS,
) -> Model:
    """Builds a DCGAN.

    Args:
        spec: of images.
        prior: of the latent.
        objective: what the players minimise.
        constraint: what holds the critic's slope; a penalty of its gradient needs a critic without batch normalisation.
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
