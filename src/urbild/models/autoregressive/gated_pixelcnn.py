"""Gated PixelCNN, unconditional, conditional on a class, or on a map.

Van den Oord et al. 2016, Conditional image generation with PixelCNN decoders, https://arxiv.org/abs/1606.05328

    p(x) = prod_i p(x_i | x_<i)        pixels in raster order, the channels of a pixel in the order R, G, B
    y = tanh(W_f * x + V_f h) . sigmoid(W_g * x + V_g h)                                     (equations 2 to 4)

Two stacks see all that came before, without a blind spot: the vertical one the rows above, the horizontal one the row
so far; the vertical one feeds the horizontal one through 1 x 1 convolutions before the gate (figure 2). The first layer
has a large kernel and mask A, and no residual connection; the others mask B, with residual connections in the
horizontal stack alone. The head is two masked 1 x 1 convolutions after rectifiers.

`h` is a class, one-hot, or a map with as many sites as the image (section 2.3).

Departures from the paper: Adam under a warm-up and a cosine instead of RMSProp; features of the vertical stack are not
split by channel, for the rows above are known whole; the default is smaller (10 layers of 64).

Sampling keeps what it has computed: the vertical stack once a row, the horizontal one once a site and channel.
"""

import torch
from torch import Tensor, nn

from urbild.contract import DataSpec, Model
from urbild.models.autoregressive.gated_drawing import GatedCache
from urbild.models.autoregressive.gated_layers import Layer
from urbild.models.autoregressive.raster import Correction, corrected
from urbild.models.autoregressive.raster_network import Cache, Condition, Inputs, RasterNetwork, check_kernel
from urbild.nets.labels import classes_of
from urbild.nets.masked import Left, group_width, groups_of
from urbild.nets.stock import check_sizes
from urbild.nets.symbols import SymbolHead, Symbols, default_symbols


class GatedNetwork(RasterNetwork):
    """The two stacks and their head.

    Args:
        channels: C.
        head: whose numbers it gives.
        layers: of either stack.
        width: F; raised to a multiple of the channels.
        kernel: of all layers but the first.
        first_kernel: of the first.
        embedding: size of a symbol's learned vector, or None for numbers.
        vector: entries of the condition's vector, or 0.
        maps: channels of the condition's maps, or 0.
    """

    def __init__(
        self,
        channels: int,
        head: SymbolHead,
        *,
        layers: int,
        width: int,
        kernel: int = 3,
        first_kernel: int = 7,
        embedding: int | None = None,
        vector: int = 0,
        maps: int = 0,
    ) -> None:
        super().__init__()
        groups = head.groups
        width = group_width(width, groups)
        self.inputs = Inputs(channels, head.levels, embedding)
        self.groups, self.width = groups, width
        own = groups_of(width, groups)
        first = {"vector": vector, "maps": maps, "first": True}
        rest = {"vector": vector, "maps": maps, "first": False}
        entries = self.inputs.groups if groups == channels else torch.zeros_like(self.inputs.groups)
        self.layers = nn.ModuleList([Layer(entries, len(entries), own, first_kernel, **first)])  # type: ignore[arg-type]
        self.layers.extend(Layer(own, width, own, kernel, **rest) for _ in range(layers - 1))  # type: ignore[arg-type]
        self.hidden = Left(own, own)
        self.outputs = Left(own, groups_of(groups * head.outputs, groups))

    def forward(self, symbols: Tensor, condition: Condition) -> Tensor:
        """[N, groups * outputs, H, W] of symbols [N, C, H, W]."""
        above = left = self.inputs(symbols)
        for layer in self.layers:
            above, left = layer(above, left, condition, last=layer is self.layers[-1])
        result: Tensor = self.outputs(torch.relu(self.hidden(torch.relu(left))))
        return result

    def cache(self, n: int, size: tuple[int, int], condition: Condition) -> Cache:
        """See `RasterNetwork.cache`."""
        layers: list[Layer] = list(self.layers)  # type: ignore[arg-type]
        head = (self.hidden, self.outputs)
        return GatedCache(self.inputs, layers, head, groups=self.groups, n=n, width=size[1], condition=condition)


def gated_pixelcnn(
    spec: DataSpec,
    *,
    layers: int = 10,
    width: int = 64,
    kernel: int = 3,
    likelihood: Symbols | None = None,
    embedding: int | None = None,
    conditional: bool = False,
    correction: Correction = "none",
    learning_rate: float = 1e-3,
) -> Model:
    """Builds a gated PixelCNN.

    Args:
        spec: of images.
        layers: of either stack.
        width: features of a layer; raised to a multiple of the channels.
        kernel: side of the convolutions after the first (which has 7): odd.
        likelihood: of a symbol; by default Binary for data of two levels, else Softmax.
        embedding: size of a learned vector for each symbol, for symbols without order; None feeds numbers.
        conditional: on the class of the sample.
        correction: of the score, by the complexity of the image (see `raster.Raster`).
        learning_rate: of Adam, at its highest.

    Raises:
        OptionError: an option is out of range, or the data have no classes to be conditioned on.
    """
    check_sizes(layers=layers, width=width, embedding=embedding, learning_rate=learning_rate)
    check_kernel(kernel)
    head = (likelihood or default_symbols(spec)).head(spec)
    classes = classes_of(spec, conditional=conditional)

    def network() -> GatedNetwork:
        return GatedNetwork(
            spec.channels, head, layers=layers, width=width, kernel=kernel, embedding=embedding, vector=classes
        )

    return corrected(spec, network, head, correction, classes=classes, learning_rate=learning_rate)
