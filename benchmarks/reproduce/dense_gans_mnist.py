"""MNIST: samples of adversarial networks that are dense, as the first ones were, beside the rows that bound them."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from benchmarks.reproduce import Budget, Claim, Line
from benchmarks.reproduce.gans import AVERAGED, measure
from urbild.models.adversarial.components import GanComponent
from urbild.nets.adversaries import Dense
from urbild.nets.moves import RmsProp, Steady

STEPS = {
    "gan": 6000,
    "wgan": 6000,
    "unrolled_gan": 1500,
    "minibatch_discrimination_gan": 3000,
    "adagan": 6000,
    "veegan": 6000,
    "bigan": 6000,
}
SETTINGS: dict[str, dict[str, Any]] = {
    "cpu": {
        "width": 256,
        "batch": 64,
        "steps": STEPS,
        "judge": 3,
    },
    "full": {
        "width": 1024,
        "batch": 64,
        "steps": dict.fromkeys(STEPS, 50_000),
        "judge": 12,
    },
}


def options_of(system: str, width: int) -> dict[str, Any]:
    """A system with dense networks of this width."""
    generator = Dense(width=width)
    critic = replace(generator, activation="leaky")
    game = {"generator": generator, "critic": critic, "habits": AVERAGED}
    match system:
        case "wgan":
            return {**game, "optimiser": RmsProp(2e-4, 2e-4), "rhythm": Steady(2)}
        case "adagan":
            return {"component": GanComponent(**game), "components": 3, "judge": critic}
        case "veegan":
            return {**game, "reconstructor": generator}
        case "bigan":
            normal = replace(generator, normalisation="batch", unit=True, start=0.02)
            return {**game, "generator": normal, "critic": replace(normal, activation="leaky")}
    return game


def run(seed: int, budget: Budget) -> Iterator[Line]:
    """Lines of a seed."""
    yield from measure("mnist", seed, SETTINGS[budget], options_of)


CLAIM = Claim(
    name="dense_gans_mnist",
    title="Samples of dense adversarial networks: MNIST",
    protocol=(
        "MNIST (original files): generators are trained on all 60,000 training images without labels for a fixed "
        "number of steps of 64 images, and draw with a moving average of their weights, of decay .99. All networks "
        "are dense, two hidden layers of 256 units at budget cpu and of 1,024 at full; where nothing else is said, as "
        "`gan` has them by default. A step is a move of the critic; the generator moves at each, but at each second "
        "one in WGAN, whose rate is 2e-4 instead of 5e-5; the unrolled GAN looks 5 moves ahead and has a quarter of "
        "the steps at cpu, and minibatch discrimination half of them, since each costs several times as much; AdaGAN "
        "mixes three GANs that share the steps; BiGAN has the networks of `bigan_mnist`. Nothing was tuned. Judge, "
        "rows that bound, and measures are those of `gans_mnist`; its convolutional networks are the ones to take for "
        "images."
    ),
    run=run,
    budgets=SETTINGS,
)
