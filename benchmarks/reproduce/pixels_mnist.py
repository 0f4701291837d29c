"""Exact likelihoods of dynamically binarised MNIST."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

import urbild
from benchmarks.common import data_root
from benchmarks.reproduce import Budget, Claim, Line, Target
from urbild.contract import Density, Model
from urbild.data import Preparation, Reading, Records, as_records
from urbild.nets.symbols import Binary

COMMON: dict[str, Any] = {"batch": 64, "clip": 1.0, "learning_rate": 2e-3}
ROWS = 250
PROTOCOL = (
    "MNIST, the original files: 60,000 training images, each drawn black or white anew at every visit, white with the "
    "probability that its grey value says; the 10,000 test images by one draw (generator seed 0). Nats an image."
)


def nats(model: Model, test: Tensor, given: Tensor | None = None) -> float:
    """Mean negative log-likelihood of binary images [N, 1, H, W], given their classes [N] where it takes them."""
    assert isinstance(model, Density)
    device = next(model.parameters()).device
    classes = [None] * len(test.split(ROWS)) if given is None else given.split(ROWS)
    with torch.no_grad():
        parts = [
            -model.log_prob(x.to(device), given=None if y is None else y.to(device)).value.cpu()
            for x, y in zip(test.split(ROWS), classes, strict=True)
        ]
    return float(torch.cat(parts).mean())


def known() -> tuple[Records, Records]:
    """The training and the test images."""
    data_root()
    return as_records("mnist", reading=Reading(part="train")), as_records("mnist", reading=Reading(part="test"))


def drawn(preparation: Preparation, records: Records) -> Tensor:
    """Images [N, 1, H, W], each pixel drawn once."""
    grey = torch.cat([batch.x for batch in preparation.source(records).batches(1000)])
    return (torch.rand(grey.shape, generator=torch.Generator().manual_seed(0)) < grey).float()


def independent(preparation: Preparation, train: Records, binary: Tensor) -> Line:
    """Of pixels that are white as often as in training, each for itself."""
    means = [batch.x.mean(0) for batch in preparation.source(train).batches(1000)]
    mean = torch.stack(means).mean(0).clamp(1e-4, 1 - 1e-4)
    each = -(binary * mean.log() + (1 - binary) * (1 - mean).log())
    return Line("independent pixels", "test", "nats", float(each.flatten(1).sum(1).mean()))


def fitted(system: str, train: Records, settings: dict[str, Any], seed: int) -> Model:
    """The system, trained on images that are drawn anew at every visit."""
    return urbild.train(system, train, seed=seed, likelihood=Binary(grey="dynamic"), **{**COMMON, **settings})


def measure(system: str, rows: dict[str, dict[str, Any]], seed: int) -> Iterator[Line]:
    """A line for each settings of the system; with seed 0 one for independent pixels."""
    train, test = known()
    preparation = Preparation.fit(train)
    binary = drawn(preparation, test)
    if seed == 0:
        yield independent(preparation, train, binary)
    for name, settings in rows.items():
        yield Line(name, "test", "nats", nats(fitted(system, train, settings, seed), binary))


def claim(system: str, title: str, budgets: dict[str, dict[str, Any]], *targets: Target) -> Claim:
    """The claim of a system: nats of the test images."""

    def run(seed: int, budget: Budget) -> Iterator[Line]:
        yield from measure(system, {system: budgets[budget]}, seed)

    return Claim(
        name=f"{system}_mnist",
        title=title,
        protocol=(
            f"{PROTOCOL} Settings were compared on the last 5,000 training images. Re-runs by others, of hundreds of "
            "epochs: PixelCNN 81.45, gated PixelCNN 81.50 and 82.0."
        ),
        run=run,
        targets=targets,
        budgets={name: {**COMMON, **settings} for name, settings in budgets.items()},
    )
