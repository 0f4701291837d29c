"""A gated PixelCNN as a decoder: p(x | code) = prod_i p(x_i | x_<i, code), pixels in raster order.

Gulrajani et al. 2016, PixelVAE, https://arxiv.org/abs/1611.05013 (a latent vector enters each gate as a bias), and van
den Oord et al. 2016, Conditional image generation with PixelCNN decoders, https://arxiv.org/abs/1606.05328, section 2.3
(maps enter each gate at their site).

How far the decoder sees decides what is left for the code. A stack reaches first_kernel // 2 + (layers - 1) *
(kernel // 2) sites up and to the left: what can be told from these costs nothing, and a code that costs a KL will not
say it (Chen et al. 2016, Variational lossy autoencoder, https://arxiv.org/abs/1611.02731, section 2.2).
"""

import torch
from torch import Tensor, nn

from urbild.contract import DataSpec
from urbild.errors import OptionError
from urbild.models.autoregressive.gated_pixelcnn import GatedNetwork
from urbild.models.autoregressive.raster_drawing import draw, noise_for
from urbild.models.autoregressive.raster_network import Condition
from urbild.nets.layers import image_size
from urbild.nets.stock import check_sizes
from urbild.nets.symbols import SymbolHead, Symbols, default_symbols


class PixelDecoder(nn.Module):
    """Gives images their probability under a condition, and draws them.

    Args:
        spec: of the images.
        network: causal, told of the condition.
        head: that reads it.
    """

    def __init__(self, spec: DataSpec, network: GatedNetwork, head: SymbolHead) -> None:
        super().__init__()
        self.spec, self.network, self.head = spec, network, head

    def symbols(self, x: Tensor, *, training: bool = False) -> Tensor:
        """Symbols int64 [N, C, H, W] of images; grey values may be drawn black or white in training."""
        return self.head.symbols(x, training=training)

    def values(self, symbols: Tensor) -> Tensor:
        """Images [N, C, H, W] in [0, 1] of symbols: what an encoder sees, so that both ends speak of the same image."""
        return self.head.values(symbols).to(torch.get_default_dtype())

    def surprise(self, symbols: Tensor, condition: Condition) -> Tensor:
        """Negative log-probability, in nats, of each site [N, H, W] of symbols [N, C, H, W]."""
        return self.head.surprise(self.network(symbols, condition), symbols).sum(1)

    def draw(
        self, n: int, condition: Condition, *, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> Tensor:
        """Images [n, C, H, W], each with noise of its own."""
        noise = noise_for(self.head, n, image_size(self.spec), generator)
        return self.values(self._drawn(noise, condition, temperature))

    def version(self, n: int, condition: Condition) -> Tensor:
        """Expected pixels [n, C, H, W] given the pixels before, which are drawn with the same noise for all images.

        Differences among the images are thus those of their condition. A head without a closed form shows what it
        drew.
        """
        noise = noise_for(self.head, 1, image_size(self.spec), torch.Generator().manual_seed(0))
        symbols = self._drawn(noise.expand(-1, -1, -1, n, -1), condition, 1.0)
        return self.head.mean(self.network(symbols, condition), symbols)

    def _drawn(self, noise: Tensor, condition: Condition, temperature: float) -> Tensor:
        channels = self.spec.channels
        return draw(self.network, self.head, noise, condition, channels=channels, temperature=temperature)


def pixel_decoder(
    spec: DataSpec,
    likelihood: Symbols | None,
    *,
    layers: int,
    width: int,
    kernel: int,
    first_kernel: int,
    vector: int = 0,
    maps: int = 0,
) -> PixelDecoder:
    """Builds a decoder.

    Args:
        spec: of the images.
        likelihood: of a symbol; by default Binary for data of two levels, else Softmax.
        layers: of either stack.
        width: features of a layer; raised to a multiple of the channels.
        kernel: side of the convolutions after the first.
        first_kernel: side of the first.
        vector: entries of the condition's vector, or 0.
        maps: channels of the condition's maps, or 0.

    Raises:
        OptionError: an option is out of range, or the likelihood does not fit the data.
    """
    check_sizes(layers=layers, width=width)
    for name, side in (("kernel", kernel), ("first_kernel", first_kernel)):
        if side < 3 or side % 2 == 0:
            msg = f"{name} must be odd and at least 3, and is {side}."
            raise OptionError(msg)
    head = (likelihood or default_symbols(spec)).head(spec)
    network = GatedNetwork(
        spec.channels,
        head,
        layers=layers,
        width=width,
        kernel=kernel,
        first_kernel=first_kernel,
        vector=vector,
        maps=maps,
    )
    return PixelDecoder(spec, network, head)
