"""How the gradient passes the choice of a code vector, which has none of its own."""

from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

Estimator: TypeAlias = Literal["straight", "rotation"]
SMALLEST = 1e-6  # of a norm that is divided by


class _Straight(torch.autograd.Function):
    """Forward q, exactly; backward the identity."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, q: Tensor) -> Tensor:  # noqa: ARG004 -- the signature is torch's
        return q.view_as(q)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:  # noqa: ARG004
        return gradients[0], None


class _Rotation(torch.autograd.Function):
    """Forward q, exactly; backward the transpose of the rotation and scaling that takes z to q."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, q: Tensor) -> Tensor:
        ctx.save_for_backward(z, q)
        return q.view_as(q)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        z, q = ctx.saved_tensors
        (gradient,) = gradients
        z_norm, q_norm = z.norm(dim=1, keepdim=True), q.norm(dim=1, keepdim=True)
        z_unit, q_unit = z / z_norm.clamp(min=SMALLEST), q / q_norm.clamp(min=SMALLEST)
        middle = z_unit + q_unit
        middle_norm = middle.norm(dim=1, keepdim=True)
        r = middle / middle_norm.clamp(min=SMALLEST)
        turned = gradient - 2 * r * (r * gradient).sum(1, keepdim=True)
        turned = turned + 2 * z_unit * (q_unit * gradient).sum(1, keepdim=True)
        turned = turned * (q_norm / z_norm.clamp(min=SMALLEST))
        # No rotation is defined from or to the origin, nor between opposite vectors.
        defined = (z_norm > SMALLEST) & (q_norm > SMALLEST) & (middle_norm > SMALLEST)
        return torch.where(defined, turned, gradient), None


def pass_gradient(z: Tensor, q: Tensor, how: Estimator) -> Tensor:
    """The vectors q [M, D], bit for bit, with a gradient to the vectors z [M, D] that they replace.

    "straight" copies the gradient of q. "rotation" multiplies it by lambda R^T, where R turns z into the direction of q
    (by a reflection at their middle and one at q) and lambda = |q| / |z|: angles between a vector and its gradient
    stay, so that points of a cell are pushed apart or together by where they lie in it.

    Source: van den Oord et al. 2017, section 3.2; Fifty et al. 2024, https://arxiv.org/abs/2410.06424, section 4.
    """
    estimator = _Straight if how == "straight" else _Rotation
    passed: Tensor = estimator.apply(z, q.detach())  # type: ignore[no-untyped-call]
    return passed
