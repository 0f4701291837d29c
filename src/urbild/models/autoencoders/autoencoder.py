"""Undercomplete autoencoder, dense or convolutional.

Hinton and Salakhutdinov 2006, Reducing the dimensionality of data with neural networks,
https://doi.org/10.1126/science.1127647

    minimise  E || x - g(f(x)) ||^2        f: x -> code of `latent` numbers, g: code -> x

An anomaly's score is its mean squared error, its map the squared error at each site.

Departures from the paper:
- Adam from a random start, under a warm-up and a cosine, instead of stacked RBMs and conjugate gradients: rectifiers
  need no pretraining.
- Squared error instead of cross-entropy, so that the score is what was trained, on images and tables alike.
- The output is linear, and clipped to [0, 1] for images when it is read: a sigmoid under the squared error can saturate
  at black and learn nothing more.
- Large images pass through convolutions (Masci et al. 2011, https://doi.org/10.1007/978-3-642-21735-7_7), strided
  instead of pooled; small ones through dense layers, as in the paper (`nets.stock` says why).
"""
# ruff: noqa: ARG002, D102 -- the verbs are documented in the contract; `given` is not used here

from collections.abc import Sequence

from torch import Tensor, nn

from urbild.contract import (
    Anomaly,
    Batch,
    DataSpec,
    Decodes,
    Encodes,
    Losses,
    Model,
    Reconstructs,
    Scores,
    Stage,
    Turn,
    adam,
)
from urbild.nets import stock
from urbild.nets.layers import Normalisation, Upsampling
from urbild.ops.distances import mean_squared_error, site_error, squared_error
from urbild.ops.precision import full
from urbild.ops.schedules import warm_cosine


class Autoencoder(Model, Encodes, Decodes, Reconstructs, Scores):
    """Reconstructs samples through a narrow code.

    Args:
        spec: of the data.
        encoder: maps samples [N, *shape] to codes [N, Z].
        decoder: maps codes [N, Z] to [N, *shape]; its output is clipped to [0, 1] for images.
        learning_rate: of Adam, at its highest.
    """

    def __init__(self, spec: DataSpec, encoder: nn.Module, decoder: nn.Module, *, learning_rate: float = 1e-3) -> None:
        super().__init__()
        self.spec = spec
        self.encoder, self.decoder = encoder, decoder
        self.learning_rate = learning_rate

    def stages(self) -> Sequence[Stage]:
        turn = Turn(
            name="reconstruct",
            modules=(self.encoder, self.decoder),
            loss=self.loss,
            optimiser=adam(self.learning_rate),
            rate=warm_cosine,
        )
        return (Stage(name="autoencoder", turns=(turn,)),)

    def loss(self, batch: Batch) -> Losses:
        """The squared error of a sample, summed over its entries."""
        version = full(self.decoder(self.encoder(batch.x)))
        return {"loss": squared_error(batch.x, version).mean()}

    def encode(self, x: Tensor, *, given: Tensor | None = None) -> Tensor:
        code: Tensor = self.encoder(x)
        return code  # [N, Z]

    def decode(self, z: Tensor, *, given: Tensor | None = None) -> Tensor:
        output = full(self.decoder(z))
        return output.clamp(0, 1) if self.spec.kind == "image" else output  # [N, *shape]

    def reconstruct(self, x: Tensor, *, given: Tensor | None = None) -> Tensor:
        return self.decode(self.encode(x))

    def anomaly(self, x: Tensor, *, given: Tensor | None = None) -> Anomaly:
        version = self.reconstruct(x)
        return Anomaly(mean_squared_error(x, version), site_error(x, version))


def autoencoder(
    spec: DataSpec,
    *,
    latent: int | None = None,
    network: stock.Network = "auto",
    width: int | None = None,
    normalisation: Normalisation = "none",
    upsampling: Upsampling = "transposed",
    learning_rate: float = 1e-3,
) -> Model:
    """Builds an autoencoder from the stock networks.

    Args:
        spec: of the data.
        latent: numbers in a code; by default 12 for small images, 64 for larger ones, and for vectors a quarter of the
            columns, at most 16.
        network: "auto" takes dense layers for vectors and small images (up to 64 x 64 in grey), else convolutions.
        width: units of the first hidden layer (default 128 for vectors, 512 for images), or channels of the first
            convolution (default 32).
        normalisation: of the hidden layers.
        upsampling: in convolutional decoders.
        learning_rate: of Adam, at its highest.

    Raises:
        OptionError: an option is out of range.
    """
    stock.check_sizes(latent=latent, width=width, learning_rate=learning_rate)
    latent = latent or stock.default_latent(spec, image=12 if spec.size <= stock.SMALL_IMAGE else 64)
    encoder = stock.encoder(spec, latent, network=network, width=width, normalisation=normalisation)
    decoder = stock.decoder(
        spec, latent, network=network, width=width, normalisation=normalisation, upsampling=upsampling
    )
    return Autoencoder(spec, encoder, decoder, learning_rate=learning_rate)
