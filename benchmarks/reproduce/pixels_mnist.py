"""Exact likelihoods of dynamically binarised MNIST."""

from collections.abc import Iterator
from typing import Any

import torch

import urbild
from benchmarks.common import data_root
from benchmarks.reproduce import Budget, Claim, Line, Target
from urbild.contract import Density, Model
from urbild.data import Preparation, Reading, as_records
from urbild.nets.symbols import Binary

COMMON: dict[str, Any] = {"batch": 64, "clip": 1.0, "learning_rate": 2e-3}


def nats(model: Model, test: torch.Tensor) -> float:
    """Mean negative log-likelihood of binary images."""
    assert isinstance(model, Density)
    device = next(model.parameters()).device
    with torch.no_grad():
        parts = [-model.log_prob(part.to(device)).value.cpu() for part in test.split(250)]
    return float(torch.cat(parts).mean())


def measure(system: str, settings: dict[str, Any], seed: int) -> Iterator[Line]:
    """A line for the system; with seed 0 one for independent pixels."""
    data_root()
    train = as_records("mnist", reading=Reading(part="train"))
    test = as_records("mnist", reading=Reading(part="test"))
    preparation = Preparation.fit(train)
    grey = torch.cat([batch.x for batch in preparation.source(test).batches(1000)])
    binary = (torch.rand(grey.shape, generator=torch.Generator().manual_seed(0)) < grey).float()
    if seed == 0:
        means = [batch.x.mean(0) for batch in preparation.source(train).batches(1000)]
        mean = torch.stack(means).mean(0).clamp(1e-4, 1 - 1e-4)
        each = -(binary * mean.log() + (1 - binary) * (1 - mean).log())
        yield Line("independent pixels", "test", "nats", float(each.flatten(1).sum(1).mean()))
    model = urbild.train(system, train, seed=seed, likelihood=Binary(grey="dynamic"), **COMMON, **settings)
    yield Line(system, "test", "nats", nats(model, binary))


def claim(system: str, title: str, budgets: dict[str, dict[str, Any]], *targets: Target) -> Claim:
    """The claim of a system: nats of the test images."""

    def run(seed: int, budget: Budget) -> Iterator[Line]:
        yield from measure(system, budgets[budget], seed)

    return Claim(
        name=f"{system}_mnist",
        title=title,
        protocol=(
            "MNIST, the original files: 60,000 training images, each drawn black or white anew at every visit, white "
            "with the probability that its grey value says; the 10,000 test images by one draw (generator seed 0). "
            "Nats an image. Re-runs by others, of hundreds of epochs: PixelCNN 81.45, gated PixelCNN 81.50 and 82.0."
        ),
        run=run,
        targets=targets,
        budgets={name: {**COMMON, **settings} for name, settings in budgets.items()},
    )
