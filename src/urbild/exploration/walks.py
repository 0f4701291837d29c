"""Walks through a latent space: from code to code, along one entry, along the direction of an attribute.

Each gives lines of samples [N, S, *sample]: S points of each of N walks. Where a model is conditioned on a class,
`given` [N] is the class of each walk.
"""

from collections.abc import Sequence
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from urbild.contract import Model
from urbild.errors import DataError, OptionError
from urbild.exploration.codes import decoded

Curve: TypeAlias = Literal["spherical", "linear"]

_PARALLEL = 1e-6  # sine of the angle below which two directions have no one arc between them


def between(a: Tensor, b: Tensor, at: Tensor, curve: Curve = "spherical") -> Tensor:
    """Points [N, S, *code] between codes a and b [N, *code].

    Args:
        a: where t = 0.
        b: where t = 1.
        at: [S] the values of t.
        curve: "linear", or "spherical": the direction turns evenly while the norm goes linearly from |a| to |b|, so
            that points between draws of a wide normal are as long as draws are. Codes of one direction or of opposite
            ones are joined linearly.

    Source: White 2016, Sampling Generative Networks, https://arxiv.org/abs/1609.04468
    """
    first, last = a.flatten(1).double()[:, None], b.flatten(1).double()[:, None]  # [N, 1, Z]
    t = at.to(first)[None, :, None]  # [1, S, 1]
    of_a, of_b = 1 - t, t
    if curve == "spherical":
        norms = first.norm(dim=2, keepdim=True), last.norm(dim=2, keepdim=True)
        cosine = (first * last).sum(2, keepdim=True) / (norms[0] * norms[1]).clamp(min=1e-300)
        angle = torch.acos(cosine.clamp(-1, 1))
        sine = torch.sin(angle)
        turning = (sine > _PARALLEL) & (norms[0] > 0) & (norms[1] > 0)
        norm = (1 - t) * norms[0] + t * norms[1]
        arc = norm / sine.clamp(min=_PARALLEL)
        of_a = torch.where(turning, torch.sin((1 - t) * angle) * arc / norms[0].clamp(min=1e-300), of_a)
        of_b = torch.where(turning, torch.sin(t * angle) * arc / norms[1].clamp(min=1e-300), of_b)
    points = of_a * first + of_b * last
    return points.to(a).reshape(len(a), len(at), *a.shape[1:])


def interpolate(
    model: Model,
    a: Tensor,
    b: Tensor,
    *,
    steps: int = 9,
    curve: Curve = "spherical",
    given: Tensor | None = None,
) -> Tensor:
    """Samples [N, steps, *sample] on the way from codes a to codes b [N, *code], both ends included.

    Raises:
        OptionError: fewer than 2 steps, or the model decodes no numbers.
    """
    if steps < 2:
        msg = f"a way has two ends, and {steps} steps cannot show them; give at least 2."
        raise OptionError(msg)
    return along(model, between(a, b, torch.linspace(0, 1, steps, dtype=torch.float64), curve), given=given)


def traverse(model: Model, z: Tensor, entry: int, values: Sequence[float], *, given: Tensor | None = None) -> Tensor:
    """Samples [N, S, *sample] of codes [N, *code] whose number `entry` (of the flat code) takes S values in turn.

    Raises:
        OptionError: codes have no such entry, or the model decodes no numbers.
    """
    flat = z.flatten(1)
    if not 0 <= entry < flat.shape[1]:
        msg = f"a code of this model has the entries 0 to {flat.shape[1] - 1}, and no entry {entry}."
        raise OptionError(msg)
    moved = flat[:, None].repeat(1, len(values), 1)
    moved[..., entry] = torch.tensor(list(values)).to(moved)
    return along(model, moved.reshape(len(z), len(values), *z.shape[1:]), given=given)


def attribute(codes: Tensor, labels: Tensor, *, plus: int, minus: int) -> Tensor:
    """The direction [*code] of an attribute: the mean code of one label less that of another.

    Args:
        codes: [N, *code].
        labels: [N] integers.
        plus: label of the samples that have the attribute.
        minus: label of those that have it not.

    Raises:
        DataError: no sample has one of the labels.

    Source: Radford et al. 2015, section 6.3.2, https://arxiv.org/abs/1511.06434; means of classes as in Larsen et al.
    2015, https://arxiv.org/abs/1512.09300
    """
    means = []
    for label in (plus, minus):
        rows = labels.to(codes.device) == label
        if not bool(rows.any()):
            msg = f"no sample has the label {label}, so an attribute has no mean code; give labelled samples of it."
            raise DataError(msg)
        means.append(codes[rows].double().mean(0))
    return (means[0] - means[1]).to(codes)


def shift(
    model: Model, z: Tensor, direction: Tensor, amounts: Sequence[float], *, given: Tensor | None = None
) -> Tensor:
    """Samples [N, S, *sample] of codes [N, *code] to which S multiples of a direction [*code] are added."""
    scaled = torch.stack([amount * direction for amount in amounts]).to(z)  # [S, *code]
    return along(model, z[:, None] + scaled[None], given=given)


def along(model: Model, codes: Tensor, *, given: Tensor | None = None) -> Tensor:
    """Samples [N, S, *sample] of codes [N, S, *code]; `given` [N] is the class of each row."""
    count, steps = codes.shape[:2]
    told = None if given is None else given.repeat_interleave(steps)
    made = decoded(model, codes.flatten(0, 1), given=told)
    return made.reshape(count, steps, *made.shape[1:])
