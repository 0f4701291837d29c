"""How much a KL weighs in the course of training, as values that are passed to a builder.

A weight that begins at 0 lets the decoder learn to use its latent before that costs anything. It helps only while it
lasts: where the decoder can do without, the KL may still fall afterwards.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from urbild.errors import OptionError


class KlWeight(ABC):
    """A weight by the progress of training."""

    @abstractmethod
    def at(self, progress: float) -> float:
        """The weight at a progress of 0 to 1."""

    @abstractmethod
    def check(self) -> None:
        """Refuses fields out of range.

        Raises:
            OptionError: one is.
        """


@dataclass(frozen=True, slots=True)
class Rising(KlWeight):
    """Rises once from 0, and stays.

    Attributes:
        beta: the highest weight; 1 makes the objective a bound.
        warm_up: share of training over which it is reached; 0 begins with it.

    Source: Bowman et al. 2015, Generating sentences from a continuous space, section 3.1.
    """

    beta: float = 1.0
    warm_up: float = 0.1

    def at(self, progress: float) -> float:
        """The weight at a progress of 0 to 1."""
        return self.beta * (min(1.0, progress / self.warm_up) if self.warm_up else 1.0)

    def check(self) -> None:
        """Refuses fields out of range."""
        _check_beta(self.beta)
        if not 0 <= self.warm_up <= 1:
            msg = f"warm_up is a share of training, from 0 to 1, and is {self.warm_up}."
            raise OptionError(msg)


@dataclass(frozen=True, slots=True)
class Cyclic(KlWeight):
    """Rises from 0 in the first half of each cycle, and stays for the other half.

    Attributes:
        beta: the highest weight.
        cycles: of training.

    Source: Fu et al. 2019, Cyclical annealing schedule, equations 6 and 7.
    """

    beta: float = 1.0
    cycles: int = 4

    def at(self, progress: float) -> float:
        """The weight at a progress of 0 to 1."""
        if progress >= 1:
            return self.beta
        return self.beta * min(1.0, 2 * (progress * self.cycles % 1))

    def check(self) -> None:
        """Refuses fields out of range."""
        _check_beta(self.beta)
        if self.cycles < 1:
            msg = f"cycles must be at least 1, and is {self.cycles}."
            raise OptionError(msg)


def _check_beta(beta: float) -> None:
    if not beta > 0:
        msg = f"beta must be positive, and is {beta}."
        raise OptionError(msg)
