"""Laws of codes: a model's own prior, or a density fitted to codes where it has none, which is then labelled so.

A plain autoencoder has no prior: its samples are those of a density over its codes, and as good as that density. All
codes are flat here, [N, Z].
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import erf, log, sqrt
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from urbild.contract import Decodes, Discrete, Model, Samples
from urbild.errors import DataError, OptionError
from urbild.exploration.codes import code_size, own_prior
from urbild.nets.priors import NORMAL, Normal, Prior, Uniform

FittedDensity: TypeAlias = Literal["gaussian", "kernel"]

_MOMENTS = 4096  # draws behind the mean and deviation of a prior of unknown moments
_WIDTHS, _LEFT_OUT = 16, 500  # widths that are tried, and codes that they are judged by
_RANK = 1e-9  # share of the largest variance below which a direction of the codes is no direction


class Law(ABC):
    """A density of codes.

    Attributes:
        label: what it is, in words.
        fitted: whether codes of data made it, and not the model.
        mean: [Z].
        scale: [Z] standard deviations.
        bound: codes lie in [-bound, bound], or None.
        normal: whether it is the standard normal, whose draws lie near a sphere where Z is large.
    """

    label: str
    fitted: bool = False
    normal: bool = False
    mean: Tensor
    scale: Tensor
    bound: float | None = None

    @abstractmethod
    def draw(self, n: int, *, generator: torch.Generator, truncation: float | None = None) -> Tensor:
        """Codes [n, Z] on the CPU.

        Args:
            n: how many.
            generator: on the CPU.
            truncation: deviations that no draw of a normal goes beyond.

        Raises:
            OptionError: this law is no normal to be truncated, or the truncation is not positive.
        """


@dataclass(frozen=True, slots=True)
class FromPrior(Law):
    """The prior that a model was trained with.

    Attributes:
        prior: its law.
        size: Z.
    """

    prior: Prior
    size: int

    @property
    def label(self) -> str:  # type: ignore[override]
        """The prior's name."""
        names = {Normal: "the standard normal prior", Uniform: "the uniform prior on [-1, 1]"}
        return names.get(type(self.prior), f"the prior {type(self.prior).__name__}")

    @property
    def mean(self) -> Tensor:  # type: ignore[override]
        """[Z], exact where it is known."""
        return torch.zeros(self.size) if self._known is not None else self._drawn().mean(0)

    @property
    def scale(self) -> Tensor:  # type: ignore[override]
        """[Z], exact where it is known."""
        return torch.full((self.size,), self._known) if self._known is not None else self._drawn().std(0)

    @property
    def bound(self) -> float | None:  # type: ignore[override]
        """1 of a uniform prior."""
        return 1.0 if isinstance(self.prior, Uniform) else None

    @property
    def normal(self) -> bool:  # type: ignore[override]
        """Whether it is `Normal`."""
        return isinstance(self.prior, Normal)

    @property
    def _known(self) -> float | None:
        return 1.0 if self.normal else 1 / sqrt(3) if isinstance(self.prior, Uniform) else None

    def _drawn(self) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        return self.prior.draw(_MOMENTS, self.size, device=torch.device("cpu"), generator=generator)

    def draw(self, n: int, *, generator: torch.Generator, truncation: float | None = None) -> Tensor:  # noqa: D102
        if truncation is None:
            return self.prior.draw(n, self.size, device=torch.device("cpu"), generator=generator)
        if not self.normal:
            raise _not_normal(self.label)
        return truncated_normal(n, self.size, truncation, generator)


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedGaussian(Law):
    """A normal of the codes' mean and covariance.

    Attributes:
        mean: [Z].
        scale: [Z] deviations.
        root: [Z, R], root root' the covariance.
        count: of the codes.
    """

    mean: Tensor
    scale: Tensor
    root: Tensor
    count: int
    fitted: bool = True

    @property
    def label(self) -> str:  # type: ignore[override]
        """What was fitted to how much."""
        return f"a Gaussian fitted to {self.count} codes"

    def draw(self, n: int, *, generator: torch.Generator, truncation: float | None = None) -> Tensor:  # noqa: D102
        rank = self.root.shape[1]
        noise = (
            torch.randn(n, rank, generator=generator)
            if truncation is None
            else truncated_normal(n, rank, truncation, generator)
        )
        return self.mean + noise @ self.root.mT


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedKernel(Law):
    """A normal of the codes' covariance, narrowed, around each code; its width is the likeliest of codes left out.

    Attributes:
        mean: [Z].
        scale: [Z] deviations of the codes.
        root: [Z, R], root root' the covariance.
        codes: [N, Z].
        width: share of the codes' own deviation.
    """

    mean: Tensor
    scale: Tensor
    root: Tensor
    codes: Tensor
    width: float
    fitted: bool = True

    @property
    def label(self) -> str:  # type: ignore[override]
        """What was fitted to how much."""
        return f"a kernel density fitted to {len(self.codes)} codes"

    def draw(self, n: int, *, generator: torch.Generator, truncation: float | None = None) -> Tensor:  # noqa: D102
        if truncation is not None:
            raise _not_normal(self.label)
        centres = self.codes[torch.randint(len(self.codes), (n,), generator=generator)]
        return centres + self.width * torch.randn(n, self.root.shape[1], generator=generator) @ self.root.mT


