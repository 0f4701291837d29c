"""Which game gives the components of a mixture of generators: a value for each system of generator and critic."""

# ruff: noqa: D102 -- the methods are documented at their abstract classes

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from urbild.contract import Batch, DataSpec, Model, Source
from urbild.models.adversarial.bigan import bigan
from urbild.models.adversarial.dcgan import dcgan
from urbild.models.adversarial.gan import gan
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
)
from urbild.nets.moves import ADAM, STEADY, Optimiser, Rhythm
from urbild.nets.pairs import CERTAIN, Encoder
from urbild.nets.priors import NORMAL, UNIFORM, Prior
from urbild.ops.reweighting import systematic_rows

GOLDEN = (5**0.5 - 1) / 2  # its multiples, short of whole numbers, are spread evenly however many are taken


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


def component_for(spec: DataSpec, chosen: Component | None) -> Component:
    """The chosen game, or the usual one for such data."""
    return chosen or (DcganComponent() if spec.kind == "image" else GanComponent())


class Weighted(Source):
    """As many samples as a source has, drawn from it by weight, anew in each epoch.

    Drawing instead of weighing losses suits every game: batch statistics, packs and penalties see the weighted law
    without knowing of weights, and samples of weight 0 cost nothing. A sample is drawn as often as its weight says,
    rounded up or down; under equal weights each is drawn once, in its own place.

    Args:
        source: of all samples.
        weights: [N], which need not sum to 1; empty for equal ones.
    """

    def __init__(self, source: Source, weights: Tensor) -> None:
        self.spec, self._source = source.spec, source
        self._weights = weights.detach().cpu().double() if len(weights) else torch.ones(len(source)).double()
        assert len(self._weights) == len(source)
        self._drawn: tuple[int, np.ndarray] = (-1, np.empty(0, np.int64))
        self.labels = None if source.labels is None else source.labels[self.rows(0)]

    def __len__(self) -> int:
        return len(self._source)

    def rows(self, epoch: int) -> np.ndarray:
        """Rows [N] of the source that stand in for its own in an epoch."""
        if self._drawn[0] != epoch:
            offset = ((epoch + 1) * GOLDEN) % 1.0
            self._drawn = (epoch, systematic_rows(self._weights, offset).numpy())
        return self._drawn[1]

    def fetch(self, rows: Sequence[int], *, epoch: int = 0) -> Batch:
        return self._source.fetch(self._own(epoch, rows), epoch=epoch)

    def stream(self, plan: Iterable[tuple[int, Sequence[int]]]) -> Iterator[Batch]:
        return self._source.stream((epoch, self._own(epoch, rows)) for epoch, rows in plan)

    def _own(self, epoch: int, rows: Sequence[int]) -> list[int]:
        found: list[int] = self.rows(epoch)[np.asarray(rows, dtype=np.int64)].tolist()
        return found
