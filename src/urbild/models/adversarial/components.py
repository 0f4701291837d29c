"""Which game gives the components of a mixture of generators: a value for each system of generator and critic."""

# ruff: noqa: D102 -- the methods are documented at their abstract classes

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from urbild.contract import DataSpec, Model
from urbild.errors import ShapeError
from urbild.models.adversarial.bigan import bigan
from urbild.models.adversarial.dcgan import dcgan
from urbild.models.adversarial.gan import gan
from urbild.models.adversarial.growing import GROWN, Schedule
from urbild.models.adversarial.minibatch_discrimination_gan import (
    SMOOTHED,
    TECHNIQUES,
    Techniques,
    minibatch_discrimination_gan,
)
from urbild.models.adversarial.progressive_gan import AVERAGED, QUICK_ADAM, progressive_gan
from urbild.models.adversarial.progressive_gan import PENALTY as GROWING_PENALTY
from urbild.models.adversarial.unrolled_gan import FIVE as FIVE_AHEAD
from urbild.models.adversarial.unrolled_gan import MINIMAX, SLOW_CRITIC, TANH, unrolled_gan
from urbild.models.adversarial.veegan import veegan
from urbild.models.adversarial.wgan import CLIPPED, RMS_PROP, WARM_UP, wgan
from urbild.models.adversarial.wgan_gp import FIVE, PENALTY, SLOW_ADAM, wgan_gp
from urbild.nets.adversaries import DENSE, LEAKY, PYRAMID, Architecture
from urbild.nets.games import (
    FREE,
    HABITS,
    NON_SATURATING,
    Clipped,
    Constraint,
    GradientPenalty,
    Habits,
    Objective,
    RealPenalty,
)
from urbild.nets.lookahead import LookAhead
from urbild.nets.moves import ADAM, STEADY, Optimiser, Rhythm
from urbild.nets.pairs import CERTAIN, Encoder
from urbild.nets.priors import NORMAL, UNIFORM, Prior


