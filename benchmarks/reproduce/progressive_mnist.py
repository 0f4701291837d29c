"""Digits of 32 pixels: networks that grow beside the same last networks trained at once, on as many images."""

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

import urbild
from benchmarks.reproduce import Budget, Claim, Line, Target
from benchmarks.reproduce.classifier import told
from urbild.contract import Encodes, Model, Samples
from urbild.data import ArrayRecords, Preparation, Reading, Records, as_records
from urbild.models.adversarial.growing import Direct, Grown, Schedule
from urbild.nets.games import Habits
from urbild.ops.frechet import Moments, frechet_distance

GROWN, DIRECT, REAL = "progressive_gan, grown", "progressive_gan, direct", "real images"
SCHEDULES: dict[str, Schedule] = {GROWN: Grown(), DIRECT: Direct()}
BORDER, ROWS = 2, 250
SETTINGS: dict[str, dict[str, Any]] = {
    "cpu": {
        "samples": 5000,
        "judge": {"epochs": 2, "batch": 128},
        "model": {"width": 32, "batch": 32, "steps": 3000},
        "average": 0.99,
    },
    "full": {
        "samples": 5000,
        "judge": {"epochs": 10, "batch": 128},
        "model": {"width": 128, "batch": 64, "steps": 12_000},
        "average": 0.999,
    },
}


def padded(records: Records) -> Records:
    """Digits in the middle of 32 x 32 black pixels."""
    assert isinstance(records, ArrayRecords)
    around = (BORDER, BORDER)
    return replace(records, values=np.pad(records.values, ((0, 0), around, around, (0, 0))))


def seen(judge: Model, x: Tensor) -> Moments:
    """Mean and covariance of what the judge makes of images [N, 1, H, W]."""
    assert isinstance(judge, Encodes)
    device, moments = next(judge.parameters()).device, None
    for part in x.split(ROWS):
        with torch.no_grad():
            values = judge.encode(part.to(device))
        moments = moments or Moments(values.shape[1])
        moments.add(values)
    assert moments is not None
    return moments


def drawn(model: Model, n: int, seed: int) -> Tensor:
    """Samples [n, 1, H, W]."""
    assert isinstance(model, Samples)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        parts = [model.sample(min(ROWS, n - at), generator=generator).cpu() for at in range(0, n, ROWS)]
    return torch.cat(parts)


def measure(settings: dict[str, Any], seed: int, train: Records, test: Records) -> Iterator[Line]:
    """Lines of both trainings, of digits that are padded already, and of real images beside."""
    x = torch.cat([batch.x for batch in Preparation.fit(train).source(test).batches(1000)])
    assert test.labels is not None
    judge = urbild.train("classifier", train, seed=seed + 100, **settings["judge"])
    yield Line("the judge", "test", "accuracy", float((told(judge, x) == test.labels).mean()))
    n = min(settings["samples"], len(x) // 2)
    one, other = (seen(judge, x[first::2][:n]) for first in (0, 1))  # MNIST's second half is harder than its first
    yield Line(REAL, "test", "FID", frechet_distance(other, one), f"two sets of {n:,}")
    habits = Habits(average=settings["average"])
    distances, seconds = dict[str, float](), dict[str, float]()
    for row, schedule in SCHEDULES.items():
        begun = time.monotonic()
        options = {**settings["model"], "schedule": schedule, "habits": habits}
        model = urbild.train("progressive_gan", train, seed=seed, **options)
        seconds[row] = time.monotonic() - begun
        distances[row] = frechet_distance(seen(judge, drawn(model, n, seed)), one)
        yield Line(row, "test", "FID", distances[row], f"{n:,} samples")
        yield Line(row, "test", "seconds", seconds[row], f"{settings['model']['steps']:,} steps")
    yield Line(GROWN, "test", "FID over direct's", distances[GROWN] / distances[DIRECT])
    yield Line(GROWN, "test", "seconds over direct's", seconds[GROWN] / seconds[DIRECT])


def run(seed: int, budget: Budget) -> Iterator[Line]:
    """Lines of a seed."""
    train, test = (padded(as_records("mnist", reading=Reading(part=part))) for part in ("train", "test"))
    yield from measure(SETTINGS[budget], seed, train, test)


CLAIM = Claim(
    name="progressive_mnist",
    title="Progressive GAN on digits of 32 pixels: grown beside direct",
    protocol=(
        "MNIST, the original files, each digit padded with 2 black pixels to 32 x 32; trained on all 60,000 training "
        "images. Grown: 4, 8, 16 and 32 pixels, a fade-in and a stabilising stage for each but the first; direct: the "
        "same last networks at 32 pixels throughout; as many steps of as many images, the same rates and losses. The "
        "budget cpu has narrower networks and fewer images, and averages weights over 100 steps, not 1,000. FID: of "
        "5,000 samples beside 5,000 real test images (every second), in the 128 features of a `classifier` that was "
        "trained on the padded training images with another seed, so not comparable with FID in Inception's; of real "
        "images, of the other 5,000. Seconds: of the training, on the machine of the result."
    ),
    run=run,
    targets=(
        Target(GROWN, "test", "FID over direct's", 1.0, "aim", most=True),
        Target(GROWN, "test", "seconds over direct's", 1.0, "aim", most=True),
    ),
    budgets=SETTINGS,
)
