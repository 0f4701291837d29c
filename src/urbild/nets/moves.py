"""Who moves when in an adversarial game, and how fast, as values that are passed to a builder."""

# ruff: noqa: D102 -- the methods are documented at their abstract classes

from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch.optim import Optimizer

from urbild.contract import NamedParameters, adam, constant
from urbild.errors import OptionError
from urbild.nets.stock import check_sizes


class Checked:
    """A part that knows which of its numbers make sense."""

    def check(self) -> None:
        """Refuses numbers out of range.

        Raises:
            OptionError: one is.
        """


class Optimiser(Checked, ABC):
    """How both players learn, each at a rate of its own (TTUR, Heusel et al. 2017); `linear` is among its fields."""

    linear: bool

    @abstractmethod
    def of(self, *, generator: bool) -> Callable[[NamedParameters], Optimizer]:
        """The generator's optimiser, or the critic's."""

    @property
    def rate(self) -> Callable[[float], float]:
        """The factor of the learning rates at a progress of the stage."""
        return late_linear if self.linear else constant


@dataclass(frozen=True, slots=True)
class Adam(Optimiser):
    """Adam.

    Attributes:
        generator: its learning rate.
        critic: its learning rate.
        momentum: beta 1.
        memory: beta 2.
        linear: whether the rates fall linearly to 0 over the second half.
    """

    generator: float = 2e-4
    critic: float = 2e-4
    momentum: float = 0.5
    memory: float = 0.999
    linear: bool = False

    def check(self) -> None:
        check_sizes(generator=self.generator, critic=self.critic)
        check_share(momentum=self.momentum, memory=self.memory)

    def of(self, *, generator: bool) -> Callable[[NamedParameters], Optimizer]:
        return adam(self.generator if generator else self.critic, betas=(self.momentum, self.memory))


@dataclass(frozen=True, slots=True)
class RmsProp(Optimiser):
    """RMSProp, without momentum.

    Attributes:
        generator: its learning rate.
        critic: its learning rate.
        memory: of squared gradients, as a decay.
        linear: whether the rates fall linearly to 0 over the second half.
    """

    generator: float = 5e-5
    critic: float = 5e-5
    memory: float = 0.99
    linear: bool = False

    def check(self) -> None:
        check_sizes(generator=self.generator, critic=self.critic)
        check_share(memory=self.memory)

    def of(self, *, generator: bool) -> Callable[[NamedParameters], Optimizer]:
        return partial(_rms_prop, lr=self.generator if generator else self.critic, alpha=self.memory)


def _rms_prop(named: NamedParameters, **settings: float) -> Optimizer:
    return torch.optim.RMSprop([parameter for _, parameter in named], **settings)  # type: ignore[arg-type]


def late_linear(progress: float) -> float:
    """1 in the first half, then linearly to 0."""
    return min(1.0, 2 * (1 - progress))


class Rhythm(Checked, ABC):
    """When the generator moves; the critic moves at every step."""

    @abstractmethod
    def due(self, step: int) -> bool:
        """Whether it moves at a step of the stage, from 0."""


@dataclass(frozen=True, slots=True)
class Steady(Rhythm):
    """After every so many moves of the critic.

    Attributes:
        critic: its moves for each of the generator's.
    """

    critic: int = 1

    def check(self) -> None:
        check_sizes(critic=self.critic)

    def due(self, step: int) -> bool:
        return (step + 1) % self.critic == 0


@dataclass(frozen=True, slots=True)
class WarmUp(Rhythm):
    """After so many moves of the critic, but after more of them at first and now and then.

    Attributes:
        critic: its moves for each of the generator's.
        long: its moves at first and now and then.
        first: moves of the generator that are preceded by `long`.
        again: of the generator's moves, from 0, each whose number this divides is preceded by `long`; 0 for none.
    """

    critic: int
    long: int
    first: int
    again: int

    def check(self) -> None:
        check_sizes(critic=self.critic, long=self.long)
        if self.first < 0 or self.again < 0:
            msg = (
                f"first and again count moves of the generator, and are {self.first} and {self.again}; give 0 or more."
            )
            raise OptionError(msg)

    def due(self, step: int) -> bool:
        number = bisect_left(range(step + 1), step + 1, key=self._moves)
        return number <= step and self._moves(number) == step + 1

    def _moves(self, number: int) -> int:
        """Moves of the critic up to the generator's move of that number, from 0."""
        long = min(number + 1, self.first)
        if self.again and number >= self.first:
            long += number // self.again - (self.first - 1) // self.again
        return self.critic * (number + 1) + (self.long - self.critic) * long


def check_share(**shares: float | None) -> None:
    """Refuses what is not in [0, 1); None stands for none.

    Raises:
        OptionError: one is not.
    """
    for name, value in shares.items():
        if value is not None and not 0 <= value < 1:
            msg = f"{name} must be at least 0 and below 1, and is {value}."
            raise OptionError(msg)


ADAM, STEADY = Adam(), Steady()
