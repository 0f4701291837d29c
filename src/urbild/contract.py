"""The contract: a model is trained in stages, players take turns in a stage, and verbs say what it can do.

Shape letters used throughout: N samples, C channels, H W sites, T time, D columns or code size, Z latent, K codes.

A `Model` lists its `Stage`s. In a stage either players take `Turn`s, each minimising its own loss over its own modules,
or a solver reads the data once and sets what has a closed form. What the trained model can do, it says by the verbs it
inherits: callers ask `isinstance(model, Samples)`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from math import prod
from typing import Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

Losses: TypeAlias = Mapping[str, Tensor]
"""Scalars by name; "loss" is minimised, the other entries are logged."""

NamedParameters: TypeAlias = Iterable[tuple[str, nn.Parameter]]
Kind: TypeAlias = Literal["vector", "image", "sequence", "video"]

NORMAL, ABNORMAL, UNLABELLED = 0, 1, -1


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSpec:
    """What one prepared sample looks like; all that a builder may know of the data.

    Attributes:
        shape: of one sample: (D,) vector, (C, H, W) image, (T, D) sequence, (T, C, H, W) video.
        kind: which of the four.
        levels: number of distinct values that a channel had before it was scaled (256 for 8-bit images), or None.
        classes: names of the labels, by label.
        columns: for vectors, the name of the column that each entry came from (one-hot entries repeat it).
        rate: of sound, a sequence (T, 1) in [-1, 1]: values a second; else None.
    """

    shape: tuple[int, ...]
    kind: Kind
    levels: int | None = None
    classes: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    rate: int | None = None

    @property
    def size(self) -> int:
        """Number of entries of one sample."""
        return prod(self.shape)

    @property
    def channels(self) -> int:
        """C of an image or video, D of a vector or sequence."""
        return self.shape[-3] if self.kind in ("image", "video") else self.shape[-1]

    @property
    def sites(self) -> tuple[int, ...]:
        """Shape of one anomaly map: (H, W), (T, H, W), (T,), or (D,) for a vector."""
        match self.kind:
            case "image":
                return self.shape[1:]
            case "video":
                return (self.shape[0], *self.shape[2:])
            case "sequence":
                return self.shape[:1]
            case "vector":
                return self.shape


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Some samples, and what belongs to them.

    Attributes:
        x: [N, *sample]; images in [0, 1], tables standardised. A model maps to its own range.
        y: [N] label, -1 unlabelled: for supervised losses and evaluation.
        given: what the samples are conditioned on: a class, a speaker, a pair, a spatial map.
        mask: [N, *sites] valid or observed sites.
        weight: [N].
        others: a second source: an unpaired domain, a reference data set.
        index: [N] which samples these are: keys augmentation and noise.
        step: of the stage, from 0.
        progress: of the stage, 0 to 1: every schedule reads it.
    """

    x: Tensor
    index: Tensor
    y: Tensor | None = None
    given: Tensor | None = None
    mask: Tensor | None = None
    weight: Tensor | None = None
    others: Mapping[str, "Batch"] = field(default_factory=dict)
    step: int = 0
    progress: float = 0.0

    def __len__(self) -> int:
        return len(self.x)

    def map(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        """Applies `change` to every tensor: a move to a device, or a slice of rows."""

        def maybe(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else change(tensor)

        return replace(
            self,
            x=change(self.x),
            index=change(self.index),
            y=maybe(self.y),
            given=maybe(self.given),
            mask=maybe(self.mask),
            weight=maybe(self.weight),
            others={name: other.map(change) for name, other in self.others.items()},
        )

    def at(self, step: int, progress: float) -> "Batch":
        """The same samples, met at another point of the stage."""
        return replace(self, step=step, progress=progress)


class Source(ABC):
    """A finite set of prepared samples that can be read in any order, at the cost of the samples that are read.

    Attributes:
        spec: what one sample looks like.
        labels: [N] integer label, -1 unlabelled, or None.
    """

    spec: DataSpec
    labels: "np.ndarray[tuple[int], np.dtype[np.int64]] | None" = None

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def fetch(self, rows: Sequence[int], *, epoch: int = 0) -> Batch:
        """Reads the samples `rows`, in that order.

        Random views of a sample (crops, augmentation) are a function of the source's seed, `epoch` and the row alone.
        """

    def stream(self, plan: Iterable[tuple[int, Sequence[int]]]) -> Iterator[Batch]:
        """Yields a batch for each (epoch, rows) of `plan`, in its order. Sources that decode files do it in workers."""
        for epoch, rows in plan:
            yield self.fetch(rows, epoch=epoch)

    def batches(self, size: int = 256) -> Iterator[Batch]:
        """Yields all samples once, in order: what solvers and scoring read."""
        yield from self.stream((0, range(start, min(start + size, len(self)))) for start in range(0, len(self), size))


def constant(progress: float) -> float:  # noqa: ARG001 -- a schedule is a function of progress
    """The schedule that keeps the learning rate."""
    return 1.0


def _adam(named: NamedParameters, **settings: object) -> Optimizer:
    return torch.optim.Adam([parameter for _, parameter in named], **settings)  # type: ignore[arg-type]


def adam(lr: float = 1e-3, *, betas: tuple[float, float] = (0.9, 0.999)) -> Callable[[NamedParameters], Optimizer]:
    """Adam in its fused form, as a turn's `optimiser`."""
    return partial(_adam, lr=lr, betas=betas, fused=True)


ADAM = adam()


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One player's move: minimise a loss over some modules.

    Attributes:
        name: unique within its stage.
        modules: trained in this turn; every one of their parameters gets a gradient.
        loss: maps a batch to its losses, means over the batch.
        optimiser: made once from the named parameters; names allow layer-wise decay.
        rate: learning-rate factor as a function of the stage's progress.
        every: the turn is taken on each `every`-th batch, or where the function of the step says so.
        repeat: moves made on one batch.
        after: called after each move: clipping, a momentum teacher.
        continues: takes over the optimiser state of "stage/turn" and, where both stages average, its moving average.
    """

    name: str
    modules: Sequence[nn.Module]
    loss: Callable[[Batch], Losses]
    optimiser: Callable[[NamedParameters], Optimizer] = ADAM
    rate: Callable[[float], float] = constant
    every: int | Callable[[int], bool] = 1
    repeat: int = 1
    after: Callable[[], None] | None = None
    continues: str | None = None

    def due(self, step: int) -> bool:
        """Whether the turn is taken at `step`."""
        return self.every(step) if callable(self.every) else (step + 1) % self.every == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A part of training: a solver, or players who take turns, or both in that order.

    Attributes:
        name: unique within its model.
        turns: taken in this order on each batch.
        source: applied to the training source at the stage's start: one task, re-weighted data, cached codes.
        solve: sets buffers from the data before the turns; may read the source several times, streaming.
        share: of the model's budget of steps, relative to the other stages.
        batch: batch size of its own, or None for the run's.
        average: decay of the exponential moving average of the weights that the verbs use, or None.
        monitor: maps a batch to a criterion [N] on validation normals, smaller is better, for early stopping; without
            one, a stage of a single player uses its loss, and a stage of several players is not stopped early.
    """

    name: str
    turns: Sequence[Turn] = ()
    source: Callable[[Source], Source] | None = None
    solve: Callable[[Source], None] | None = None
    share: float = 1.0
    batch: int | None = None
    average: float | None = None
    monitor: Callable[[Batch], Tensor] | None = None


class Model(nn.Module, ABC):
    """A published system. Subclasses are final, and say what they can do by the verbs they also inherit."""

    spec: DataSpec

    @abstractmethod
    def stages(self) -> Sequence[Stage]:
        """The plan of training. Pure: every parameter and buffer exists after `__init__`, so any stage can resume.

        A solver may give a buffer another shape than it had; it must assign the new tensor to the buffer's name.
        """


@dataclass(frozen=True, slots=True)
class Anomaly:
    """How strange samples are. Larger is stranger.

    Attributes:
        score: [N] raw.
        map: [N, *sites] where the strangeness lies, not negative, or None. For vectors, the share of each entry.
    """

    score: Tensor
    map: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Likelihood:
    """Log-density of samples.

    Attributes:
        value: [N] nats.
        kind: "exact", or the bound it is: "ELBO", "IWAE".
        draws: Monte Carlo draws behind one value; 0 where it is exact.
    """

    value: Tensor
    kind: str
    draws: int = 0


class Samples(ABC):
    """Makes new samples."""

    @abstractmethod
    def sample(
        self, n: int, *, given: Tensor | None = None, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> Tensor:
        """Draws [n, *sample] in the range of the data. The same generator state gives the same samples."""


class Completes(ABC):
    """Fills in the unobserved part of samples."""

    @abstractmethod
    def complete(
        self, x: Tensor, observed: Tensor, *, given: Tensor | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        """Keeps x [N, *sample] where `observed` [N, *sites] is true, and draws the rest given it."""


class Encodes(ABC):
    """Maps samples to codes."""

    @abstractmethod
    def encode(self, x: Tensor, *, given: Tensor | None = None) -> Tensor:
        """Codes [N, *code] of x [N, *sample]; draws nothing."""


class Decodes(ABC):
    """Maps codes to samples."""

    @abstractmethod
    def decode(self, z: Tensor, *, given: Tensor | None = None) -> Tensor:
        """Samples [N, *sample] from codes [N, *code], in the range of the data; draws nothing."""


class Discrete(Encodes, Decodes):
    """Has codes that are symbols: `encode` gives int64 [N, G, H, W] and `decode` takes them (sound: H = 1).

    Attributes:
        code_spec: of one sample's codes: an image of G symbols a site, of which there are `levels`.
    """

    code_spec: DataSpec


class Reconstructs(ABC):
    """Passes samples through a bottleneck and back."""

    @abstractmethod
    def reconstruct(self, x: Tensor, *, given: Tensor | None = None) -> Tensor:
        """The model's version [N, *sample] of x, in the range of the data; draws nothing."""


class Density(ABC):
    """Gives a log-density, or a named bound of it."""

    @abstractmethod
    def log_prob(self, x: Tensor, *, given: Tensor | None = None, draws: int = 1) -> Likelihood:
        """Nats of x [N, *sample]; a bound with `draws` Monte Carlo draws uses the same draws for every row."""


class Classifies(ABC):
    """Tells the classes apart that `spec.classes` names."""

    @abstractmethod
    def classify(self, x: Tensor, *, given: Tensor | None = None) -> Tensor:
        """Log-probabilities [N, classes] in nats of x [N, *sample]; draws nothing."""


class Scores(ABC):
    """Says how strange samples are."""

    @abstractmethod
    def anomaly(self, x: Tensor, *, given: Tensor | None = None) -> Anomaly:
        """Score and map of x [N, *sample]. Row i depends on x[i] alone; nothing is drawn row by row."""


class AnyLength:
    """Takes sequences of any length, not of `spec.shape[0]` alone: not a verb, but what training on crops needs."""


class Adopts(ABC):
    """Is built on a model that may have been trained before: not a verb, but how a prior takes its autoencoder."""

    @abstractmethod
    def adopt(self, part: Model) -> None:
        """Takes over the trained part, whose stages are then left out.

        Raises:
            ArtifactError: it does not fit.
        """


class Conditional:
    """May be conditioned on a class: not a verb, but how verbs are asked. `given` is then a label [N] int64.

    A system whose condition is an option inherits it always, and has no labels where it was built without one. Where
    `given` is None, a model with labels chooses the classes of its samples itself.

    A buffer `seen` [classes] says which of them training had samples of, of a model that asks; others are refused, and
    not chosen.

    Attributes:
        labels: names of the classes by number; empty where this model is not conditional.
    """

    labels: tuple[str, ...] = ()


def labels_of(model: object) -> tuple[str, ...]:
    """Names of the classes that a model can be conditioned on, by number; empty where there are none."""
    return model.labels if isinstance(model, Conditional) else ()


def known_classes(model: object) -> Tensor:
    """Numbers [K] of the classes that a model can be asked for; before training, of all that have a name."""
    seen = getattr(model, "seen", None)
    if isinstance(model, Conditional) and isinstance(seen, Tensor) and bool(seen.any()):
        return seen.nonzero()[:, 0].cpu()
    return torch.arange(len(labels_of(model)))


def in_turn(model: object, n: int, start: int = 0) -> Tensor | None:
    """Labels [n] of all known classes in turn, from the sample number `start` on; None for a model without any."""
    known = known_classes(model)
    return known[torch.arange(start, start + n) % len(known)] if len(known) else None


VERBS: Mapping[str, type] = {
    "sample": Samples,
    "complete": Completes,
    "encode": Encodes,
    "decode": Decodes,
    "reconstruct": Reconstructs,
    "log_prob": Density,
    "classify": Classifies,
    "anomaly": Scores,
}
"""The verbs by the name of their method: what cards, the command line and the service speak of."""


def verbs_of(model: object) -> tuple[str, ...]:
    """Names of the verbs that a model, or a class of models, has."""
    kind = model if isinstance(model, type) else type(model)
    return tuple(name for name, verb in VERBS.items() if issubclass(kind, verb))
