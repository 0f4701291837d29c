"""The rules of an adversarial game, as values that are passed to a builder.

They say what the players minimise, what holds the critic's slope, and which habits keep the game stable; `nets.moves`
says who moves when and how fast. `Rules` holds one of each, and `nets.play` makes losses and turns of them.
"""

# ruff: noqa: D102 -- the methods are documented at their abstract classes

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from urbild.nets.moves import ADAM, STEADY, Checked, Optimiser, Rhythm, check_share
from urbild.nets.stock import check_sizes
from urbild.ops import adversarial
from urbild.ops.penalties import Critic, between, gradient_norm


class Objective(Checked, ABC):
    """What the players minimise, of the critic's logits."""

    @abstractmethod
    def critic(self, real: Tensor, fake: Tensor) -> Tensor:
        """Of logits [N] of real and of made samples: [N]."""

    @abstractmethod
    def generator(self, fake: Tensor) -> Tensor:
        """Of logits [N] of made samples: [N]."""

    def belief(self, logits: Tensor) -> Tensor:
        """What the critic says of samples, in its own unit: D(x), a probability, where it has one. [N]."""
        return logits


@dataclass(frozen=True, slots=True)
class Minimax(Objective):
    """Both players share ln D(x) + ln(1 - D(G(z))), whose gradient dies where the critic is sure."""

    def critic(self, real: Tensor, fake: Tensor) -> Tensor:
        return adversarial.logistic_critic(real, fake)

    def generator(self, fake: Tensor) -> Tensor:
        return adversarial.minimax_generator(fake)

    def belief(self, logits: Tensor) -> Tensor:
        return torch.sigmoid(logits)


@dataclass(frozen=True, slots=True)
class NonSaturating(Objective):
    """The critic's cross-entropy; the generator minimises -ln D(G(z)).

    Attributes:
        smoothing: the critic is to answer 1 less this for real samples, and 0 for made ones.
    """

    smoothing: float | None = None

    def check(self) -> None:
        check_share(smoothing=self.smoothing)

    def critic(self, real: Tensor, fake: Tensor) -> Tensor:
        return adversarial.logistic_critic(real, fake, smoothing=self.smoothing or 0.0)

    def generator(self, fake: Tensor) -> Tensor:
        return adversarial.non_saturating_generator(fake)

    def belief(self, logits: Tensor) -> Tensor:
        return torch.sigmoid(logits)


@dataclass(frozen=True, slots=True)
class Wasserstein(Objective):
    """An estimate of the earth mover's distance, right only where a constraint holds the critic's slope."""

    def critic(self, real: Tensor, fake: Tensor) -> Tensor:
        return adversarial.wasserstein_critic(real, fake)

    def generator(self, fake: Tensor) -> Tensor:
        return adversarial.wasserstein_generator(fake)


@dataclass(frozen=True, slots=True)
class Hinge(Objective):
    """The critic learns from samples within its margin alone."""

    def critic(self, real: Tensor, fake: Tensor) -> Tensor:
        return adversarial.hinge_critic(real, fake)

    def generator(self, fake: Tensor) -> Tensor:
        return adversarial.wasserstein_generator(fake)


@dataclass(frozen=True, slots=True)
class LeastSquares(Objective):
    """The critic regresses to 1 for real and 0 for made samples."""

    def critic(self, real: Tensor, fake: Tensor) -> Tensor:
        return adversarial.least_squares_critic(real, fake)

    def generator(self, fake: Tensor) -> Tensor:
        return adversarial.least_squares_generator(fake)


@dataclass(frozen=True, slots=True)
class Penalty:
    """What a constraint adds to the critic's loss.

    Attributes:
        value: [N], weighted.
        norm: [N] of the critic's gradient, where it was penalised.
    """

    value: Tensor
    norm: Tensor


class Constraint(Checked):
    """What holds the critic's slope: nothing, but for what a kind of it overrides."""

    def penalty(self, critic: Critic, real: Tensor, fake: Tensor, step: int) -> Penalty | None:  # noqa: ARG002
        """Added to the loss at a step of the stage, of real and made samples [N, *sample] as the critic sees them."""
        return None

    def after(self, critic: nn.Module) -> Callable[[], None] | None:  # noqa: ARG002
        """What is done to the critic's weights after each of its moves."""
        return None


@dataclass(frozen=True, slots=True)
class Free(Constraint):
    """None."""


@dataclass(frozen=True, slots=True)
class Clipped(Constraint):
    """All weights of the critic within a box (Arjovsky et al. 2017).

    Attributes:
        bound: on the size of a weight.
    """

    bound: float = 0.01

    def check(self) -> None:
        check_sizes(bound=self.bound)

    def after(self, critic: nn.Module) -> Callable[[], None] | None:
        return partial(clip, critic, self.bound)


@dataclass(frozen=True, slots=True)
class GradientPenalty(Constraint):
    """The gradient's norm near a target, on lines between real and made samples (Gulrajani et al. 2017, equation 3).

    Attributes:
        weight: of (norm - target)^2.
        target: of the norm.
    """

    weight: float = 10.0
    target: float = 1.0

    def check(self) -> None:
        check_sizes(weight=self.weight)

    def penalty(self, critic: Critic, real: Tensor, fake: Tensor, step: int) -> Penalty | None:  # noqa: ARG002
        norm = gradient_norm(critic, between(real, fake))
        return Penalty(self.weight * (norm - self.target).square(), norm)


@dataclass(frozen=True, slots=True)
class RealPenalty(Constraint):
    """R1: a flat critic at real samples (Mescheder et al. 2018, equation 9).

    Attributes:
        weight: gamma of gamma/2 |gradient|^2.
        every: steps between penalties, which are the larger for it (Karras et al. 2019).
    """

    weight: float = 10.0
    every: int = 1

    def check(self) -> None:
        check_sizes(weight=self.weight, every=self.every)

    def penalty(self, critic: Critic, real: Tensor, fake: Tensor, step: int) -> Penalty | None:  # noqa: ARG002
        if step % self.every:
            return None
        norm = gradient_norm(critic, real)
        return Penalty(0.5 * self.weight * self.every * norm.square(), norm)


@dataclass(frozen=True, slots=True)
class Habits(Checked):
    """What keeps a game stable.

    Attributes:
        noise: standard deviation of Gaussian noise on real and made samples, on the scale of [-1, 1] for images; it
            falls linearly to 0 (Sonderby et al. 2016).
        packing: samples that the critic judges at once, side by side (PacGAN, Lin et al. 2018).
        average: decay of the moving average of the weights that samples are drawn with.
    """

    noise: float | None = None
    packing: int = 1
    average: float | None = None

    def check(self) -> None:
        check_sizes(noise=self.noise, packing=self.packing)
        check_share(average=self.average)


NON_SATURATING, FREE, HABITS = NonSaturating(), Free(), Habits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules(Checked):
    """The rules of a game.

    Attributes:
        objective: what the players minimise.
        constraint: what holds the critic's slope.
        optimiser: how the players learn.
        rhythm: who moves when.
        habits: what keeps the game stable.
    """

    objective: Objective = NON_SATURATING
    constraint: Constraint = FREE
    optimiser: Optimiser = ADAM
    rhythm: Rhythm = STEADY
    habits: Habits = HABITS

    def check(self) -> None:
        for part in (self.objective, self.constraint, self.optimiser, self.rhythm, self.habits):
            part.check()


def clip(critic: nn.Module, bound: float) -> None:
    """Brings every weight into [-bound, bound]."""
    with torch.no_grad():
        for parameter in critic.parameters():
            parameter.clamp_(-bound, bound)
