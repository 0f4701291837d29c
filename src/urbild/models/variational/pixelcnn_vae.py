"""PixelVAE: a variational autoencoder whose decoder is a gated PixelCNN.

Gulrajani et al. 2016, PixelVAE: A Latent Variable Model for Natural Images, https://arxiv.org/abs/1611.05013

    maximise  E_q(z|x)[ sum_i ln p(x_i | x_<i, z) ] - beta KL( q(z|x) || N(0, 1) )              in nats (equation 1)

with q(z|x) a diagonal Gaussian. z enters both halves of every gate, as a bias and as maps of the image's size (the two
forms of the paper together: a stack that sees little does not know where in the image it is, and a bias alone could not
tell it what belongs there). By default `beta` rises from 0 to 1 over the first tenth of training (Bowman et al. 2015,
https://arxiv.org/abs/1511.06349, section 3.1).

A decoder that sees all earlier pixels models images without z: the KL then falls to 0, the bound to the likelihood of
the decoder alone, and codes say nothing (posterior collapse). The bound does not show it; `evaluation.latents` does. A
small window leaves z what lies outside it (Chen et al. 2016, Variational lossy autoencoder, section 2.2,
https://arxiv.org/abs/1611.02731). The default reaches 5 sites; layers=13, kernel=5 is the paper's decoder for MNIST,
which reaches 27.

`decode` and `reconstruct` draw pixels with fixed noise, the same for every row, and show what each pixel was expected
to be by those drawn before it: the mode would be a blank page for many a decoder, and noise that differed would make
two images of one code. `sample` draws z and pixels; a temperature acts on both.

`log_prob` is the ELBO with one draw of z, by the same noise for every row, and with more the bound of Burda et al.
2015, equation 8 (https://arxiv.org/abs/1509.00519). The score is the negative ELBO with z at the centre of q, in nats;
the map has the surprise of each site in nats.

Departures from the paper: stock networks instead of its convolutions; no weight normalisation; z enters the gates and
not the two layers of the head; Adam under a warm-up and a cosine.
"""
# ruff: noqa: ARG002, D102 -- the verbs are documented in the contract; `given` is not used here

from collections.abc import Sequence
from dataclasses import replace
from math import log

import torch
from torch import Tensor, nn

from urbild.contract import (
    Anomaly,
    Batch,
    DataSpec,
    Decodes,
    Density,
    Encodes,
    Likelihood,
    Losses,
    Model,
    Reconstructs,
    Samples,
    Scores,
    Stage,
    Turn,
    adam,
)
from urbild.models.autoregressive.raster_network import Condition
from urbild.models.variational.kl_weights import KlWeight, Rising
from urbild.models.variational.pixel_decoder import PixelDecoder, pixel_decoder
from urbild.models.variational.vae import LOG_VARIANCE
from urbild.nets import stock
from urbild.nets.symbols import Symbols
from urbild.ops.gaussians import gaussian_kl, gaussian_log_density, reparameterise
from urbild.ops.precision import full
from urbild.ops.schedules import warm_cosine

MAPS = 16  # channels of the maps that z is raised to


