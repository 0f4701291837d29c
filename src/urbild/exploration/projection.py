"""The codes of given samples, searched by gradient descent on the error of what they decode to."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from urbild.contract import Encodes, Model
from urbild.errors import OptionError
from urbild.exploration.codes import code_shape, continuous, decoded, encoded, like
from urbild.exploration.laws import Law, own_law
from urbild.ops.latent_search import descend

ENCODED = -1
"""The start of a search that began at the encoder's code; others are numbered from 0."""

_TOGETHER = 512  # searches in one batch
_SMALLEST = 1e-3  # unit of a step from a code of zeros


@dataclass(frozen=True, slots=True, kw_only=True)
class Projection:
    """The best codes that were found.

    Attributes:
        z: [N, *code].
        x: [N, *sample] what they decode to.
        error: [N] mean squared error an entry, in units of the prepared data.
        start: [N] the start that it came from.
    """

    z: Tensor
    x: Tensor
    error: Tensor
    start: Tensor


def project(
    model: Model,
    x: Tensor,
    *,
    starts: int = 4,
    steps: int = 300,
    rate: float = 0.1,
    law: Law | None = None,
    encoder: bool = True,
    given: Tensor | None = None,
    seed: int = 0,
    advance: Callable[[int], None] | None = None,
) -> Projection:
    """Searches the codes of samples, each from several starts at once, and keeps the best of each.

    All samples have the same starts, besides the encoder's code of each, and do not know of each other: a batch gives
    what its samples give one by one. The same seed gives the same codes.

    Args:
        model: in evaluation mode.
        x: [N, *sample], as prepared for the model.
        starts: draws of the law that the search begins from.
        steps: of the search.
        rate: of Adam at the beginning, in deviations of the law.
        law: of the draws; by default the model's own prior. Without either, the encoder's code is the only start.
        encoder: whether the encoder's code is a start, where there is one.
        given: [N] classes of the samples, of a model that is conditioned on them.
        seed: of the draws.
        advance: told how many samples are done.

    Raises:
        OptionError: there is no start, no gradient, a number is out of range, or the model decodes no numbers.
    """
    if starts < 0 or steps < 0 or not rate > 0:
        msg = f"starts={starts}, steps={steps}, rate={rate:g}: starts and steps cannot be negative, nor rate 0."
        raise OptionError(msg)
    continuous(model)
    law = law or own_law(model)
    begins = _draws(law, starts, seed)
    numbers = [ENCODED] * (encoder and isinstance(model, Encodes)) + list(range(len(begins)))
    if not numbers:
        msg = f"{type(model).__name__} gives the search nowhere to start: it has no encoder, or none is wanted, and "
        msg += "nothing is drawn; give starts=4, and a law where the model has no prior."
        raise OptionError(msg)
    size = max(1, _TOGETHER // len(numbers))
    found = []
    for start in range(0, len(x), size):
        rows = slice(start, start + size)
        told = None if given is None else given[rows]
        found.append(_searched(model, x[rows], begins, numbers, law, steps=steps, rate=rate, given=told))
        if advance is not None:
            advance(len(found[-1][0]))
    z, error, chosen = (torch.cat(part) for part in zip(*found, strict=True))
    z = z.reshape(-1, *code_shape(model))
    return Projection(z=z, x=decoded(model, z, given=given), error=error, start=chosen)


def _draws(law: Law | None, starts: int, seed: int) -> Tensor:
    """Starts [S, Z], the same for all samples; none without a law."""
    if law is None or not starts:
        return torch.zeros(0, 0)
    return law.draw(starts, generator=torch.Generator().manual_seed(seed))


def _searched(
    model: Model,
    x: Tensor,
    begins: Tensor,
    numbers: list[int],
    law: Law | None,
    *,
    steps: int,
    rate: float,
    given: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """The best codes [N, Z], their errors [N] and starts [N]: one search for all starts of all samples."""
    decoder, shape = continuous(model), code_shape(model)
    first = x.to(like(model))
    from_draws = begins.to(first)[:, None].expand(-1, len(x), -1)  # [S, N, Z]
    parts = [from_draws] if len(begins) else []
    if ENCODED in numbers:
        parts.insert(0, encoded(model, x, given=given).flatten(1)[None])
    z = torch.cat(parts).flatten(0, 1)  # [B N, Z]
    unit = z.square().mean(1, keepdim=True).sqrt().clamp(min=_SMALLEST) if law is None else law.scale.to(z)
    wanted = first.repeat(len(numbers), *[1] * (x.ndim - 1))
    told = None if given is None else given.to(z.device).repeat(len(numbers))

    def decode(codes: Tensor) -> Tensor:
        return decoder.decode(codes.reshape(-1, *shape), given=told)

    bound = None if law is None else law.bound
    best, error = descend(decode, wanted, z, scale=unit.clamp(min=_SMALLEST), steps=steps, rate=rate, bound=bound)
    errors = error.reshape(len(numbers), len(x))
    winner = errors.argmin(0)  # [N]
    rows = torch.arange(len(x), device=z.device)
    chosen = torch.tensor(numbers, device=z.device)[winner]
    return best.reshape(*errors.shape, -1)[winner, rows], errors[winner, rows], chosen
