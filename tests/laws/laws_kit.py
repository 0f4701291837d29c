"""What the laws are tried on: small data of each kind, systems trained on them for a few steps, and their answers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from urbild.catalogue import Card, build, card, cards, decode_options, parameters
from urbild.contract import (
    Batch,
    Classifies,
    Completes,
    DataSpec,
    Decodes,
    Density,
    Encodes,
    Model,
    Reconstructs,
    Samples,
    Scores,
    Source,
    Stage,
    Turn,
)
from urbild.errors import ShapeError
from urbild.training import Plan, fit

N, BATCH, STEPS = 24, 8, 6
CLASSES = ("round", "square", "long")
SPECS: Mapping[str, Sequence[DataSpec]] = {
    "image": (
        DataSpec(shape=(1, 8, 8), kind="image", levels=256, classes=CLASSES),
        DataSpec(shape=(3, 9, 7), kind="image", levels=256, classes=CLASSES),
        DataSpec(shape=(1, 5, 6), kind="image", levels=2, classes=CLASSES),
    ),
    "vector": (
        DataSpec(shape=(12,), kind="vector", classes=CLASSES),
        DataSpec(shape=(5,), kind="vector", classes=CLASSES),
    ),
    "sequence": (
        DataSpec(shape=(7, 5), kind="sequence", classes=CLASSES),
        DataSpec(shape=(24, 1), kind="sequence", rate=8000, classes=("a", "b")),  # sound
    ),
    "video": (DataSpec(shape=(4, 1, 8, 8), kind="video", levels=256),),
}

LARGE = DataSpec(shape=(3, 41, 35), kind="image", levels=256, classes=CLASSES)
"""Too large for dense stock networks: for the systems that may choose between them and convolutions."""

Build = Callable[..., Model]


class Rows(Source):
    """Samples in memory, of all classes in turn."""

    def __init__(self, spec: DataSpec, x: Tensor) -> None:
        self.spec, self.x = spec, x
        self.labels = np.arange(len(x)) % max(1, len(spec.classes))

    def __len__(self) -> int:
        return len(self.x)

    def fetch(self, rows: Sequence[int], *, epoch: int = 0) -> Batch:
        index = torch.as_tensor(list(rows))
        return Batch(x=self.x[index], index=index, y=torch.from_numpy(self.labels)[index])


def samples(spec: DataSpec, n: int = N, *, seed: int = 0) -> Tensor:
    """Samples [n, *shape] of low rank plus noise, in the range and on the levels that the data have."""
    structure = torch.randn(3, spec.size, generator=torch.Generator().manual_seed(99))
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 3, generator=generator) @ structure + 0.3 * torch.randn(n, spec.size, generator=generator)
    x = x.reshape(n, *spec.shape)
    if spec.rate is not None:
        return torch.tanh(x / 4)
    if spec.kind not in ("image", "video"):
        return x / 2
    levels = spec.levels or 256
    return torch.sigmoid(x).mul(levels - 1).round() / (levels - 1)


def source(spec: DataSpec, n: int = N) -> Rows:
    return Rows(spec, samples(spec, n))


def train(model: Model, spec: DataSpec, *, steps: int = STEPS, seed: int = 0, n: int = N, **settings: Any) -> Model:
    fit(model, source(spec, n), Plan(steps=steps, batch=BATCH, seed=seed, precision="32", device="cpu"), **settings)
    return model


@dataclass(frozen=True)
class Case:
    """A system, or a planted one, with data that it takes."""

    name: str
    spec: DataSpec
    options: Mapping[str, Any] = field(default_factory=dict)
    planted: Build | None = None

    def __str__(self) -> str:
        return f"{self.name}-{'x'.join(map(str, self.spec.shape))}"

    def build(self, *, seed: int = 0) -> Model:
        if self.planted is not None:
            with torch.random.fork_rng():
                torch.manual_seed(seed)
                return self.planted(self.spec, **self.options)
        return build(self.name, self.spec, self.options, seed=seed)

    @property
    def card(self) -> Card:
        return card(self.name)

    @property
    def specs(self) -> Sequence[DataSpec]:
        """All data that the system is tried on."""
        return [self.spec] if self.planted else taken(self.name)

    def trained(self) -> Model:
        """The trained system; laws that change it train their own."""
        if self.key not in _TRAINED:
            _TRAINED[self.key] = train(self.build(), self.spec)
        return _TRAINED[self.key]

    @property
    def key(self) -> Any:
        return self.name, self.spec, repr(sorted(self.options.items())), self.planted


_TRAINED: dict[Any, Model] = {}


@cache
def taken(name: str) -> Sequence[DataSpec]:
    """The data that a system takes; one may refuse some of a kind, such as sequences that are not sound."""
    entry, found = card(name), []
    specs = [spec for kind in entry.kinds for spec in SPECS[kind]]
    if "network" in parameters(name) and "image" in entry.kinds:
        specs = [spec for spec in specs if spec.kind != "image"] + [SPECS["image"][0], LARGE]
    for spec in specs:
        try:
            build(entry.name, spec, decode_options(name, entry.small))
        except ShapeError:
            continue
        found.append(spec)
    return found


@cache
def cases(verb: type | None = None) -> tuple[Case, ...]:
    """All systems on all data that they take, or those of a verb."""
    found = [Case(c.name, spec, decode_options(c.name, c.small)) for c in cards().values() for spec in taken(c.name)]
    return tuple(case for case in found if verb is None or isinstance(case.trained(), verb))


def answers(model: Model, x: Tensor) -> dict[str, Tensor]:
    """What a model's verbs say of x; draws follow a generator of a given state."""
    said: dict[str, Tensor] = {}
    with torch.no_grad():
        if isinstance(model, Encodes):
            said["encode"] = model.encode(x)
        if isinstance(model, Encodes) and isinstance(model, Decodes):
            said["decode"] = model.decode(said["encode"])
        if isinstance(model, Reconstructs):
            said["reconstruct"] = model.reconstruct(x)
        if isinstance(model, Density):
            said["log_prob"] = model.log_prob(x).value
            said["log_prob of 3 draws"] = model.log_prob(x, draws=3).value
        if isinstance(model, Classifies):
            said["classify"] = model.classify(x)
        if isinstance(model, Scores):
            anomaly = model.anomaly(x)
            said["score"] = anomaly.score
            if anomaly.map is not None:
                said["map"] = anomaly.map
        if isinstance(model, Completes):
            observed = torch.zeros(len(x), *model.spec.sites, dtype=torch.bool)
            said["complete"] = model.complete(x, observed, generator=torch.Generator().manual_seed(0))
        if isinstance(model, Samples):
            said["sample"] = model.sample(3, generator=torch.Generator().manual_seed(0))
    return said


def rowwise(model: Model, x: Tensor) -> dict[str, Tensor]:
    """The answers of which row i may depend on x[i] alone."""
    return {verb: value for verb, value in answers(model, x).items() if verb not in ("sample", "complete")}


class Part(Model):
    """A model of which some stages are trained."""

    def __init__(self, model: Model, stages: Sequence[Stage]) -> None:
        super().__init__()
        self.model, self.spec = model, model.spec
        here = {f"{stage.name}/{turn.name}" for stage in stages for turn in stage.turns}
        self._part = [replace(stage, turns=[_within(here, turn) for turn in stage.turns]) for stage in stages]

    def stages(self) -> Sequence[Stage]:
        return self._part


def _within(here: set[str], turn: Turn) -> Turn:
    """The turn, which starts anew where the one that it continues is not there."""
    return turn if turn.continues in here else replace(turn, continues=None)


def alone(stage: Stage, number: int) -> Stage:
    """The stage with one of its turns, which is taken at once."""
    turn = replace(stage.turns[number], every=1, continues=None)
    return replace(stage, turns=(turn,), solve=None, average=None)
