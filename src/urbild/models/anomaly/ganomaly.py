"""GANomaly: the distance between two encodings of a sample and of its reconstruction.

Akcay, Atapour-Abarghouei and Breckon 2018, GANomaly: Semi-supervised anomaly detection via adversarial training,
https://arxiv.org/abs/1805.06725

    z = E(x), x^ = D(z), z^ = E'(x^); f: the discriminator's features before its last layer
    generator      minimise  w_adv |f(x) - f(x^)|_2^2 + w_con |x - x^|_1 + w_enc |z - z^|_2^2        (means; 1, 50, 1)
    discriminator  minimise  .5 ( BCE(d(x), 1) + BCE(d(x^), 0) )
    score(x) = mean (z - z^)^2

The score comes from the codes; the map does not: it is the squared residual of the reconstruction at each site.

Departures from the authors' code, which the numbers in the literature come from:
- Scores are taken in evaluation mode, after a fixed budget. (Theirs are taken with batch statistics, at the epoch that
  is best on the test set.)
- Images are brought to [-1, 1], which the generator's tanh can reach.
- The discriminator is not drawn anew when its loss falls below 1e-5: the generator learns from its features, not from
  its verdict, and the verdict is a logit, so no gradient dies there; and a model that is redrawn at some step could not
  be resumed from any.
- Any image size: `nets.dcgan` says how; residuals are taken at the working size, reconstructions brought back.
- Vectors: dense networks without normalisation, and no tanh.
"""
# ruff: noqa: ARG002, D102 -- the verbs are documented in the contract; `given` is not used here

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

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
from urbild.nets import dcgan, stock
from urbild.nets.layers import image_size
from urbild.ops.distances import mean_absolute_error, mean_squared_error, site_error
from urbild.ops.precision import full
from urbild.ops.resampling import resize


class Networks(NamedTuple):
    """The five parts: three of the generator, two of the discriminator."""

    encoder: nn.Module  # [N, C, H, W] -> z [N, Z]
    decoder: nn.Module  # z -> [N, C, H, W] in the working range
    second: nn.Module  # [N, C, H, W] -> z^ [N, Z]
    features: nn.Module  # [N, C, H, W] -> f
    verdict: nn.Module  # f -> logit [N, 1]


