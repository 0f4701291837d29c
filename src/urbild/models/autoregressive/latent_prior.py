"""A prior over the codes of an autoencoder: what makes a generative model of it.

Van den Oord, Vinyals and Kavukcuoglu 2017, Neural Discrete Representation Learning, section 3.2,
https://arxiv.org/abs/1711.00937

    p(x) >= p(x | codes(x)) p(codes(x))        p(codes) = prod_i p(code_i | codes before i)

First the autoencoder is trained, unless it was before; then its codes are taken once, and an autoregressive model of
pixels is trained on them as on images of K levels. Samples are codes from the prior, decoded.

The score is the surprise of the codes in bits a symbol: a part that the prior finds unlikely was not in the training
images in that place (Marimont and Tarroni 2020, https://arxiv.org/abs/2012.06765). The map has the bits of the code
that stands for each site.

Completion keeps the codes of which every site is observed, draws the others, and puts the observed sites into the
decoded image.

Departures from the paper: none known; its prior for images is the gated PixelCNN, as is the default here.
"""
# ruff: noqa: ARG002, D102 -- the verbs are documented in the contract

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from math import log
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from urbild.contract import (
    Adopts,
    Anomaly,
    Batch,
    Completes,
    Conditional,
    DataSpec,
    Discrete,
    Model,
    Reconstructs,
    Samples,
    Scores,
    Source,
    Stage,
)
from urbild.errors import ArtifactError, OptionError
from urbild.models.autoregressive.gated_pixelcnn import gated_pixelcnn
from urbild.models.autoregressive.pixel_rnn import pixel_rnn
from urbild.models.autoregressive.pixelcnn import pixelcnn
from urbild.models.autoregressive.raster import Raster
from urbild.models.variational.vqvae import vqvae
from urbild.nets.observations import Observation
from urbild.nets.quantisers import Quantiser

EMBEDDING = 64  # numbers for a symbol: codes have no order


class Codes(ABC):
    """A choice of code autoencoder; its fields are the options of the system of that name.

    Attributes:
        system: its name in the catalogue.
    """

    system: ClassVar[str]

    @abstractmethod
    def build(self, spec: DataSpec) -> Model:
        """The model, which is `Discrete`."""


@dataclass(frozen=True, slots=True)
class VqvaeCodes(Codes):
    """VQ-VAE: see `vqvae` for the fields."""

    system: ClassVar[str] = "vqvae"

    quantiser: Quantiser | None = None
    hidden: int = 128
    residual: int = 2
    code_size: int = 64
    groups: int = 1
    down: int = 2
    likelihood: Observation | None = None
    learning_rate: float = 3e-4

    def build(self, spec: DataSpec) -> Model:
        return vqvae(spec, **{field.name: getattr(self, field.name) for field in fields(self)})


class Prior(ABC):
    """A choice of autoregressive model for codes."""

    @abstractmethod
    def build(self, spec: DataSpec, *, conditional: bool) -> Model:
        """The model, a `Raster` of codes."""


@dataclass(frozen=True, slots=True)
class GatedPrior(Prior):
    """Gated PixelCNN.

    Attributes:
        layers: of either stack.
        width: features of a layer.
        kernel: side of the convolutions after the first.
        learning_rate: of Adam, at its highest.
    """

    layers: int = 12
    width: int = 64
    kernel: int = 3
    learning_rate: float = 1e-3

    def build(self, spec: DataSpec, *, conditional: bool) -> Model:
        return gated_pixelcnn(
            spec,
            layers=self.layers,
            width=self.width,
            kernel=self.kernel,
            embedding=EMBEDDING,
            conditional=conditional,
            learning_rate=self.learning_rate,
        )


@dataclass(frozen=True, slots=True)
class MaskedPrior(Prior):
    """PixelCNN, without classes.

    Attributes:
        blocks: residual blocks.
        width: features inside a block.
        learning_rate: of Adam, at its highest.
    """

    blocks: int = 10
    width: int = 32
    learning_rate: float = 1e-3

    def build(self, spec: DataSpec, *, conditional: bool) -> Model:
        _unconditional(self, conditional=conditional)
        return pixelcnn(
            spec, blocks=self.blocks, width=self.width, embedding=EMBEDDING, learning_rate=self.learning_rate
        )


@dataclass(frozen=True, slots=True)
class RecurrentPrior(Prior):
    """PixelRNN, without classes.

    Attributes:
        kind: of the layers: Row LSTM or Diagonal BiLSTM.
        layers: how many.
        width: units of a layer.
        learning_rate: of Adam, at its highest.
    """

    kind: Literal["row", "diagonal"] = "diagonal"
    layers: int = 4
    width: int = 32
    learning_rate: float = 1e-3

    def build(self, spec: DataSpec, *, conditional: bool) -> Model:
        _unconditional(self, conditional=conditional)
        return pixel_rnn(
            spec,
            kind=self.kind,
            layers=self.layers,
            width=self.width,
            embedding=EMBEDDING,
            learning_rate=self.learning_rate,
        )


def _unconditional(prior: Prior, *, conditional: bool) -> None:
    if conditional:
        msg = f"{type(prior).__name__} cannot be conditioned on classes; take GatedPrior."
        raise OptionError(msg)


