"""Laws of a latent, as values that are passed to a builder."""

# ruff: noqa: D102 -- the methods are documented at their abstract classes

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import sqrt
from typing import ClassVar

import torch
from torch import Tensor

from urbild.contract import DataSpec
from urbild.nets.stock import check_sizes

LARGEST_VECTOR_LATENT = 64


class Prior(ABC):
    """The law of the latent: a dataclass with Z = `size` among its fields, None for the default.

    Attributes:
        deviation: standard deviation of an entry, whose mean is 0.
    """

    size: int | None
    deviation: ClassVar[float]

    @abstractmethod
    def noise(self, n: int, size: int, *, device: torch.device, generator: torch.Generator | None = None) -> Tensor:
        """Latents [n, size], drawn on the generator's device."""

    def draw(
        self,
        n: int,
        size: int,
        *,
        device: torch.device,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
    ) -> Tensor:
        """Latents [n, size] on `device`, whose scale or range is multiplied by the temperature."""
        drawn_on = generator.device if generator is not None else device
        return temperature * self.noise(n, size, device=drawn_on, generator=generator).to(device)

    def entries(self, spec: DataSpec) -> int:
        """Z: by default 100 for images, and as many as columns for vectors, between 2 and 64.

        Raises:
            OptionError: it is not positive.
        """
        check_sizes(size=self.size)
        return self.size or (100 if spec.kind == "image" else max(2, min(LARGEST_VECTOR_LATENT, spec.size)))


@dataclass(frozen=True, slots=True)
class Normal(Prior):
    """N(0, 1).

    Attributes:
        size: numbers in a latent.
    """

    deviation: ClassVar[float] = 1.0

    size: int | None = None

    def noise(self, n: int, size: int, *, device: torch.device, generator: torch.Generator | None = None) -> Tensor:
        return torch.randn(n, size, device=device, generator=generator)


@dataclass(frozen=True, slots=True)
class Uniform(Prior):
    """U(-1, 1).

    Attributes:
        size: numbers in a latent.
    """

    deviation: ClassVar[float] = 1 / sqrt(3)

    size: int | None = None

    def noise(self, n: int, size: int, *, device: torch.device, generator: torch.Generator | None = None) -> Tensor:
        return 2 * torch.rand(n, size, device=device, generator=generator) - 1


NORMAL, UNIFORM = Normal(), Uniform()
