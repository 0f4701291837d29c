"""Gated PixelCNN given the class, on dynamically binarised MNIST: its likelihood, and whether its samples are told."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch

import urbild
from benchmarks.reproduce import Budget, Claim, Line, Target
from benchmarks.reproduce.classifier import told
from benchmarks.reproduce.gated_pixelcnn_mnist import CLAIM as UNCONDITIONAL
from benchmarks.reproduce.pixels_mnist import PROTOCOL, drawn, fitted, independent, known, nats
from urbild.contract import Model, Samples
from urbild.data import ArrayRecords, Preparation, Records

ROW = "gated_pixelcnn given the class"
AGREEMENT = "agreement with the judge"
JUDGE: dict[str, dict[str, Any]] = {"cpu": {"epochs": 2, "batch": 128}, "full": {"epochs": 10, "batch": 128}}
SAMPLES = {"cpu": 500, "full": 10_000}
SETTINGS: dict[str, dict[str, Any]] = {
    name: {**settings, "conditional": True} for name, settings in UNCONDITIONAL.budgets.items()
}


def taught(train: Records, preparation: Preparation, budget: Budget, seed: int) -> Model:
    """The judge: it learns binary images, for samples are."""
    assert isinstance(train, ArrayRecords)
    black_or_white = (255 * drawn(preparation, train)).to(torch.uint8).movedim(1, -1).numpy()
    records = replace(train, values=black_or_white, rows=np.arange(len(train)))
    return urbild.train("classifier", records, seed=seed + 100, **JUDGE[budget])


def run(seed: int, budget: Budget) -> Iterator[Line]:
    """Nats given the class, and what a judge takes the samples for."""
    train, test = known()
    preparation = Preparation.fit(train)
    binary = drawn(preparation, test)
    assert test.labels is not None
    if seed == 0:
        yield independent(preparation, train, binary)
    model = fitted("gated_pixelcnn", train, SETTINGS[budget], seed)
    yield Line(ROW, "test", "nats", nats(model, binary, torch.from_numpy(test.labels.astype(np.int64))))
    assert isinstance(model, Samples)
    wanted = torch.arange(SAMPLES[budget]) % len(test.classes)
    generator = torch.Generator().manual_seed(seed)
    device = next(model.parameters()).device
    parts = [model.sample(len(y), given=y.to(device), generator=generator).cpu() for y in wanted.split(250)]
    judge = taught(train, preparation, budget, seed)
    yield Line(ROW, "samples", AGREEMENT, float((told(judge, torch.cat(parts)) == wanted.numpy()).mean()))
    heard = told(judge, binary)
    yield Line("real test images", "samples", AGREEMENT, float((heard == test.labels).mean()))
    shuffled = np.random.default_rng(seed).permutation(test.labels)
    yield Line("shuffled labels", "samples", AGREEMENT, float((heard == shuffled).mean()))


CLAIM = Claim(
    name="conditional_pixelcnn_mnist",
    title="Gated PixelCNN given the class: exact likelihood of binary MNIST",
    protocol=(
        f"{PROTOCOL} Nats are those of a test image given its true label. The network and the updates are those of "
        f'"{UNCONDITIONAL.title}", whose row stands for the same without classes. A re-run by others, 40 epochs: 80.5. '
        "Judge: a `classifier` trained on one binary draw of the training images with another seed; beside its "
        "agreement with the wanted classes of samples (500 at budget cpu, each class as often) stands that with the "
        "true labels of the binary test images."
    ),
    run=run,
    targets=(
        Target(ROW, "test", "nats", 86.8, "gate", most=True),
        Target(ROW, "test", "nats", 80.8, "aim", most=True),
    ),
    budgets={name: {**settings, "judge": JUDGE[name]} for name, settings in SETTINGS.items()},
)
