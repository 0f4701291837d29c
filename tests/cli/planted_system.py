"""A system that knows the mean image of each class: small enough to see what a command asks of a conditional model."""

from collections.abc import Sequence

import torch
from torch import Tensor

from urbild.catalogue import Card
from urbild.contract import Completes, Conditional, DataSpec, Model, Samples, Source, Stage

NOISE = 0.02
CARD = Card(
    name="planted",
    module="planted_system",
    family="planted",
    title="Mean images with noise",
    paper="Nobody 2000, Planted",
    url="https://example.org",
    kinds=("image", "vector"),
    verbs=("sample", "complete"),
    epochs=0,
)


class Planted(Model, Samples, Completes, Conditional):
    """Draws mean images of classes plus noise."""

    def __init__(self, spec: DataSpec, *, conditional: bool) -> None:
        super().__init__()
        self.spec = spec
        self.labels = spec.classes if conditional else ()
        self.mean: Tensor
        self.register_buffer("mean", torch.zeros(max(1, len(self.labels)), *spec.shape))

    def stages(self) -> Sequence[Stage]:
        return (Stage(name="means", solve=self.solve),)

    def solve(self, source: Source) -> None:
        batch = source.fetch(range(len(source)))
        labels = batch.y if self.labels and batch.y is not None else torch.zeros(len(batch), dtype=torch.long)
        self.mean = torch.stack([batch.x[labels == label].mean(0) for label in range(len(self.mean))])

    def sample(
        self, n: int, *, given: Tensor | None = None, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> Tensor:
        labels = torch.zeros(n, dtype=torch.long) if given is None else given
        noise = torch.randn(n, *self.spec.shape, generator=generator)
        return (self.mean[labels] + NOISE * temperature * noise).clamp(0, 1)

    def complete(
        self, x: Tensor, observed: Tensor, *, given: Tensor | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        return torch.where(observed[:, None], x, self.sample(len(x), given=given, generator=generator))


def planted(spec: DataSpec, *, conditional: bool = False) -> Model:
    """Builds it.

    Args:
        spec: of the data.
        conditional: on the class of a sample.
    """
    return Planted(spec, conditional=conditional)
