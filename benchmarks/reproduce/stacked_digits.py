"""Stacked MNIST: how many of its numbers a generator makes, and how evenly."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.reproduce import Budget, Claim, Line, Target
from benchmarks.reproduce.classifier import told
from benchmarks.reproduce.gans import ROWS, drawn, images, judge_of, judged, trained
from urbild.data import Preparation, Reading, as_records
from urbild.evaluation.generators import Space, by_classifier
from urbild.evaluation.modes import stacked_modes
from urbild.nets.adversaries import Pyramid
from urbild.nets.games import Habits
from urbild.nets.moves import Adam, Steady
from urbild.nets.priors import Normal

MODES, KL = "modes", "KL to equal shares, nats"
PACKED, UNROLLED = "dcgan, packs of 2", "unrolled_gan, half-size critic"
SETTINGS: dict[str, dict[str, Any]] = {
    "cpu": {
        "data": "stacked_mnist/2",
        "width": 16,
        "batch": 64,
        "samples": 10_000,
        "judge": 3,
        "critic": 2,
        "rate": 5e-4,
        "steps": {"dcgan": 4500, PACKED: 4500, "wgan_gp": 2800, "veegan": 3000},
    },
    "full": {
        "data": "stacked_mnist",
        "width": 64,
        "batch": 64,
        "samples": 26_000,
        "judge": 12,
        "critic": 5,
        "rate": 1e-4,
        "steps": {"dcgan": 100_000, PACKED: 100_000, "wgan_gp": 250_000, "veegan": 100_000, UNROLLED: 100_000},
    },
}


def system_of(row: str, settings: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """A system and its options."""
    width, network = settings["width"], Pyramid(width=settings["width"])
    pair = {"generator": network, "critic": network}
    if row == PACKED:
        return "dcgan", {**pair, "habits": Habits(packing=2)}
    if row == UNROLLED:
        slow = Adam(generator=1e-4, critic=2e-4, memory=0.99)
        critic = Pyramid(width=width // 2)
        return "unrolled_gan", {"prior": Normal(256), "generator": network, "critic": critic, "optimiser": slow}
    if row == "wgan_gp":
        rate, critic = settings["rate"], Pyramid(width=width, normalisation="none")
        optimiser = Adam(generator=rate, critic=rate, memory=0.9)
        rhythm = Steady(critic=settings["critic"])
        return row, {"generator": network, "critic": critic, "optimiser": optimiser, "rhythm": rhythm}
    return row, {**pair, "reconstructor": network} if row == "veegan" else pair


def lines(row: str, data: str, samples: Iterable[Tensor], space: Space) -> Iterator[Line]:
    """Modes and KL of samples that come some at a time."""
    found = stacked_modes(torch.cat([judge_of(space, x) for x in samples]).numpy(), len(space.classes))
    yield Line(row, data, MODES, float(found.covered))
    yield Line(row, data, KL, found.kl)


def noise(shape: tuple[int, ...], n: int, *, seed: int) -> Iterator[Tensor]:
    """Pixels that are uniform, each for itself."""
    generator = torch.Generator().manual_seed(seed)
    for start in range(0, n, ROWS):
        yield torch.rand(min(ROWS, n - start), *shape, generator=generator)


def shuffled(x: Tensor, n: int, *, seed: int) -> Iterator[Tensor]:
    """Pixels of real images x [N, C, H, W], each of an image of its own."""
    generator, rows = torch.Generator().manual_seed(seed), x.flatten(1)
    for start in range(0, n, ROWS):
        count = min(ROWS, n - start)
        chosen = torch.randint(len(rows), (count, rows.shape[1]), generator=generator)
        yield rows.gather(0, chosen).reshape(count, *x.shape[1:])


def run(seed: int, budget: Budget) -> Iterator[Line]:
    """Lines of all systems, of the floors, and of real images."""
    settings = SETTINGS[budget]
    data, n = settings["data"], settings["samples"]
    train, test = (as_records(data, reading=Reading(part=part)) for part in ("train", "test"))
    digits, fresh = (as_records("mnist", reading=Reading(part=part)) for part in ("train", "test"))
    preparation = Preparation.fit(train)
    source = preparation.source(train)
    judge = judged(digits, seed=seed, epochs=settings["judge"])
    space = by_classifier(judge, preparation, "of single digits", stacked=True)
    right = told(judge.model, images(judge.preparation, fresh)) == fresh.labels
    yield Line("judge", "single test digits", "accuracy", float(right.mean()))
    few = images(preparation, train.select(np.arange(10_000)))
    yield from lines("real test images", data, images(preparation, test.select(np.arange(n))).split(ROWS), space)
    yield from lines("uniform noise", data, noise(source.spec.shape, n, seed=seed), space)
    yield from lines("independent pixels", data, shuffled(few, n, seed=seed), space)
    for row, steps in settings["steps"].items():
        system, options = system_of(row, settings)
        model = trained(system, source, options, seed=seed, steps=steps, batch=settings["batch"])
        yield from lines(row, data, drawn(model, n, seed=seed), space)


CLAIM = Claim(
    name="stacked_digits",
    title="Stacked MNIST: which numbers a generator makes",
    protocol=(
        "Random digits of MNIST's training images are the channels of an image: 128,000 images, whose modes are the "
        "numbers that the channels read: at budget cpu two digits and 100 modes, at full three and 1,000. A mode "
        "counts with one sample; the KL is from the samples' shares of modes to equal shares. A `classifier` trained "
        "on single training digits with another seed reads each channel; its accuracy stands beside, and it reads a "
        "number in anything: uniform noise and pixels drawn each for itself stand in the table, and images of test "
        "digits. DCGAN's pyramid for all players, batches of 64, last weights. At cpu width 16 and about as much "
        "processor time for each system: moves of each player 4,500 for DCGAN alone and with packs of 2 (PacGAN; the "
        "critic's other layers keep their widths), 3,000 for VEEGAN, and for WGAN-GP 2,800 of the critic, 1,400 of "
        "the generator, at 5e-4, since its five moves to one at 1e-4 would not come anywhere in that time; 10,000 "
        "samples, whose KL would be .005 for equal shares. An unrolled step costs four and a half of DCGAN's: full "
        "alone. At full width 64, 50 passes as VEEGAN's authors made, WGAN-GP 50,000 moves of the generator with five "
        "of the critic for each, unrolled k = 5 with a critic of half the width; 26,000 samples. Published, 1,000 "
        "modes, set-up of VEEGAN (modes, KL): DCGAN 99, 3.40 (in PacGAN's run 78.9, 4.50); ALI 16, 5.40; unrolled "
        "48.7, 4.32; VEEGAN 150, 2.95; DCGAN with packs of 2 1,000, .06. Set-up of the unrolled GAN with a critic of "
        "half the size: DCGAN 628, 2.58; unrolled k = 5 732, 1.66 and k = 10 817, 1.43; packs of 2 841, 1.00."
    ),
    run=run,
    targets=(
        Target("veegan", "stacked_mnist", MODES, 150, "aim"),
        Target("veegan", "stacked_mnist", KL, 2.95, "aim", most=True),
        Target(UNROLLED, "stacked_mnist", MODES, 732, "aim"),
        Target(UNROLLED, "stacked_mnist", KL, 1.66, "aim", most=True),
        Target(PACKED, "stacked_mnist", MODES, 1000, "aim"),
    ),
    budgets=SETTINGS,
)
