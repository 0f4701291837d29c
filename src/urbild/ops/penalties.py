"""What penalties of a critic's gradient at its inputs are made of, for each sample, to be differentiated again.

They are computed in float32 whatever the precision of training, for gradients of gradients underflow in less.
"""

from collections.abc import Callable

import torch
from torch import Tensor

Critic = Callable[[Tensor], Tensor]
"""Maps samples [N, *sample] to logits [N], each of its own sample alone."""


def input_gradient(critic: Critic, x: Tensor) -> Tensor:
    """The gradient d f / d x of samples [N, *sample], as a part of the graph: [N, *sample]."""
    with torch.enable_grad(), torch.autocast(x.device.type, enabled=False):
        x = x.detach().to(torch.promote_types(x.dtype, torch.float32)).requires_grad_()
        (gradient,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
    return gradient


def gradient_norm(critic: Critic, x: Tensor) -> Tensor:
    """|d f / d x| of samples [N, *sample]: [N]."""
    norm: Tensor = torch.linalg.vector_norm(input_gradient(critic, x).flatten(1), dim=1)
    return norm


def between(real: Tensor, fake: Tensor, share: Tensor | None = None) -> Tensor:
    """A point on the line from each made sample to a real one: [N, *sample].

    Args:
        real: [N, *sample].
        fake: [N, *sample].
        share: [N] of the real sample, 0 to 1; by default drawn uniformly.
    """
    share = torch.rand(len(real), device=real.device) if share is None else share
    share = share.to(real).reshape(-1, *[1] * (real.dim() - 1))
    return fake + share * (real - fake)
