"""VQ-VAE with a gated PixelCNN as decoder: symbols for the layout, pixels that depend on each other for the rest.

van den Oord, Vinyals and Kavukcuoglu 2017, Neural Discrete Representation Learning, https://arxiv.org/abs/1711.00937
(section 3 on why it does not collapse), with the decoder of van den Oord et al. 2016, Conditional image generation with
PixelCNN decoders, https://arxiv.org/abs/1606.05328 (section 2.3: maps in the gates).

    minimise  - sum_i ln p(x_i | x_<i, z_q) / D + || sg[z_e] - e ||^2 + beta || z_e - sg[e] ||^2

over the D entries of x. Under a fixed uniform prior of the codes the KL of a position is the constant ln K: no gradient
switches the codes off, however far the decoder sees, as it does in a PixelVAE. What may go wrong instead is that codes
are not used; `evaluation.latents` measures both.

Codes are raised to maps of the image's size, which enter every gate at their site. `decode` and `reconstruct` draw
pixels with fixed noise, the same for every row, and show what each was expected to be by those before it. The score is
the surprise of an image given its codes, in nats an entry, plus the distance of z_e to its code vectors; the map has
the surprise of each site in nats.

Without a prior over its symbols the model does not sample.
"""
# ruff: noqa: ARG002, D102 -- the verbs are documented in the contract; `given` is not used here

from collections.abc import Sequence

from torch import Tensor, nn

from urbild.contract import (
    Anomaly,
    Batch,
    DataSpec,
    Discrete,
    Losses,
    Model,
    Reconstructs,
    Scores,
    Stage,
    Turn,
    adam,
)
from urbild.models.autoregressive.raster_network import Condition
from urbild.models.variational.pixel_decoder import PixelDecoder, pixel_decoder
from urbild.models.variational.vqvae import CENTRE
from urbild.nets import strided
from urbild.nets.layers import image_size
from urbild.nets.quantisers import Ema, Grouped, Quantiser, grouped
from urbild.nets.stock import check_sizes
from urbild.nets.symbols import Symbols
from urbild.ops.precision import full
from urbild.ops.schedules import warm_cosine

RESIDUAL = 2  # blocks in the encoder and behind the codes, as in the authors' example
SIZE = 16  # numbers in a code


class PixelcnnVqvae(Model, Discrete, Reconstructs, Scores):
    """An autoencoder with a codebook, whose decoder draws pixel by pixel.

    Args:
        spec: of images.
        encoder: maps images [N, C, H, W] in [-1/2, 1/2] to codes [N, D, h, w].
        quantiser: of K code vectors.
        climb: maps code vectors [N, D, h, w] to maps [N, M, H, W].
        decoder: told of the maps.
        code_spec: of the symbols of one image.
        learning_rate: of Adam, at its highest.
    """

    def __init__(
        self,
        spec: DataSpec,
        encoder: nn.Module,
        quantiser: Grouped,
        climb: nn.Module,
        decoder: PixelDecoder,
        *,
        code_spec: DataSpec,
        learning_rate: float = 1e-3,
    ) -> None:
        super().__init__()
        self.spec, self.code_spec, self.learning_rate = spec, code_spec, learning_rate
        self.encoder, self.quantiser, self.climb, self.decoder = encoder, quantiser, climb, decoder

    def stages(self) -> Sequence[Stage]:
        turn = Turn(
            name="codes",
            modules=(self.encoder, self.quantiser, self.climb, self.decoder),
            loss=self.loss,
            optimiser=adam(self.learning_rate),
            rate=warm_cosine,
        )
        return (Stage(name="pixelvqvae", turns=(turn,), monitor=self._monitored),)

    def _monitored(self, batch: Batch) -> Tensor:
        return self.surprise(batch.x, self.encode(batch.x))

    def features(self, symbols: Tensor) -> Tensor:
        """Codes before quantisation, z_e [N, D, h, w], of an image's symbols [N, C, H, W]."""
        return full(self.encoder(self.decoder.values(symbols) - CENTRE))

    def _sites(self, symbols: Tensor, z_q: Tensor) -> Tensor:
        """Nats of each site [N, H, W] given code vectors."""
        return self.decoder.surprise(symbols, Condition(maps=self.climb(z_q)))

    def loss(self, batch: Batch) -> Losses:
        """Means over the batch and over entries, as the module says."""
        symbols = self.decoder.symbols(batch.x, training=True)
        said = self.quantiser(self.features(symbols), batch.progress)
        nats = self._sites(symbols, said.z_q).flatten(1).sum(1).mean()
        loss = nats / self.spec.size + said.loss + said.rate / self.spec.size
        return {"loss": loss, "distortion": nats.detach(), **said.logs}

    def surprise(self, x: Tensor, codes: Tensor) -> Tensor:
        """Negative log-probability of images given symbols of codes [N, 1, h, w], in nats: [N]."""
        return self._sites(self.decoder.symbols(x), self.quantiser.lookup(codes)).flatten(1).sum(1)

    def encode(self, x: Tensor, *, given: Tensor | None = None) -> Tensor:
        return self.quantiser.indices(self.features(self.decoder.symbols(x)))  # int64 [N, 1, h, w]

    def decode(self, z: Tensor, *, given: Tensor | None = None) -> Tensor:
        return self.decoder.version(len(z), Condition(maps=self.climb(self.quantiser.lookup(z))))  # [N, C, H, W]

    def reconstruct(self, x: Tensor, *, given: Tensor | None = None) -> Tensor:
        return self.decode(self.encode(x))

    def anomaly(self, x: Tensor, *, given: Tensor | None = None) -> Anomaly:
        symbols = self.decoder.symbols(x)
        z = self.features(symbols)
        codes = self.quantiser.indices(z)
        sites = self._sites(symbols, self.quantiser.lookup(codes))
        distance = self.quantiser.distance(z, codes).flatten(1).mean(1)
        return Anomaly(sites.flatten(1).sum(1) / self.spec.size + distance, sites)