class PixelcnnVae(Model, Samples, Encodes, Decodes, Reconstructs, Density, Scores):
    """A latent-variable model of which the pixels depend on each other, too.

    Args:
        spec: of images.
        encoder: maps images to the posterior's mean and log-variance, side by side: [N, 2 Z].
        climb: maps z [N, Z] to maps [N, M, H, W].
        decoder: told of both.
        latent: Z.
        kl: its weight.
        learning_rate: of Adam, at its highest.
    """

    def __init__(
        self,
        spec: DataSpec,
        encoder: nn.Module,
        climb: nn.Module,
        decoder: PixelDecoder,
        *,
        latent: int,
        kl: KlWeight,
        learning_rate: float = 1e-3,
    ) -> None:
        super().__init__()
        self.spec, self.encoder, self.climb, self.decoder = spec, encoder, climb, decoder
        self.latent, self.kl, self.learning_rate = latent, kl, learning_rate

    def stages(self) -> Sequence[Stage]:
        turn = Turn(
            name="elbo",
            modules=(self.encoder, self.climb, self.decoder),
            loss=self.loss,
            optimiser=adam(self.learning_rate),
            rate=warm_cosine,
        )
        # the loss itself grows with the weight of its KL, and would be no criterion
        return (Stage(name="pixelvae", turns=(turn,), monitor=lambda batch: -self.log_prob(batch.x).value),)

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance [N, Z] of q(z|x)."""
        return self._posterior(self.decoder.symbols(x))

    def _posterior(self, symbols: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_variance = full(self.encoder(self.decoder.values(symbols))).chunk(2, dim=1)
        return mean, log_variance.clamp(*LOG_VARIANCE)

    def told(self, z: Tensor) -> Condition:
        """What the decoder is told of z [N, Z]."""
        return Condition(vector=z, maps=self.climb(z))

    def surprise(self, x: Tensor, z: Tensor) -> Tensor:
        """Negative log-probability of images given z [N, Z], in nats: [N]."""
        return self._nats(self.decoder.symbols(x), z)

    def _nats(self, symbols: Tensor, z: Tensor) -> Tensor:
        return self.decoder.surprise(symbols, self.told(z)).flatten(1).sum(1)

    def loss(self, batch: Batch) -> Losses:
        """The negative ELBO of a sample with one draw, its KL weighted, in nats."""
        symbols = self.decoder.symbols(batch.x, training=True)
        mean, log_variance = self._posterior(symbols)
        z = reparameterise(mean, log_variance, torch.randn_like(mean))
        distortion = self._nats(symbols, z).mean()
        rate = gaussian_kl(mean, log_variance).mean()
        loss = distortion + self.kl.at(batch.progress) * rate
        return {"loss": loss, "distortion": distortion.detach(), "rate": rate.detach()}

    def sample(
        self, n: int, *, given: Tensor | None = None, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> Tensor:
        device = next(self.parameters()).device
        z = torch.randn(n, self.latent, generator=generator, device=generator.device if generator else device)
        condition = self.told(temperature * z.to(device))
        return self.decoder.draw(n, condition, temperature=temperature, generator=generator)

    def encode(self, x: Tensor, *, given: Tensor | None = None) -> Tensor:
        return self.posterior(x)[0]  # [N, Z]

    def decode(self, z: Tensor, *, given: Tensor | None = None) -> Tensor:
        return self.decoder.version(len(z), self.told(z))  # [N, C, H, W]

    def reconstruct(self, x: Tensor, *, given: Tensor | None = None) -> Tensor:
        return self.decode(self.encode(x))

    def log_prob(self, x: Tensor, *, given: Tensor | None = None, draws: int = 1) -> Likelihood:
        symbols = self.decoder.symbols(x)
        mean, log_variance = self._posterior(symbols)
        noise = torch.randn(draws, self.latent, generator=torch.Generator().manual_seed(0)).to(mean)
        if draws == 1:
            z = reparameterise(mean, log_variance, noise)
            bound = -self._nats(symbols, z) - gaussian_kl(mean, log_variance)
            return Likelihood(bound, kind="ELBO", draws=1)
        weights = torch.stack([self._log_weight(symbols, mean, log_variance, one) for one in noise])  # [draws, N]
        return Likelihood(weights.logsumexp(0) - log(draws), kind="IWAE", draws=draws)

    def _log_weight(self, symbols: Tensor, mean: Tensor, log_variance: Tensor, noise: Tensor) -> Tensor:
        """The weight ln p(x, z) - ln q(z|x) [N] at the draw that `noise` [Z] makes of each row's posterior."""
        z = reparameterise(mean, log_variance, noise)
        standard = torch.zeros_like(mean)
        joint = gaussian_log_density(z, standard, standard) - self._nats(symbols, z)
        return joint - gaussian_log_density(z, mean, log_variance)

    def anomaly(self, x: Tensor, *, given: Tensor | None = None) -> Anomaly:
        symbols = self.decoder.symbols(x)
        mean, log_variance = self._posterior(symbols)
        sites = self.decoder.surprise(symbols, self.told(mean))
        return Anomaly(gaussian_kl(mean, log_variance) + sites.flatten(1).sum(1), sites)


def pixelcnn_vae(
    spec: DataSpec,
    *,
    latent: int = 16,
    layers: int = 3,
    width: int = 32,
    kernel: int = 3,
    first_kernel: int = 7,
    likelihood: Symbols | None = None,
    kl: KlWeight | None = None,
    learning_rate: float = 1e-3,
) -> Model:
    """Builds a PixelVAE for images.

    Args:
        spec: of the data.
        latent: Z.
        layers: of either stack of the decoder; its reach is first_kernel // 2 + (layers - 1) * (kernel // 2).
        width: features of the decoder's layers; raised to a multiple of the channels.
        kernel: side of the decoder's convolutions after the first: odd.
        first_kernel: side of its first: odd.
        likelihood: of a symbol; by default Binary for data of two levels, else Softmax.
        kl: weight of the KL in the course of training; by default Rising(), to 1 over the first tenth.
        learning_rate: of Adam, at its highest.

    Raises:
        OptionError: an option is out of range, or the likelihood does not fit the data.
    """
    stock.check_sizes(latent=latent, learning_rate=learning_rate)
    weight = kl or Rising()
    weight.check()
    decoder = pixel_decoder(
        spec,
        likelihood,
        layers=layers,
        width=width,
        kernel=kernel,
        first_kernel=first_kernel,
        vector=latent,
        maps=MAPS,
    )
    encoder = stock.encoder(spec, 2 * latent)
    raised = replace(spec, shape=(MAPS, *spec.shape[1:]))
    climb = stock.decoder(raised, latent, network="convolutional")
    return PixelcnnVae(spec, encoder, climb, decoder, latent=latent, kl=weight, learning_rate=learning_rate)
