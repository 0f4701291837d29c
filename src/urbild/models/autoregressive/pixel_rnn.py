"""PixelRNN: Row LSTM and Diagonal BiLSTM.

Van den Oord, Kalchbrenner and Kavukcuoglu 2016, Pixel recurrent neural networks, https://arxiv.org/abs/1601.06759

    p(x) = prod_i p(x_i | x_<i)        pixels in raster order, the channels of a pixel in the order R, G, B

A 7 x 7 convolution with mask A gives 2 h features; each LSTM layer (`nets.pixel_lstm`) makes h of them, which a 1 x 1
convolution widens again and adds to its input (figure 5); then two 1 x 1 convolutions after rectifiers (table 1). The
default, 7 Diagonal BiLSTM layers of h = 16, is the paper's best for MNIST.

Departures from the paper: Adam under a warm-up and a cosine instead of RMSProp.

Sampling goes from site to site; of the diagonal layers the LSTM from the right goes along a row when it is complete.
"""
# ruff: noqa: ARG002 -- networks may be conditioned, this one is not

from typing import Literal

import torch
from torch import Tensor, nn

from urbild.contract import DataSpec, Model
from urbild.models.autoregressive.raster import Correction, corrected
from urbild.models.autoregressive.raster_network import Cache, Condition, leaving, parts_of
from urbild.models.autoregressive.residual import ResidualNetwork
from urbild.nets.masked import Left, Past, Window
from urbild.nets.pixel_lstm import DiagonalLstm, PixelLstm, RowLstm
from urbild.nets.stock import check_sizes
from urbild.nets.symbols import SymbolHead, Symbols, default_symbols

LAYERS = {"row": RowLstm, "diagonal": DiagonalLstm}


class Layer(nn.Module):
    """An LSTM layer and its residual connection.

    Args:
        kind: "row" or "diagonal".
        wide: groups of the 2 h features.
        narrow: groups of the h features.
    """

    def __init__(self, kind: str, wide: Tensor, narrow: Tensor) -> None:
        super().__init__()
        self.lstm: PixelLstm = LAYERS[kind](wide, narrow)
        self.up = Left(narrow, wide)

    def forward(self, x: Tensor) -> Tensor:
        """[N, 2 h, H, W] of the same."""
        result: Tensor = x + self.up(self.lstm(x))
        return result


class RecurrentNetwork(ResidualNetwork):
    """The first convolution, the layers and the head.

    Args:
        channels: C.
        head: whose numbers it gives.
        kind: of the layers.
        layers: how many.
        width: h; raised to a multiple of the channels.
        embedding: size of a symbol's learned vector, or None for numbers.
    """

    def __init__(
        self, channels: int, head: SymbolHead, *, kind: str, layers: int, width: int, embedding: int | None
    ) -> None:
        super().__init__(
            channels,
            head,
            width=width,
            embedding=embedding,
            middle=lambda wide, narrow: (Layer(kind, wide, narrow) for _ in range(layers)),
        )

    def cache(self, n: int, size: tuple[int, int], condition: Condition) -> Cache:
        """See `RasterNetwork.cache`."""
        return RecurrentCache(self, n, size[1])


class RecurrentCache(Cache):
    """The rows that the layers still see, and the network's weights as matrices by group of channels."""

    def __init__(self, network: RecurrentNetwork, n: int, width: int) -> None:
        groups, wide = network.groups, 2 * network.width
        layers: list[Layer] = list(network.middle)  # type: ignore[arg-type]
        self._inputs, self._first = network.inputs, network.first
        self._past, self._window = Past(network.first.above, n, width), Window(network.first.left, n, width)
        self._layers = [layer.lstm.cache(n, width, groups) for layer in layers]
        like = network.hidden.weight
        self._terms = like.new_zeros(width, n, wide)
        self._states = [like.new_ones(n, network.width + 1) for _ in layers]
        self._rectified, self._hidden = (like.new_ones(n, wide + 1) for _ in range(2))
        numbers = network.outputs.weight.shape[0]
        self._wide, self._narrow = parts_of(wide, groups), parts_of(network.width, groups)
        self._matrices = [
            (network.first.left.taps(own), leaving(network.hidden, own), leaving(network.outputs, out))
            for own, out in zip(self._wide, parts_of(numbers, groups), strict=True)
        ]
        self._up = [[leaving(layer.up, own) for layer in layers] for own in self._wide]

    def row(self, i: int) -> None:
        """What the first convolution and the layers see of the rows above."""
        if i > 0:
            self._past.push(self._window.whole())
        assert self._first.left.bias is not None
        self._terms[:] = self._first.above.row(self._past.rows).permute(2, 0, 1) + self._first.left.bias
        for layer in self._layers:
            layer.row(i)

    def output(self, j: int, group: int) -> Tensor:
        """The network at a site, for one group of channels."""
        wide, narrow = self._wide[group], self._narrow[group]
        first, to_hidden, to_outputs = self._matrices[group]
        x = torch.addmm(self._terms[j][:, wide], self._window.seen[j], first)
        for at, layer in enumerate(self._layers):
            layer.window.site[j][:, wide] = x
            self._states[at][:, narrow] = layer.site(j, group)
            x = torch.addmm(x, self._states[at], self._up[group][at])
        torch.clamp_min(x, 0, out=self._rectified[:, wide])
        torch.clamp_min(torch.mm(self._rectified, to_hidden), 0, out=self._hidden[:, wide])
        return torch.mm(self._hidden, to_outputs)

    def put(self, j: int, group: int, symbols: Tensor) -> None:
        """Writes the symbols as input of the first convolution."""
        self._inputs.write(self._window.site[j], group, symbols)


def pixel_rnn(
    spec: DataSpec,
    *,
    kind: Literal["row", "diagonal"] = "diagonal",
    layers: int = 7,
    width: int = 16,
    likelihood: Symbols | None = None,
    embedding: int | None = None,
    correction: Correction = "none",
    learning_rate: float = 1e-3,
) -> Model:
    """Builds a PixelRNN.

    Args:
        spec: of images.
        kind: of the layers: Row LSTM or Diagonal BiLSTM.
        layers: how many.
        width: h, units of a layer; between layers there are twice as many features. Raised to a multiple of the
            channels.
        likelihood: of a symbol; by default Binary for data of two levels, else Softmax.
        embedding: size of a learned vector for each symbol, for symbols without order; None feeds numbers.
        correction: of the score, by the complexity of the image (see `raster.Raster`).
        learning_rate: of Adam, at its highest.

    Raises:
        OptionError: an option is out of range.
    """
    check_sizes(layers=layers, width=width, embedding=embedding, learning_rate=learning_rate)
    head = (likelihood or default_symbols(spec)).head(spec)

    def network() -> RecurrentNetwork:
        return RecurrentNetwork(spec.channels, head, kind=kind, layers=layers, width=width, embedding=embedding)

    return corrected(spec, network, head, correction, learning_rate=learning_rate)
