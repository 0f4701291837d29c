"""Wasserstein GAN, its critic held by clipping.

Arjovsky, Chintala and Bottou 2017, Wasserstein GAN, https://arxiv.org/abs/1701.07875

    critic      maximise  E f(x) - E f(G(z))      weights clipped to [-.01, .01] after each move     (algorithm 1)
    generator   maximise  E f(G(z))

The critic's estimate ("critic/estimate" among the metrics) falls as the samples get better: it is the earth mover's
distance up to the scale that the clip leaves. RMSProp at 5e-5, as momentum upsets a critic whose loss is not
stationary; 5 moves of the critic for each of the generator's, but 100 for the first 25 and for every 500th, as in the
authors' code.

Departures: all weights are clipped after each move of the critic, where the code clips before it; 32 channels in the
largest maps instead of 64; vectors have dense networks of the stock width, where the paper has four layers of 512.
"""

from urbild.contract import DataSpec, Model
from urbild.models.adversarial.game import game
from urbild.nets.adversaries import DENSE, LEAKY, PYRAMID, Architecture
from urbild.nets.games import HABITS, Clipped, Habits, Rules, Wasserstein
from urbild.nets.moves import Optimiser, Rhythm, RmsProp, WarmUp
from urbild.nets.priors import NORMAL, Prior

CLIPPED, RMS_PROP = Clipped(), RmsProp()
WARM_UP = WarmUp(critic=5, long=100, first=25, again=500)


def wgan(
    spec: DataSpec,
    *,
    prior: Prior = NORMAL,
    constraint: Clipped = CLIPPED,
    generator: Architecture | None = None,
    critic: Architecture | None = None,
    optimiser: Optimiser = RMS_PROP,
    rhythm: Rhythm = WARM_UP,
    habits: Habits = HABITS,
) -> Model:
    """Builds a WGAN.

    Args:
        spec: of the data: vectors or images.
        prior: of the latent.
        constraint: the box that the critic's weights are kept in.
        generator: its network; by default Pyramid for images and Dense for vectors.
        critic: its network; by default Pyramid for images and Dense with leaky rectifiers for vectors.
        optimiser: how the players learn.
        rhythm: moves of the critic for each of the generator's; a run of fewer steps than the first of them trains the
            critic alone.
        habits: noise, packing, and an average of the weights.

    Raises:
        OptionError: an option is out of range, or does not fit the data.
    """
    image = spec.kind == "image"
    rules = Rules(objective=Wasserstein(), constraint=constraint, optimiser=optimiser, rhythm=rhythm, habits=habits)
    made, judge = generator or (PYRAMID if image else DENSE), critic or (PYRAMID if image else LEAKY)
    return game(spec, prior, made, judge, rules)
