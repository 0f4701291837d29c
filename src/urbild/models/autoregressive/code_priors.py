"""Which autoregressive model a prior over codes is made of, and how it is told of a map that was drawn before."""
# ruff: noqa: ARG002 -- not every prior can be told of all that there is

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from urbild.contract import DataSpec, Model
from urbild.errors import OptionError
from urbild.models.autoregressive.gated_pixelcnn import GatedNetwork, gated_pixelcnn
from urbild.models.autoregressive.pixel_rnn import pixel_rnn
from urbild.models.autoregressive.pixelcnn import pixelcnn
from urbild.models.autoregressive.raster import Raster
from urbild.models.autoregressive.raster_network import Condition, Inputs
from urbild.nets import strided
from urbild.nets.labels import classes_of
from urbild.nets.layers import image_size
from urbild.nets.symbols import default_symbols

EMBEDDING = 64  # numbers for a symbol: codes have no order
RESIDUAL = 2  # blocks between a coarser map and the gates


class Finer(nn.Module):
    """The prior of a map that is told the map before it: p(map | coarser map, class).

    Args:
        raster: of the map, whose network takes maps as condition.
        inputs: of the coarser map's symbols.
        climb: maps these to the condition, on the sites of the finer map.
    """

    def __init__(self, raster: Raster, inputs: Inputs, climb: nn.Module) -> None:
        super().__init__()
        self.raster, self.inputs, self.climb = raster, inputs, climb

    def condition(self, coarser: Tensor, given: Tensor | None) -> Condition:
        """What the network is told of symbols [N, G, h, w] and of classes [N]."""
        return self.raster.condition(given, len(coarser))._replace(maps=self.climb(self.inputs(coarser)))


class Prior(ABC):
    """A choice of autoregressive model for codes."""

    @abstractmethod
    def build(self, spec: DataSpec, *, conditional: bool) -> Model:
        """The model, a `Raster` of codes."""

    def build_finer(self, spec: DataSpec, coarser: DataSpec, *, conditional: bool) -> Finer:
        """The model of a map with sides about twice those of the `coarser` map that it is told.

        Raises:
            OptionError: there is no such model of this kind.
        """
        msg = f"{type(self).__name__} cannot be told of a coarser map, which codes of several maps need; take "
        raise OptionError(msg + "GatedPrior.")


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
        """See `Prior`."""
        return gated_pixelcnn(
            spec,
            layers=self.layers,
            width=self.width,
            kernel=self.kernel,
            embedding=EMBEDDING,
            conditional=conditional,
            learning_rate=self.learning_rate,
        )

    def build_finer(self, spec: DataSpec, coarser: DataSpec, *, conditional: bool) -> Finer:
        """See `Prior`: residual blocks and a transposed convolution bring the coarser map to the finer one's sites.

        Source: Razavi et al. 2019, https://arxiv.org/abs/1906.00446, section 3.2 and appendix A.
        """
        assert coarser.levels is not None
        head, classes = default_symbols(spec).head(spec), classes_of(spec, conditional=conditional)
        network = GatedNetwork(
            spec.channels,
            head,
            layers=self.layers,
            width=self.width,
            kernel=self.kernel,
            embedding=EMBEDDING,
            vector=classes,
            maps=self.width,
        )
        inputs = Inputs(coarser.channels, coarser.levels, EMBEDDING)
        wide = {"hidden": self.width, "residual": RESIDUAL}
        climb = strided.up_path(EMBEDDING * coarser.channels, self.width, image_size(spec), 1, **wide)
        raster = Raster(spec, network, head, classes=classes, learning_rate=self.learning_rate)
        return Finer(raster, inputs, climb)


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
        """See `Prior`."""
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
        """See `Prior`."""
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