class CodeSource(Source):
    """The codes of all samples, taken once: images of symbols, as values in [0, 1].

    Args:
        model: `Discrete`, trained.
        source: of its samples.
        spec: of the codes.
    """

    def __init__(self, model: Discrete, source: Source, spec: DataSpec) -> None:
        assert isinstance(model, Model)
        assert spec.levels is not None
        self.spec, self.labels = spec, source.labels
        self._last = spec.levels - 1
        device = next(model.parameters()).device
        with torch.no_grad():
            parts = [model.encode(batch.x.to(device)).int().cpu() for batch in source.batches()]
        self._symbols = torch.cat(parts)  # [N, G, h, w]

    def __len__(self) -> int:
        return len(self._symbols)

    def fetch(self, rows: Sequence[int], *, epoch: int = 0) -> Batch:
        """The codes of the samples `rows`."""
        at = torch.as_tensor(np.asarray(rows))
        y = None if self.labels is None else torch.from_numpy(self.labels[at.numpy()].astype(np.int64))
        return Batch(x=self._symbols[at].float() / self._last, index=at, y=y)


class LatentPrior(Model, Samples, Completes, Conditional, Discrete, Reconstructs, Scores, Adopts):
    """A code autoencoder and a prior over its codes.

    Args:
        spec: of the data.
        autoencoder: `Discrete` and `Reconstructs`.
        prior: of its codes.
    """

    def __init__(self, spec: DataSpec, autoencoder: Model, prior: Raster) -> None:
        super().__init__()
        assert isinstance(autoencoder, Discrete)
        self.spec, self.code_spec = spec, autoencoder.code_spec
        self.autoencoder, self.prior = autoencoder, prior
        self.labels = prior.labels
        self._adopted = False

    @property
    def codes(self) -> Discrete:
        """The autoencoder, as what its codes ask of it."""
        assert isinstance(self.autoencoder, Discrete)
        return self.autoencoder

    def adopt(self, part: Model) -> None:
        """Takes over a trained autoencoder, whose stages are then left out.

        Raises:
            ArtifactError: it is of another shape than the model's own.
        """
        own, given = self.autoencoder.state_dict(), part.state_dict()
        if {name: value.shape for name, value in own.items()} != {name: value.shape for name, value in given.items()}:
            msg = "the trained autoencoder has other options than the one that this prior was built for; train the "
            msg += "prior anew on that run."
            raise ArtifactError(msg)
        self.autoencoder.load_state_dict(given)
        self._adopted = True

    def stages(self) -> Sequence[Stage]:
        (stage,) = self.prior.stages()
        prior = replace(stage, name="prior", source=self._code_source(stage.source))
        return (prior,) if self._adopted else (*self.autoencoder.stages(), prior)

    def _code_source(self, check: Callable[[Source], Source] | None) -> Callable[[Source], Source]:
        def taken(source: Source) -> Source:
            return CodeSource(self.codes, check(source) if check is not None else source, self.prior.spec)

        return taken

    def encode(self, x: Tensor, *, given: Tensor | None = None) -> Tensor:
        return self.codes.encode(x)  # int64 [N, G, h, w]

    def decode(self, z: Tensor, *, given: Tensor | None = None) -> Tensor:
        return self.codes.decode(z)

    def reconstruct(self, x: Tensor, *, given: Tensor | None = None) -> Tensor:
        return self.decode(self.encode(x))

    def sample(
        self, n: int, *, given: Tensor | None = None, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> Tensor:
        drawn = self.prior.sample(n, given=given, temperature=temperature, generator=generator)
        return self.decode(self.prior.head.symbols(drawn))

    def complete(
        self, x: Tensor, observed: Tensor, *, given: Tensor | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        height, width = self.code_spec.shape[1:]
        hidden = functional.adaptive_max_pool2d((~observed.bool()).float()[:, None], (height, width))[:, 0] > 0
        grey = torch.where(observed[:, None], x, x.new_tensor(0.5))  # what is hidden may not be told by its codes
        codes = self.encode(grey).float() / (self.prior.head.levels - 1)
        drawn = self.prior.complete(codes, ~hidden, given=given, generator=generator)
        return torch.where(observed[:, None], x, self.decode(self.prior.head.symbols(drawn)))

    def code_bits(self, x: Tensor, *, given: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Bits of all codes of images [N], and of each code site [N, h, w]."""
        codes = self.encode(x).float() / (self.prior.head.levels - 1)
        nats, sites = self.prior.nats(codes, given)
        return nats / log(2), sites / log(2)

    def anomaly(self, x: Tensor, *, given: Tensor | None = None) -> Anomaly:
        bits, sites = self.code_bits(x, given=given)
        spread = functional.interpolate(sites[:, None], size=self.spec.sites, mode="nearest")[:, 0]
        return Anomaly(bits / self.code_spec.size, spread)


def latent_prior(
    spec: DataSpec,
    *,
    autoencoder: Codes | None = None,
    prior: Prior | None = None,
    conditional: bool = False,
) -> Model:
    """Builds a code autoencoder and a prior over its codes.

    Args:
        spec: of images.
        autoencoder: by default a VQ-VAE with its defaults. `--codes DIR` takes a trained one instead.
        prior: by default a gated PixelCNN of 12 layers.
        conditional: on the class of the sample.

    Raises:
        OptionError: an option is out of range, or the data have no classes to be conditioned on.
    """
    codes = (autoencoder or VqvaeCodes()).build(spec)
    assert isinstance(codes, Discrete)
    made = (prior or GatedPrior()).build(replace(codes.code_spec, classes=spec.classes), conditional=conditional)
    assert isinstance(made, Raster)
    return LatentPrior(spec, codes, made)
