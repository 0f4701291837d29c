"""Ring of 8 and grid of 25: which modes generators find, and how well, by two rules side by side."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch

from benchmarks.reproduce import Budget, Claim, Line, Target
from urbild.catalogue import build
from urbild.contract import Samples
from urbild.data import Preparation, Reading, as_records
from urbild.data.mixtures import MIXTURES, Mixture
from urbild.evaluation.modes import mixture_modes
from urbild.models.adversarial.components import GanComponent
from urbild.models.adversarial.minibatch_discrimination_gan import Techniques
from urbild.nets.adversaries import Dense
from urbild.nets.games import Clipped, Habits
from urbild.nets.lookahead import OwnSteps
from urbild.nets.moves import Adam, RmsProp, Steady
from urbild.training import Plan, fit

SAMPLES, DRAWS = 2500, 10
SUITES = ("ring8", "grid25")
NOISE, GAN, PACKED = "uniform noise", "gan", "gan, packs of 2"
UNROLLED, FAR = "unrolled_gan, 5 steps", "unrolled_gan, 10 steps"

GENERATOR, CRITIC = Dense(width=128, depth=3), Dense(width=128, depth=3, activation="leaky")
NETWORKS: dict[str, Any] = {"generator": GENERATOR, "critic": CRITIC}
FAST = Adam(generator=1e-3, critic=1e-3, linear=True)
GAME: dict[str, Any] = {**NETWORKS, "optimiser": FAST}
FIVE = Adam(generator=1e-3, critic=1e-3, momentum=0.0, memory=0.9, linear=True)
CLIPPED: dict[str, Any] = {"constraint": Clipped(0.1), "optimiser": RmsProp(5e-4, 5e-4), "rhythm": Steady(5)}

ROWS: Mapping[str, tuple[str, dict[str, Any]]] = {
    GAN: ("gan", GAME),
    PACKED: ("gan", {**GAME, "habits": Habits(packing=2)}),
    UNROLLED: ("unrolled_gan", {**GAME, "lookahead": OwnSteps(5)}),
    FAR: ("unrolled_gan", {**GAME, "lookahead": OwnSteps(10)}),
    "minibatch_discrimination_gan": (
        "minibatch_discrimination_gan",
        {**GAME, "techniques": Techniques(kernels=20, size=5)},
    ),
    "wgan": ("wgan", {**NETWORKS, **CLIPPED}),
    "wgan_gp": ("wgan_gp", {**NETWORKS, "optimiser": FIVE}),
    "veegan": ("veegan", {**GAME, "reconstructor": GENERATOR}),
    "adagan": ("adagan", {"component": GanComponent(**GAME), "components": 5}),
}
"""System and options of each row."""

REMEDIES = tuple(row for row in ROWS if row != GAN)

STEPS = {
    GAN: 12_000,
    PACKED: 12_000,
    UNROLLED: 2500,
    FAR: 1300,
    "minibatch_discrimination_gan": 2500,
    "wgan": 14_000,
    "wgan_gp": 8000,
    "veegan": 7000,
    "adagan": 11_000,
}
SETTINGS: dict[str, dict[str, Any]] = {
    "cpu": {"batch": 256, "steps": STEPS},
    "full": {"batch": 512, "steps": {row: 5 * steps for row, steps in STEPS.items()}},
}


def lines(row: str, suite: str, points: np.ndarray) -> Iterator[Line]:
    """Both rules, share of good samples and divergence, each the mean over draws of samples [DRAWS, SAMPLES, 2]."""
    found = [mixture_modes(draw, MIXTURES[suite]) for draw in points]
    held = [modes.held for modes in found if modes.held is not None]
    quality = [modes.quality for modes in found if modes.quality is not None]
    yield Line(row, suite, "modes, 1 sample", float(np.mean([modes.covered for modes in found])), "published rule")
    yield Line(row, suite, "modes, 20 samples", float(np.mean(held)), "our rule")
    yield Line(row, suite, "share of good samples", float(np.mean(quality)))
    yield Line(row, suite, "KL to equal shares", float(np.mean([modes.kl for modes in found])), "nats")


def noise(mixture: Mixture, seed: int) -> np.ndarray:
    """Uniform points [DRAWS, SAMPLES, 2] on the box of the mixture, 3 deviations beyond its outermost centres."""
    half = np.abs(mixture.centres).max() + 3 * mixture.deviation
    return np.random.default_rng(seed).uniform(-half, half, (DRAWS, SAMPLES, 2))


def drawn(row: str, suite: str, seed: int, *, steps: int, batch: int) -> np.ndarray:
    """Points [DRAWS, SAMPLES, 2] of a generator that was trained on a suite."""
    records = as_records(suite, reading=Reading(part="train"))
    preparation = Preparation.fit(records)
    source, (name, options) = preparation.source(records), ROWS[row]
    model = build(name, source.spec, options, seed=seed)
    fit(model, source, Plan(steps=steps, batch=batch, seed=seed))
    assert isinstance(model, Samples)
    model.cpu()
    with torch.no_grad():
        x = model.sample(DRAWS * SAMPLES, generator=torch.Generator().manual_seed(seed))
    return np.asarray(preparation.restore(x), dtype=np.float64).reshape(DRAWS, SAMPLES, 2)


def run(seed: int, budget: Budget) -> Iterator[Line]:
    """Lines of all rows on both suites."""
    settings = SETTINGS[budget]
    for suite in SUITES:
        yield from lines(NOISE, suite, noise(MIXTURES[suite], seed))
        for row in ROWS:
            points = drawn(row, suite, seed, steps=settings["steps"][row], batch=settings["batch"])
            yield from lines(row, suite, points)


TARGETS = tuple(
    Target(row, suite, metric, bound, "aim")
    for row in REMEDIES
    for suite, metric, bound in (
        ("ring8", "modes, 20 samples", 8.0),
        ("ring8", "share of good samples", 0.8),
        ("grid25", "modes, 20 samples", 24.0),
        ("grid25", "share of good samples", 0.8),
    )
)

CLAIM = Claim(
    name="mode_suites",
    title="Ring of 8 and grid of 25: modes that generators find",
    protocol=(
        "Ring of 8 Gaussians (radius 2, deviation .02) and grid of 25 (spacing 2, deviation .05), 100,000 points; all "
        "rows have the same two networks of three hidden layers of 128 units, a latent of 2, and batches of 256; last "
        "weights; each row at most 2 core-minutes a seed at budget cpu, so those that cost more a step have fewer. 10 "
        "draws of 2,500 samples from the last weights, means. A sample is good within 3 deviations of its nearest "
        "centre. By the published rule a mode counts with one good sample, by ours with 20; uniform noise on the "
        "data's box stands beside. The bar: three of the remedies reach 8 of 8, and 24 of 25, by our rule, with .8 of "
        "the samples good. Published, by their rule and with other budgets: unrolled 7.6 and 23.6 modes, .36 and .16 "
        "good; VEEGAN 8 and 24.6, .53 and .40; PacGAN of 4 7.8 and 24.8, .96 and .94. A perfect sampler: .989."
    ),
    seeds=(0, 1, 2, 3, 4),
    run=run,
    targets=TARGETS,
    budgets={
        name: {"batch": settings["batch"], "steps": dict(settings["steps"])} for name, settings in SETTINGS.items()
    },
)