class Component(ABC):
    """A choice of game; its fields are the options of the system of that name.

    Attributes:
        system: its name in the catalogue.
    """

    system: ClassVar[str]

    @abstractmethod
    def build(self, spec: DataSpec) -> Model:
        """The model, which is `Samples` and knows no classes."""

    def _options(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class GanComponent(Component):
    """GAN: see `gan` for the fields."""

    system: ClassVar[str] = "gan"

    prior: Prior = NORMAL
    objective: Objective = NON_SATURATING
    constraint: Constraint = FREE
    generator: Architecture = DENSE
    critic: Architecture = LEAKY
    optimiser: Optimiser = ADAM
    rhythm: Rhythm = STEADY
    habits: Habits = HABITS

    def build(self, spec: DataSpec) -> Model:
        return gan(spec, **self._options())


@dataclass(frozen=True, slots=True)
class DcganComponent(Component):
    """DCGAN: see `dcgan` for the fields."""

    system: ClassVar[str] = "dcgan"

    prior: Prior = UNIFORM
    objective: Objective = NON_SATURATING
    constraint: Constraint = FREE
    generator: Architecture = PYRAMID
    critic: Architecture = PYRAMID
    optimiser: Optimiser = ADAM
    rhythm: Rhythm = STEADY
    habits: Habits = HABITS

    def build(self, spec: DataSpec) -> Model:
        return dcgan(spec, **self._options())


@dataclass(frozen=True, slots=True)
class WganComponent(Component):
    """WGAN: see `wgan` for the fields."""

    system: ClassVar[str] = "wgan"

    prior: Prior = NORMAL
    constraint: Clipped = CLIPPED
    generator: Architecture | None = None
    critic: Architecture | None = None
    optimiser: Optimiser = RMS_PROP
    rhythm: Rhythm = WARM_UP
    habits: Habits = HABITS

    def build(self, spec: DataSpec) -> Model:
        return wgan(spec, **self._options())


@dataclass(frozen=True, slots=True)
class WganGpComponent(Component):
    """WGAN-GP: see `wgan_gp` for the fields."""

    system: ClassVar[str] = "wgan_gp"

    prior: Prior = NORMAL
    constraint: GradientPenalty = PENALTY
    generator: Architecture | None = None
    critic: Architecture | None = None
    optimiser: Optimiser = SLOW_ADAM
    rhythm: Rhythm = FIVE
    habits: Habits = HABITS

    def build(self, spec: DataSpec) -> Model:
        return wgan_gp(spec, **self._options())


@dataclass(frozen=True, slots=True)
class VeeganComponent(Component):
    """VEEGAN: see `veegan` for the fields."""

    system: ClassVar[str] = "veegan"

    prior: Prior = NORMAL
    constraint: Constraint = FREE
    generator: Architecture | None = None
    reconstructor: Architecture | None = None
    critic: Architecture | None = None
    optimiser: Optimiser = ADAM
    rhythm: Rhythm = STEADY
    habits: Habits = HABITS

    def build(self, spec: DataSpec) -> Model:
        return veegan(spec, **self._options())


@dataclass(frozen=True, slots=True)
class BiganComponent(Component):
    """BiGAN: see `bigan` for the fields."""

    system: ClassVar[str] = "bigan"

    prior: Prior = UNIFORM
    constraint: Constraint = FREE
    generator: Architecture | None = None
    encoder: Encoder = CERTAIN
    critic: Architecture | None = None
    optimiser: Optimiser = ADAM
    rhythm: Rhythm = STEADY
    habits: Habits = HABITS

    def build(self, spec: DataSpec) -> Model:
        return bigan(spec, **self._options())


@dataclass(frozen=True, slots=True)
class UnrolledComponent(Component):
    """Unrolled GAN, which the authors of AdaGAN mix: see `unrolled_gan` for the fields."""

    system: ClassVar[str] = "unrolled_gan"

    prior: Prior = NORMAL
    objective: Objective = MINIMAX
    lookahead: LookAhead = FIVE_AHEAD
    generator: Architecture = TANH
    critic: Architecture = TANH
    optimiser: Optimiser = SLOW_CRITIC
    rhythm: Rhythm = STEADY
    habits: Habits = HABITS

    def build(self, spec: DataSpec) -> Model:
        return unrolled_gan(spec, **self._options())


@dataclass(frozen=True, slots=True)
class MinibatchComponent(Component):
    """Minibatch discrimination and its kin: see `minibatch_discrimination_gan` for the fields."""

    system: ClassVar[str] = "minibatch_discrimination_gan"

    prior: Prior = NORMAL
    objective: Objective = SMOOTHED
    techniques: Techniques = TECHNIQUES
    generator: Architecture | None = None
    critic: Architecture | None = None
    optimiser: Optimiser = ADAM
    rhythm: Rhythm = STEADY
    habits: Habits = HABITS

    def build(self, spec: DataSpec) -> Model:
        return minibatch_discrimination_gan(spec, **self._options())


@dataclass(frozen=True, slots=True)
class ProgressiveComponent(Component):
    """Progressive GAN, of images: see `progressive_gan` for the fields."""

    system: ClassVar[str] = "progressive_gan"

    prior: Prior = NORMAL
    width: int = 128
    schedule: Schedule = GROWN
    constraint: GradientPenalty | RealPenalty = GROWING_PENALTY
    drift: float = 0.001
    optimiser: Optimiser = QUICK_ADAM
    rhythm: Rhythm = STEADY
    habits: Habits = AVERAGED

    def build(self, spec: DataSpec) -> Model:
        if spec.kind != "image":
            msg = f"ProgressiveComponent grows images, and {spec.kind} data are none; take GanComponent()."
            raise ShapeError(msg)
        return progressive_gan(spec, **self._options())


def component_for(spec: DataSpec, chosen: Component | None) -> Component:
    """The chosen game, or the usual one for such data."""
    return chosen or (DcganComponent() if spec.kind == "image" else GanComponent())