def own_law(model: Model) -> Law | None:
    """The prior that samples of a model are decoded from; None where it has none, as a plain autoencoder.

    A model that both samples and decodes numbers, and names no other prior, has the standard normal one.
    """
    if not isinstance(model, Decodes) or isinstance(model, Discrete):
        return None
    player = own_prior(model)
    if player is not None:
        return FromPrior(player.prior, player.latent)
    return FromPrior(NORMAL, code_size(model)) if isinstance(model, Samples) else None


def fitted_law(codes: Tensor, density: FittedDensity = "gaussian") -> Law:
    """A density of codes [N, *code]; the width of a kernel is judged by 500 of them, evenly spread.

    Raises:
        DataError: there are fewer than 3 codes, or all are the same.
    """
    flat = codes.detach().flatten(1).double().cpu()
    if len(flat) < 3:
        msg = f"a density is fitted to the codes of at least 3 samples, and there are {len(flat)}; give more."
        raise DataError(msg)
    mean = flat.mean(0)
    values, vectors = torch.linalg.eigh((flat - mean).mT @ (flat - mean) / (len(flat) - 1))
    kept = values > _RANK * float(values[-1])
    if not bool(kept.any()):
        msg = "all codes are the same, so no density can be fitted to them; give samples that differ."
        raise DataError(msg)
    root = vectors[:, kept] * values[kept].sqrt()  # [Z, R]
    scale = flat.std(0)
    if density == "gaussian":
        return FittedGaussian(mean=mean.float(), scale=scale.float(), root=root.float(), count=len(flat))
    width = _best_width((flat - mean) @ (vectors[:, kept] / values[kept].sqrt()))
    return FittedKernel(mean=mean.float(), scale=scale.float(), root=root.float(), codes=flat.float(), width=width)


def truncated_normal(n: int, size: int, bound: float, generator: torch.Generator) -> Tensor:
    """Standard normal numbers [n, size] given that they lie in [-bound, bound], by the inverse distribution function.

    Raises:
        OptionError: the bound is not positive.
    """
    if not bound > 0:
        msg = f"a truncation of {bound:g} leaves no draws; give a number of deviations above 0, such as 1.5."
        raise OptionError(msg)
    uniform = 2 * torch.rand(n, size, generator=generator, dtype=torch.float64) - 1
    inside = sqrt(2) * torch.erfinv(erf(bound / sqrt(2)) * uniform)
    return inside.clamp(-bound, bound).float()


def _best_width(white: Tensor) -> float:
    """The width under which white codes [N, R] are likeliest, each given all others."""
    own = torch.arange(0, len(white), max(1, len(white) // _LEFT_OUT))
    squares = torch.cdist(white[own], white, compute_mode="donot_use_mm_for_euclid_dist").square()
    squares[torch.arange(len(own)), own] = torch.inf

    def likelihood(width: float) -> float:
        return float((-squares / (2 * width**2)).logsumexp(1).mean()) - white.shape[1] * log(width)

    widths = torch.logspace(log(0.02), 0, _WIDTHS, base=torch.e, dtype=torch.float64).tolist()
    return float(max(widths, key=likelihood))


def _not_normal(label: str) -> OptionError:
    return OptionError(f"only a normal law can be truncated, and codes are drawn from {label}; leave truncation out.")
