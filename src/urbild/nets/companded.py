"""What models of companded sound share: crops, classes told or mixed over, and codes drawn one after the other."""

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from urbild.contract import Batch, Source
from urbild.errors import OptionError

CROP = 8000  # samples of sound that a loss sees of a longer one
AT_ONCE = 1 << 16  # samples of sound that are scored in one pass: bounds the memory of activations


class Columns(Protocol):
    """An autoregressive network that gives one column of logits a step."""

    def logits(self) -> Tensor:
        """Logits [N, K] of the next symbol."""
        ...

    def push(self, symbols: Tensor) -> None:
        """Tells which symbols [N] came."""
        ...


def crop(batch: Batch, length: int) -> Batch:
    """Of each longer sound [N, T, 1] a part of that length, at random within what the mask [N, T] says is sound."""
    if batch.x.shape[1] <= length:
        return batch
    valid = batch.x.new_ones(batch.x.shape[:2], dtype=torch.bool) if batch.mask is None else batch.mask
    room = (valid.sum(1) - length).clamp(min=0) + 1  # [N] places where a crop may start
    start = (torch.rand(len(batch), device=room.device) * room).long().clamp(max=room - 1)
    at = start[:, None] + torch.arange(length, device=room.device)  # [N, length]
    return replace(batch, x=batch.x.gather(1, at[..., None]), mask=valid.gather(1, at))


def mean_of_valid(values: Tensor, valid: Tensor) -> Tensor:
    """Mean [N] of each row of values [N, T] where `valid` [N, T]; 0 of a row that is nowhere valid."""
    weight = valid.to(values)
    return (values * weight).sum(1) / weight.sum(1).clamp(min=1)


def draw(logits: Tensor, uniform: Tensor, temperature: float) -> Tensor:
    """Symbols [N] from logits [N, K], by inverting their distribution function at `uniform` [N] in [0, 1)."""
    reached = (logits if temperature == 1 else logits / temperature).softmax(1).cumsum(1)
    target = uniform.to(reached)[:, None] * reached[:, -1:]
    return torch.searchsorted(reached, target, right=True)[:, 0].clamp_(max=logits.shape[1] - 1)


def generate(columns: Columns, length: int, choose: Callable[[int, Tensor], Tensor]) -> Tensor:
    """Symbols int64 [N, length], one after the other: `choose` names those [N] of a step by its logits [N, K]."""
    made = []
    for t in range(length):
        symbols = choose(t, columns.logits())
        columns.push(symbols)
        made.append(symbols)
    return torch.stack(made, dim=1)


def classes_in(batch: Batch) -> Tensor:
    """Classes [N] of a batch from a source that is `labelled`."""
    found = batch.given if batch.given is not None else batch.y
    assert found is not None  # `labelled` made sure
    return found


def counted(source: Source, classes: int) -> Tensor:
    """How many samples of a `labelled` source each class has: int64 [classes]."""
    assert source.labels is not None  # `labelled` made sure
    return torch.from_numpy(np.bincount(source.labels, minlength=classes))


def log_prior(counts: Tensor) -> Tensor:
    """Log-probabilities of the classes [classes] as in training, by their counts; before it, all alike. Float64."""
    counts = counts.double() if counts.any() else torch.ones_like(counts, dtype=torch.float64)
    return (counts / counts.sum()).log()


def mixture(each: Tensor, prior: Tensor) -> Tensor:
    """Values ln p(class, codes up to t) [classes, N, T] of the nats of each code given its class [classes, N, T]."""
    return prior[:, None, None] - each.double().cumsum(2)


def mixed(joint: Tensor) -> Tensor:
    """Nats [N, T] of each code given those before it where the class is not known: by Bayes' rule, exact.

    Args:
        joint: what `mixture` gave.
    """
    so_far = joint.logsumexp(0)  # [N, T] ln p(codes up to t)
    return -so_far.diff(dim=1, prepend=torch.zeros_like(so_far[:, :1]))


def checked_classes(given: Tensor | None, n: int, counts: Tensor, names: tuple[str, ...], system: str) -> Tensor | None:
    """Classes [n] that a model knows, or None where none is given.

    Raises:
        OptionError: a class is unknown or was never seen in training, or the model knows no classes.
    """
    if given is None:
        return None
    if not len(counts):
        msg = f"this {system} was trained without classes, so none can be given; train it with conditional=True."
        raise OptionError(msg)
    classes = given.to(counts).reshape(-1).expand(n)
    if n and not 0 <= int(classes.min()) <= int(classes.max()) < len(counts):
        msg = f"given holds a class beyond 0 to {len(counts) - 1}: {', '.join(names)}."
        raise OptionError(msg)
    never = classes[counts[classes] == 0] if counts.any() else classes[:0]
    if len(never):
        msg = f"class {names[int(never[0])]!r} had no sample in training, so it cannot be given."
        raise OptionError(msg)
    return classes
