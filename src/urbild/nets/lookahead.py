"""Looking ahead: a critic's weights after some more moves, as a function of what they are differentiated by.

A look-ahead writes nothing: it moves copies of the weights, each pass through the critic updates copies of its buffers,
and the memory of the critic's optimiser (moments, number of moves, learning rate in force) is read alone. An optimiser
is found by the `Memory` that stood by when the turn made it; where there is none, as before training, the look-ahead is
that of a critic that has not moved yet. A run that goes on from a checkpoint gives its optimisers their memory back
before the first move, so that it looks ahead as one that was never interrupted.
"""

# ruff: noqa: D102 -- the methods are documented at their abstract classes

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias
from weakref import ReferenceType, ref

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.optim import Optimizer

from urbild.contract import NamedParameters
from urbild.errors import OptionError
from urbild.nets import moves
from urbild.nets.moves import Checked
from urbild.nets.stock import check_sizes

Weights: TypeAlias = Mapping[str, Tensor]
Move: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""Of a weight and its gradient: the weight after the move. One of its own for each weight: it counts moves."""

TINY = 1e-30  # of squared gradients: keeps the root's slope finite where a gradient is 0


class Memory:
    """Knows the optimiser that a turn made, for no longer than training holds it."""

    def __init__(self) -> None:
        self._optimiser: ReferenceType[Optimizer] | None = None

    def __reduce__(self) -> tuple[type["Memory"], tuple[()]]:
        return Memory, ()  # a copy of a model is not in training

    def of(self, make: Callable[[NamedParameters], Optimizer]) -> Callable[[NamedParameters], Optimizer]:
        """The same optimiser as `make` makes, known from then on."""

        def made(named: NamedParameters) -> Optimizer:
            optimiser = make(named)
            self._optimiser = ref(optimiser)
            return optimiser

        return made

    @property
    def optimiser(self) -> Optimizer | None:
        """The optimiser, while it is in use."""
        return self._optimiser() if self._optimiser is not None else None


class LookAhead(Checked, ABC):
    """How the critic is taken to go on; `steps` is among its fields."""

    steps: int

    def check(self) -> None:
        if self.steps < 0:
            msg = f"steps counts moves that are looked ahead, and is {self.steps}; give 0 or more."
            raise OptionError(msg)

    def fits(self, optimiser: moves.Optimiser) -> None:
        """Refuses a critic's optimiser that it cannot look through.

        Raises:
            OptionError: it cannot.
        """

    @abstractmethod
    def moves(self, optimiser: Optimizer, parameters: Mapping[str, nn.Parameter]) -> Mapping[str, Move]:
        """A move for each of the optimiser's parameters, from where it stands."""

    def weights(
        self, optimiser: Optimizer, parameters: Mapping[str, nn.Parameter], loss: Callable[[Weights], Tensor]
    ) -> Weights:
        """The weights after `steps` moves that minimise `loss`, as functions of all that the loss depends on."""
        move = self.moves(optimiser, parameters)
        now: dict[str, Tensor] = {name: p.detach().clone().requires_grad_() for name, p in parameters.items()}
        for _ in range(self.steps):
            slopes = torch.autograd.grad(loss(now), list(now.values()), create_graph=True)
            now = {name: move[name](now[name], slope) for name, slope in zip(now, slopes, strict=True)}
        return now


@dataclass(frozen=True, slots=True)
class OwnSteps(LookAhead):
    """By its own optimiser, Adam or RMSProp, with the moments and the learning rate that it has at that moment.

    Attributes:
        steps: moves that are looked ahead.
    """

    steps: int = 5

    def fits(self, optimiser: moves.Optimiser) -> None:
        made = optimiser.of(generator=False)([("weight", nn.Parameter(torch.zeros(1)))])
        if not isinstance(made, torch.optim.Adam | torch.optim.RMSprop):
            msg = f"OwnSteps looks through Adam and RmsProp, not {type(optimiser).__name__}; take GradientSteps()."
            raise OptionError(msg)

    def moves(self, optimiser: Optimizer, parameters: Mapping[str, nn.Parameter]) -> Mapping[str, Move]:
        group = {id(p): group for group in optimiser.param_groups for p in group["params"]}
        kind = _AdamMove if isinstance(optimiser, torch.optim.Adam) else _RmsMove
        return {name: kind(group[id(p)], optimiser.state.get(p, {})) for name, p in parameters.items()}


@dataclass(frozen=True, slots=True)
class GradientSteps(LookAhead):
    """By plain gradient descent.

    Attributes:
        steps: moves that are looked ahead.
        rate: their learning rate.
    """

    steps: int = 5
    rate: float = 0.1

    def check(self) -> None:
        LookAhead.check(self)
        check_sizes(rate=self.rate)

    def moves(self, optimiser: Optimizer, parameters: Mapping[str, nn.Parameter]) -> Mapping[str, Move]:  # noqa: ARG002
        return dict.fromkeys(parameters, lambda weight, slope: weight - self.rate * slope)


class _AdamMove:
    """Kingma and Ba 2014, https://arxiv.org/abs/1412.6980, algorithm 1."""

    def __init__(self, group: Mapping[str, Any], memory: Mapping[str, Any]) -> None:
        self._group, self._count = group, float(memory.get("step", 0.0))
        self._first: Tensor | float = memory.get("exp_avg", 0.0)
        self._second: Tensor | float = memory.get("exp_avg_sq", 0.0)

    def __call__(self, weight: Tensor, slope: Tensor) -> Tensor:
        beta, gamma = self._group["betas"]
        self._count += 1
        self._first = beta * self._first + (1 - beta) * slope
        self._second = second = gamma * self._second + (1 - gamma) * slope.square()
        root = (second.clamp(min=TINY) / (1 - gamma**self._count)).sqrt()
        rate, smallest = float(self._group["lr"]) / (1 - beta**self._count), float(self._group["eps"])
        moved: Tensor = weight - rate * self._first / (root + smallest)
        return moved


class _RmsMove:
    def __init__(self, group: Mapping[str, Any], memory: Mapping[str, Any]) -> None:
        self._group = group
        self._second: Tensor | float = memory.get("square_avg", 0.0)

    def __call__(self, weight: Tensor, slope: Tensor) -> Tensor:
        alpha = float(self._group["alpha"])
        self._second = second = alpha * self._second + (1 - alpha) * slope.square()
        rate, smallest = float(self._group["lr"]), float(self._group["eps"])
        return weight - rate * slope / (second.clamp(min=TINY).sqrt() + smallest)


def seen_by(critic: nn.Module, weights: Weights) -> Callable[[Tensor], Tensor]:
    """The critic with other weights; its buffers, running statistics among them, stay as they are."""

    def judge(x: Tensor) -> Tensor:
        buffers = {name: buffer.clone() for name, buffer in critic.named_buffers()}
        logits: Tensor = functional_call(critic, {**weights, **buffers}, (x,))
        return logits

    return judge