class Ganomaly(Model, Encodes, Decodes, Reconstructs, Scores):
    """An autoencoder whose reconstruction is encoded again, trained against a discriminator.

    Args:
        spec: of the data.
        networks: on working samples.
        contextual: weight of the reconstruction.
        learning_rate: of both players.
    """

    def __init__(
        self, spec: DataSpec, networks: Networks, *, contextual: float = 50.0, learning_rate: float = 2e-4
    ) -> None:
        super().__init__()
        self.spec = spec
        self.encoder, self.decoder, self.second = networks.encoder, networks.decoder, networks.second
        self.features, self.verdict = networks.features, networks.verdict
        self.contextual, self.learning_rate = contextual, learning_rate

    def stages(self) -> Sequence[Stage]:
        optimiser = adam(self.learning_rate, betas=(0.5, 0.999))
        generator = Turn(
            name="generator",
            modules=(self.encoder, self.decoder, self.second),
            loss=self.generator_loss,
            optimiser=optimiser,
        )
        discriminator = Turn(
            name="discriminator",
            modules=(self.features, self.verdict),
            loss=self.discriminator_loss,
            optimiser=optimiser,
        )
        return (Stage(name="ganomaly", turns=(generator, discriminator)),)

    def _work(self, x: Tensor) -> Tensor:
        """Samples at the working size, images in [-1, 1]."""
        if self.spec.kind != "image":
            return x
        return 2 * resize(x, dcgan.working_size(image_size(self.spec))) - 1

    def _restore(self, x: Tensor) -> Tensor:
        """Working samples in the shape and range of the data."""
        if self.spec.kind != "image":
            return x
        return resize((x + 1) / 2, image_size(self.spec))

    def generator_loss(self, batch: Batch) -> Losses:
        """Equation 4: adversarial (features), contextual (reconstruction) and encoder (codes) terms."""
        x = self._work(batch.x)
        z = self.encoder(x)
        version = self.decoder(z)
        adversarial = mean_squared_error(full(self.features(x)).detach(), full(self.features(version))).mean()
        contextual = mean_absolute_error(x, full(version)).mean()
        codes = mean_squared_error(full(z), full(self.second(version))).mean()
        loss = adversarial + self.contextual * contextual + codes
        return {"loss": loss, "adversarial": adversarial, "contextual": contextual, "codes": codes}

    def discriminator_loss(self, batch: Batch) -> Losses:
        """Mean cross-entropy of telling samples from reconstructions, in nats."""
        x = self._work(batch.x)
        with torch.no_grad():
            version = self.decoder(self.encoder(x))
        real, fake = full(self.verdict(self.features(x))), full(self.verdict(self.features(version)))
        entropy = functional.softplus(-real).mean() + functional.softplus(fake).mean()
        return {"loss": 0.5 * entropy, "told": ((real > 0).float().mean() + (fake < 0).float().mean()) / 2}

    def encode(self, x: Tensor, *, given: Tensor | None = None) -> Tensor:
        code: Tensor = self.encoder(self._work(x))
        return code  # [N, Z]

    def decode(self, z: Tensor, *, given: Tensor | None = None) -> Tensor:
        return self._restore(self.decoder(z))  # [N, *shape]

    def reconstruct(self, x: Tensor, *, given: Tensor | None = None) -> Tensor:
        return self.decode(self.encode(x))

    def anomaly(self, x: Tensor, *, given: Tensor | None = None) -> Anomaly:
        z = self.encode(x)
        version = self.decoder(z)
        score = mean_squared_error(z, self.second(version))
        return Anomaly(score, site_error(x, self._restore(version)))


def _image_networks(spec: DataSpec, latent: int, width: int) -> Networks:
    size, channels = image_size(spec), spec.channels
    return Networks(
        encoder=nn.Sequential(dcgan.down(channels, size, width), dcgan.top(size, width, latent)),
        decoder=nn.Sequential(dcgan.up(channels, size, width, latent), nn.Tanh()),
        second=nn.Sequential(dcgan.down(channels, size, width), dcgan.top(size, width, latent)),
        features=dcgan.down(channels, size, width),
        verdict=dcgan.top(size, width, 1),
    )


def _vector_networks(spec: DataSpec, latent: int, width: int) -> Networks:
    return Networks(
        encoder=stock.encoder(spec, latent, width=width),
        decoder=stock.decoder(spec, latent, width=width),
        second=stock.encoder(spec, latent, width=width),
        features=nn.Sequential(stock.encoder(spec, width, width=width), nn.LeakyReLU(0.2)),
        verdict=nn.Linear(width, 1),
    )


def ganomaly(
    spec: DataSpec,
    *,
    latent: int | None = None,
    width: int | None = None,
    contextual: float = 50.0,
    learning_rate: float = 2e-4,
) -> Model:
    """Builds GANomaly: the DCGAN pyramid for images, dense networks for vectors.

    Args:
        spec: of the data.
        latent: numbers in a code; by default 100 for images (the paper's), and for vectors a quarter of the columns, at
            most 16.
        width: channels of the first convolution (default 32, half of the paper's, for the sake of CPUs), or units of
            the first hidden layer (default 128).
        contextual: weight of the reconstruction, beside 1 for each of the other two terms.
        learning_rate: of both players' Adam.

    Raises:
        OptionError: an option is out of range.
    """
    stock.check_sizes(latent=latent, width=width, contextual=contextual, learning_rate=learning_rate)
    latent = latent or stock.default_latent(spec, image=100)
    if spec.kind == "image":
        networks = _image_networks(spec, latent, width or 32)
    else:
        networks = _vector_networks(spec, latent, width or 128)
    return Ganomaly(spec, networks, contextual=contextual, learning_rate=learning_rate)
