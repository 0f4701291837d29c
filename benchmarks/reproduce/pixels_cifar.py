"""Exact likelihoods of CIFAR-10, beside independent pixels and lossless compression."""

from collections.abc import Iterable, Iterator
from math import log
from typing import Any

import torch
from torch import Tensor

import urbild
from benchmarks.common import data_root
from benchmarks.reproduce import Budget, Claim, Line, Target
from urbild.contract import Density, Model, Source
from urbild.data import Preparation, Reading, as_records
from urbild.ops.complexity import compressed_bits, symbols_of

LEVELS = 256
METRIC = "bits per dimension"
COMMON: dict[str, Any] = {"clip": 1.0, "learning_rate": 2e-3}
SETTINGS: dict[str, dict[str, Any]] = {
    "cpu": {
        "gated_pixelcnn": {"layers": 5, "width": 32, "batch": 16, "steps": 2_300},
        "pixelcnn_pp": {"blocks": 1, "width": 32, "dropout": 0.0, "batch": 16, "steps": 2_300},
    },
    "full": {
        "gated_pixelcnn": {"layers": 10, "width": 128, "batch": 64, "steps": 3_000},
        "pixelcnn_pp": {"blocks": 3, "width": 96, "dropout": 0.1, "batch": 64, "steps": 3_000},
    },
}


def bits(model: Model, images: Iterable[Tensor]) -> float:
    """Mean bits per dimension of images."""
    assert isinstance(model, Density)
    device = next(model.parameters()).device
    with torch.no_grad():
        parts = [-model.log_prob(part.to(device)).value.cpu() for x in images for part in x.split(50)]
    return float(torch.cat(parts).double().mean()) / (model.spec.size * log(2))


def independent_bits(train: Iterable[Tensor], images: list[Tensor]) -> float:
    """Those of a histogram for each channel and place, counted from one."""
    places = images[0][0].numel()
    bins = torch.arange(places) * LEVELS  # the first of each place

    def binned(x: Tensor) -> Tensor:
        return symbols_of(x, LEVELS).flatten(1) + bins

    counts = torch.ones(places * LEVELS, dtype=torch.long)
    for x in train:
        counts += torch.bincount(binned(x).flatten(), minlength=len(counts))
    shares = counts.view(places, LEVELS).double()
    costs = -torch.log2(shares / shares.sum(1, keepdim=True)).flatten()
    return float(torch.cat([costs[binned(x)].mean(1) for x in images]).mean())


def floors(train: Source, images: list[Tensor]) -> Iterator[Line]:
    """What likelihoods are held against."""
    seen = (batch.x for batch in train.batches(1000))
    yield Line("independent pixels", "test", METRIC, independent_bits(seen, images))
    size = torch.cat([compressed_bits(x, LEVELS) for x in images]).double().mean() / images[0][0].numel()
    yield Line("lossless compression", "test", METRIC, float(size), "the smallest of several forms, no headers")


def run(seed: int, budget: Budget) -> Iterator[Line]:
    """A line for each system; with seed 0 one for each of what they are held against."""
    data_root()
    train = as_records("cifar10", reading=Reading(part="train"))
    test = as_records("cifar10", reading=Reading(part="test"))
    preparation = Preparation.fit(train)
    images = [batch.x for batch in preparation.source(test).batches(1000)]
    if seed == 0:
        yield from floors(preparation.source(train), images)
    for system, settings in SETTINGS[budget].items():
        model = urbild.train(system, train, seed=seed, **COMMON, **settings)
        yield Line(system, "test", METRIC, bits(model, images))


CLAIM = Claim(
    name="pixels_cifar",
    title="Gated PixelCNN and PixelCNN++ on CIFAR-10",
    protocol=(
        "CIFAR-10: trained on the first 20,000 training images (the papers: all 50,000, for days on several GPUs), "
        "last weights; bits per dimension of all 10,000 test images, 8-bit symbols, exact. At budget cpu each system "
        "takes 2,300 updates of 16 images, fewer than two visits to each. The papers: gated PixelCNN 3.03, PixelCNN++ "
        "2.92. Beside them: independent pixels, a histogram for each channel and place (training counts, and one for "
        "each level), and the bits of the smallest of several lossless forms of each image (the filters of PNG, then "
        "Deflate, bzip2 or LZMA), without headers. The floors draw nothing: seed 0 only."
    ),
    run=run,
    targets=(
        Target("gated_pixelcnn", "test", METRIC, 3.03, "aim", most=True),
        Target("pixelcnn_pp", "test", METRIC, 2.92, "aim", most=True),
    ),
    budgets={name: {**COMMON, **settings} for name, settings in SETTINGS.items()},
)
