"""Search for the latent whose sample is nearest to a given one: gradient descent, all rows at once."""

from collections.abc import Callable
from math import cos, pi

import torch
from torch import Tensor

from urbild.errors import OptionError
from urbild.ops.distances import squared_error


def descend(
    decode: Callable[[Tensor], Tensor],
    x: Tensor,
    z: Tensor,
    *,
    scale: Tensor,
    steps: int,
    rate: float = 0.1,
    bound: float | None = None,
) -> tuple[Tensor, Tensor]:
    """Adam on the squared error of each row, its rate falling to 0 along a half cosine; draws nothing.

    Rows do not know of each other, as Adam works entry by entry and every row has its own error.

    Args:
        decode: latents [N, Z] to samples [N, *sample], differentiable.
        x: [N, *sample] wanted.
        z: [N, Z] where each row begins.
        scale: [Z] or [N, 1], the unit of a step: the deviation of the latents.
        steps: moves; 0 gives the beginnings back.
        rate: of Adam, in units of `scale`.
        bound: latents are kept in [-bound, bound].

    Returns:
        The best latents [N, Z] that were met, and their mean squared error an entry [N].

    Raises:
        OptionError: no gradient passes through `decode`.

    Source: for generators Zhu et al. 2016, Generative Visual Manipulation on the Natural Image Manifold, section 3.1.
    """
    origin = z.detach() if bound is None else z.detach().clamp(-bound, bound)
    u = torch.zeros_like(origin).requires_grad_()
    best, least = origin.clone(), origin.new_full((len(origin),), torch.inf)
    optimiser = torch.optim.Adam([u], lr=rate)
    for step in range(steps + 1):
        with torch.enable_grad():
            point = origin + scale * u
            error = squared_error(x, decode(point))
        closer = error.detach() < least
        best = torch.where(closer[:, None], point.detach(), best)
        least = torch.where(closer, error.detach(), least)
        if step == steps:
            break
        if not error.requires_grad:
            msg = "no gradient passes through this decoder, so no latent can be searched; encode the samples instead."
            raise OptionError(msg)
        (u.grad,) = torch.autograd.grad(error.sum(), u)
        optimiser.param_groups[0]["lr"] = rate * (1 + cos(pi * step / steps)) / 2
        optimiser.step()
        if bound is not None:
            with torch.no_grad():
                u.copy_(((origin + scale * u).clamp(-bound, bound) - origin) / scale)
    return best, least / x[0].numel()
