"""Whether a decoder uses its latents: the measures of collapse of a trained model, over some samples.

An autoregressive decoder can do without a latent, and the bound hardly shows it: the KL that is saved is about what the
decoder loses. What shows it: the KL, latents in use, the mutual information, and the nats lost when samples are decoded
from the latents of others, or from draws of the prior.
"""

from dataclasses import dataclass
from math import log
from typing import Protocol

import torch
from torch import Tensor

from urbild.contract import DataSpec
from urbild.errors import DataError
from urbild.nets.quantisers.base import tally, usage
from urbild.ops import latents
from urbild.ops.gaussians import gaussian_kl, reparameterise

BATCH = 250


class GaussianLatents(Protocol):
    """A model with a Gaussian posterior, such as `pixelcnn_vae`."""

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance [N, Z]."""

    def surprise(self, x: Tensor, z: Tensor) -> Tensor:
        """Negative log-probability of x given z, in nats: [N]."""


class SymbolLatents(Protocol):
    """A model with codes that are symbols, such as `pixelcnn_vqvae`."""

    code_spec: DataSpec

    def encode(self, x: Tensor) -> Tensor:
        """Symbols int64 [N, G, H, W]."""

    def surprise(self, x: Tensor, codes: Tensor) -> Tensor:
        """Negative log-probability of x given its codes, in nats: [N]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GaussianUse:
    """The use of Gaussian latents; all but the number of units in nats, means over samples.

    Attributes:
        elbo: the bound of ln p(x), with one draw a sample.
        kl: of the posterior to the prior.
        active: latents in use.
        information: estimate of I(x; z), at most the logarithm of the number of samples.
        shuffled: nats lost when each sample is decoded from the latent of another.
        prior: nats lost when each is decoded from a draw of the prior.
    """

    elbo: float
    kl: float
    active: int
    information: float
    shuffled: float
    prior: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolUse:
    """The use of symbols; nats are means over samples.

    Attributes:
        nats: of x given its codes; no bound of ln p(x), which has the cost of the codes besides.
        uniform: nats of the codes under a uniform prior: what a bound with that prior adds.
        perplexity: exp of the entropy of the codes in use, 1 to K.
        active: codes in use.
        information: entropy of whole codes over the samples, at most the logarithm of their number.
        shuffled: nats lost when each sample is decoded from the codes of another.
    """

    nats: float
    uniform: float
    perplexity: float
    active: int
    information: float
    shuffled: float


def gaussian_use(model: GaussianLatents, x: Tensor, *, seed: int = 0) -> GaussianUse:
    """Measures a model on samples x [N, *sample].

    Raises:
        DataError: there are fewer than 2 samples.
    """
    _need_two(x)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        parts = [model.posterior(part) for part in torch.split(x, BATCH)]
        mean, log_variance = (torch.cat(side) for side in zip(*parts, strict=True))
        noise, drawn = (torch.randn(mean.shape, generator=generator).to(mean) for _ in range(2))
        z = reparameterise(mean, log_variance, noise)
        own = _nats(model, x, z)
        kl = float(gaussian_kl(mean, log_variance).double().mean())
        return GaussianUse(
            elbo=-own - kl,
            kl=kl,
            active=int(latents.active_units(mean).sum()),
            information=float(latents.mutual_information(mean.double(), log_variance.double(), noise.double())),
            shuffled=_nats(model, x, z[latents.others(len(x), generator).to(z.device)]) - own,
            prior=_nats(model, x, drawn) - own,
        )


def symbol_use(model: SymbolLatents, x: Tensor, *, seed: int = 0) -> SymbolUse:
    """Measures a model on samples x [N, *sample].

    Raises:
        DataError: there are fewer than 2 samples.
    """
    _need_two(x)
    levels = model.code_spec.levels
    assert levels is not None
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        codes = torch.cat([model.encode(part) for part in torch.split(x, BATCH)])
        own, use = _nats(model, x, codes), usage(tally(codes, levels))
        return SymbolUse(
            nats=own,
            uniform=codes[0].numel() * log(levels),
            perplexity=float(use["perplexity"]),
            active=int(use["active"]),
            information=float(latents.symbol_information(codes)),
            shuffled=_nats(model, x, codes[latents.others(len(x), generator).to(codes.device)]) - own,
        )


def _need_two(x: Tensor) -> None:
    if len(x) < 2:
        msg = f"the use of latents is measured among samples, and there is {len(x)}; give at least 2."
        raise DataError(msg)


def _nats(model: GaussianLatents | SymbolLatents, x: Tensor, codes: Tensor) -> float:
    """Mean nats of x given some codes."""
    parts = zip(torch.split(x, BATCH), torch.split(codes, BATCH), strict=True)
    return float(torch.cat([model.surprise(part, own) for part, own in parts]).double().mean())
