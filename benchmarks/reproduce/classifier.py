"""The judge of wanted labels: its own accuracy, which stands beside every number that it judges."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

import urbild
from benchmarks.reproduce import Budget, Claim, Line, Target
from urbild.contract import Classifies, Model
from urbild.data import Preparation, Reading, as_records

SETTINGS: dict[str, dict[str, dict[str, Any]]] = {
    "cpu": {"mnist": {"epochs": 6, "batch": 128}, "fashion_mnist": {"epochs": 10, "batch": 128}},
    "full": {"mnist": {"epochs": 12, "batch": 128}, "fashion_mnist": {"epochs": 30, "batch": 128}},
}


def told(model: Model, images: torch.Tensor) -> np.ndarray:
    """Classes [N] that a classifier names for prepared images."""
    assert isinstance(model, Classifies)
    device = next(model.parameters()).device
    with torch.no_grad():
        return torch.cat([model.classify(part.to(device)).argmax(1).cpu() for part in images.split(500)]).numpy()


def nearest_mean(x: torch.Tensor, y: np.ndarray, fresh: torch.Tensor) -> np.ndarray:
    """The floor: the class [N] whose mean training image is nearest."""
    means = torch.stack([x[torch.from_numpy(y == label)].mean(0) for label in range(int(y.max()) + 1)])
    return torch.cdist(fresh.flatten(1), means.flatten(1)).argmin(1).numpy()


def lines(system: str, data: str, found: np.ndarray, truth: np.ndarray) -> Iterator[Line]:
    """The accuracy, and that of the class that is told worst."""
    right = found == truth
    each = [float(right[truth == label].mean()) for label in np.unique(truth)]
    yield Line(system, data, "accuracy", float(right.mean()))
    yield Line(system, data, "accuracy of the worst class", min(each))


def run(seed: int, budget: Budget) -> Iterator[Line]:
    """Two lines for each data set; with seed 0 those of the floor as well."""
    for data, settings in SETTINGS[budget].items():
        train, test = (as_records(data, reading=Reading(part=part)) for part in ("train", "test"))
        preparation = Preparation.fit(train)
        fresh = torch.cat([batch.x for batch in preparation.source(test).batches(1000)])
        assert train.labels is not None
        assert test.labels is not None
        if seed == 0:
            x = torch.cat([batch.x for batch in preparation.source(train).batches(1000)])
            yield from lines("nearest class mean", data, nearest_mean(x, train.labels, fresh), test.labels)
        model = urbild.train("classifier", train, seed=seed, **settings)
        yield from lines("classifier", data, told(model, fresh), test.labels)


CLAIM = Claim(
    name="classifier",
    title="The judge of wanted labels",
    protocol=(
        "MNIST and Fashion-MNIST (original files), standard split: trained on all 60,000 training images without "
        "augmentation for a fixed budget, last weights; accuracy on all 10,000 test images. Small networks of others: "
        "99.2 to 99.4 % and 91.6 to 92.5 %. The floor draws nothing: seed 0 only."
    ),
    seeds=(0, 1),
    run=run,
    targets=(
        Target("classifier", "mnist", "accuracy", 0.992, "aim"),
        Target("classifier", "fashion_mnist", "accuracy", 0.92, "aim"),
    ),
    budgets=SETTINGS,
)
