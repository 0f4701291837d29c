"""Data and training for the facts of single systems."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score
from torch import Tensor

from urbild.contract import Batch, DataSpec, Model, Scores, Source
from urbild.training import Plan, fit

DIGITS = DataSpec(shape=(1, 8, 8), kind="image", levels=17)


class Rows(Source):
    """Samples in memory, that remember which were asked for."""

    def __init__(self, spec: DataSpec, x: Tensor) -> None:
        self.spec, self.x = spec, x
        self.asked: list[list[int]] = []

    def __len__(self) -> int:
        return len(self.x)

    def fetch(self, rows: Sequence[int], *, epoch: int = 0) -> Batch:
        self.asked.append(list(rows))
        index = torch.as_tensor(list(rows))
        return Batch(x=self.x[index], index=index)


def train(model: Model, x: Tensor, *, steps: int = 100, batch: int = 64, **settings: Any) -> Model:
    fit(model, Rows(model.spec, x), Plan(steps=steps, batch=batch, precision="32", device="cpu", **settings))
    return model


def vectors(n: int, size: int, *, rank: int = 3, noise: float = 0.1, seed: int = 0) -> Tensor:
    """Rows [n, size] near a subspace, far from the origin."""
    generator = torch.Generator().manual_seed(seed)
    codes = torch.randn(n, rank, generator=generator) * torch.arange(rank, 0, -1)
    return 2 + codes @ torch.randn(rank, size, generator=generator) + noise * torch.randn(n, size, generator=generator)


def digits() -> tuple[Tensor, "np.ndarray[Any, np.dtype[np.int64]]"]:
    """The digits of scikit-learn: 1,797 images of 8 x 8 in [0, 1], and what they show."""
    x, y = load_digits(return_X_y=True)
    return torch.from_numpy(x / 16).float().reshape(-1, *DIGITS.shape), y


def one_class(digit: int) -> tuple[Tensor, Tensor, "np.ndarray[Any, np.dtype[np.bool_]]"]:
    """Training images of a digit; test images of all digits, and which of them are others."""
    x, y = digits()
    own = np.flatnonzero(y == digit)
    held = np.r_[own[len(own) * 2 // 3 :], np.flatnonzero(y != digit)]
    return x[own[: len(own) * 2 // 3]], x[held], y[held] != digit


def auroc(model: Model, x: Tensor, abnormal: "np.ndarray[Any, np.dtype[np.bool_]]") -> float:
    assert isinstance(model, Scores)
    with torch.no_grad():
        return float(roc_auc_score(abnormal, model.anomaly(x).score))


def brightness_auroc(train: Tensor, x: Tensor, abnormal: "np.ndarray[Any, np.dtype[np.bool_]]") -> float:
    """Of the trivial score: how far the mean brightness is from that of the training images."""
    score = (x.flatten(1).mean(1) - train.mean()).abs()
    return float(roc_auc_score(abnormal, score))