def _start(network: nn.Module) -> None:
    """Weights by which an image's differences keep their size through rectifiers (He et al. 2015, equation 10).

    With smaller ones the decoder is told next to the same of all codes, and is slow to find that they differ.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def pixelcnn_vqvae(
    spec: DataSpec,
    *,
    quantiser: Quantiser | None = None,
    down: int = 2,
    layers: int = 6,
    width: int = 32,
    kernel: int = 5,
    first_kernel: int = 7,
    likelihood: Symbols | None = None,
    learning_rate: float = 1e-3,
) -> Model:
    """Builds a VQ-VAE for images whose decoder is a PixelCNN.

    Args:
        spec: of the data.
        quantiser: by default Ema(codes=64), codes that follow moving averages.
        down: how often the sides are halved: an image of 28 x 28 has 7 x 7 positions at 2.
        layers: of either stack of the decoder; its reach is first_kernel // 2 + (layers - 1) * (kernel // 2).
        width: features of the decoder's layers, raised to a multiple of the channels; half the channels of the networks
            around the codes.
        kernel: side of the decoder's convolutions after the first: odd.
        first_kernel: side of its first: odd.
        likelihood: of a symbol; by default Binary for data of two levels, else Softmax.
        learning_rate: of Adam, at its highest.

    Raises:
        OptionError: an option is out of range, or the likelihood does not fit the data.
    """
    check_sizes(down=down, learning_rate=learning_rate)
    part, image = quantiser or Ema(codes=64), image_size(spec)
    books = grouped(part, SIZE)
    decoder = pixel_decoder(
        spec, likelihood, layers=layers, width=width, kernel=kernel, first_kernel=first_kernel, maps=width
    )
    sizes = {"hidden": 2 * width, "residual": RESIDUAL}
    encoder = nn.Sequential(strided.down_path(spec.channels, image, down, **sizes), nn.Conv2d(2 * width, SIZE, 1))
    climb = strided.up_path(SIZE, width, image, down, **sizes)
    _start(encoder)
    _start(climb)
    code_spec = DataSpec(shape=(1, *strided.sizes_down(image, down)[-1]), kind="image", levels=part.codes)
    return PixelcnnVqvae(spec, encoder, books, climb, decoder, code_spec=code_spec, learning_rate=learning_rate)
