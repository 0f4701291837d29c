"""Which autoencoder gives the codes that a prior is of: a value for each system with codes that are symbols."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import Any, ClassVar, Literal

import numpy as np
import torch

from urbild.contract import Batch, DataSpec, Discrete, Kind, Model, Source
from urbild.errors import ShapeError
from urbild.models.autoregressive.code_sites import Grid, Hops, Sites
from urbild.models.variational.pixelcnn_vqvae import pixelcnn_vqvae
from urbild.models.variational.vqvae import vqvae
from urbild.models.variational.vqvae2 import Vqvae2, vqvae2
from urbild.models.variational.vqvae_audio import VqvaeAudio, vqvae_audio
from urbild.nets.observations import Observation
from urbild.nets.quantisers import Quantiser
from urbild.nets.symbols import Symbols
from urbild.nets.voice import Speech


class Codes(ABC):
    """A choice of code autoencoder; its fields are the options of the system of that name.

    Attributes:
        system: its name in the catalogue.
        kind: of data that it takes.
    """

    system: ClassVar[str]
    kind: ClassVar[Kind] = "image"

    @abstractmethod
    def build(self, spec: DataSpec) -> Model:
        """The model, which is `Discrete`."""

    def maps(self, model: Model) -> tuple[DataSpec, ...]:
        """The maps of symbols that one code of the model has, those first that later ones depend on."""
        assert isinstance(model, Discrete)
        return (model.code_spec,)

    def sites(self, model: Model) -> Sites:  # noqa: ARG002 -- of sound it matters
        """Where the symbols lie in the sample."""
        return Grid()

    def _options(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]


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
        """See `Codes`."""
        return vqvae(spec, **self._options())


@dataclass(frozen=True, slots=True)
class Vqvae2Codes(Codes):
    """VQ-VAE-2, two maps of symbols: see `vqvae2` for the fields."""

    system: ClassVar[str] = "vqvae2"

    quantiser: Quantiser | None = None
    hidden: int = 128
    residual: int = 2
    code_size: int = 64
    down: int = 1
    likelihood: Observation | None = None
    learning_rate: float = 3e-4

    def build(self, spec: DataSpec) -> Model:
        """See `Codes`."""
        return vqvae2(spec, **self._options())

    def maps(self, model: Model) -> tuple[DataSpec, ...]:
        """The top map, and the bottom map."""
        assert isinstance(model, Vqvae2)
        return tuple(replace(model.code_spec, shape=(1, *size)) for size in model.sizes)


@dataclass(frozen=True, slots=True)
class PixelcnnVqvaeCodes(Codes):
    """VQ-VAE with a PixelCNN as decoder: see `pixelcnn_vqvae` for the fields."""

    system: ClassVar[str] = "pixelcnn_vqvae"

    quantiser: Quantiser | None = None
    down: int = 2
    layers: int = 6
    width: int = 32
    kernel: int = 5
    first_kernel: int = 7
    likelihood: Symbols | None = None
    learning_rate: float = 1e-3

    def build(self, spec: DataSpec) -> Model:
        """See `Codes`."""
        return pixelcnn_vqvae(spec, **self._options())


@dataclass(frozen=True, slots=True)
class AudioCodes(Codes):
    """VQ-VAE of sound: see `vqvae_audio` for the other fields.

    Attributes:
        classes: names of those that its decoder is told, such as speakers, where they are not those of the data.
    """

    system: ClassVar[str] = "vqvae_audio"
    kind: ClassVar[Kind] = "sequence"

    quantiser: Quantiser | None = None
    encoder: Literal["mel", "waveform"] = "mel"
    decoder: Speech | None = None
    conditional: bool = False
    hop: int = 64
    width: int = 64
    jitter: float = 0.0
    learning_rate: float = 1e-3
    classes: tuple[str, ...] = ()

    def build(self, spec: DataSpec) -> Model:
        """See `Codes`."""
        options = self._options()
        return vqvae_audio(replace(spec, classes=options.pop("classes") or spec.classes), **options)

    def sites(self, model: Model) -> Sites:
        """Stretches of sound, up to its end."""
        assert isinstance(model, VqvaeAudio)
        return Hops(model.hop, end=model.codes)


USUAL: Mapping[str, type[Codes]] = MappingProxyType({"image": VqvaeCodes, "sequence": AudioCodes})


def codes_for(spec: DataSpec, chosen: Codes | None) -> Codes:
    """The chosen autoencoder, or the usual one for such data.

    Raises:
        ShapeError: it takes other data.
    """
    codes = chosen or USUAL[spec.kind]()
    if codes.kind != spec.kind:
        msg = f"{type(codes).__name__} is of {codes.kind} data, and these are {spec.kind} data; take "
        raise ShapeError(msg + f"{USUAL[spec.kind].__name__}.")
    return codes


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

    def fetch(self, rows: Sequence[int], *, epoch: int = 0) -> Batch:  # noqa: ARG002 -- codes are the same in all
        """The codes of the samples `rows`."""
        at = torch.as_tensor(np.asarray(rows))
        y = None if self.labels is None else torch.from_numpy(self.labels[at.numpy()].astype(np.int64))
        return Batch(x=self._symbols[at].float() / self._last, index=at, y=y)
