"""Variational autoencoder.

Kingma and Welling 2013, Auto-Encoding Variational Bayes, https://arxiv.org/abs/1312.6114

    maximise  E_q(z|x)[ ln p(x|z) ] - beta KL( q(z|x) || N(0, 1) )        in nats, summed over pixels and latents

with q(z|x) a diagonal Gaussian, and z drawn as mean + sigma * noise (section 2.4). `beta` other than 1 is Higgins et
al. 2017 (https://openreview.net/forum?id=Sy2fzU9gl): the objective is then no bound, but `log_prob` always is.

`log_prob` is the ELBO with one draw, and with more the tighter bound of Burda et al. 2015, equation 8
(https://arxiv.org/abs/1509.00519). Under a Bernoulli likelihood, grey values give the expected nats of dynamic
binarisation, which is not a density of grey values.

The score draws nothing: it is the negative log-likelihood of x given the *mean* of its posterior, plus the KL. That is
the negative ELBO with the draw at its centre; a draw would give the same sample another score each time. The map is
the squared error of the reconstruction at each site.

Departures from the paper: stock networks; Adam under a warm-up and a cosine instead of Adagrad; samples are the mean
of p(x|z), as in the paper's figures, without the noise of the pixels.
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
from urbild.nets import stock
from urbild.nets.layers import Normalisation, Upsampling
from urbild.nets.observation_heads import Head
from urbild.nets.observations import Observation, default_observation
from urbild.ops.distances import site_error
from urbild.ops.gaussians import gaussian_kl, gaussian_log_density, reparameterise
from urbild.ops.precision import full
from urbild.ops.schedules import warm_cosine

LOG_VARIANCE = (-10.0, 10.0)  # of the posterior: beyond these the exponential overflows or the noise vanishes


class Vae(Model, Samples, Encodes, Decodes, Reconstructs, Density, Scores):
    """A latent-variable model with an amortised Gaussian posterior.

    Args:
        spec: of the data.
        encoder: maps samples [N, *shape] to the posterior's mean and log-variance, side by side: [N, 2 Z].
        decoder: maps latents [N, Z] to [N, *shape].
        head: reads the decoder's output as p(x|z).
        latent: Z.
        beta: weight of the KL.
        learning_rate: of Adam, at its highest.
    """

    def __init__(
        self,
        spec: DataSpec,
        encoder: nn.Module,
        decoder: nn.Module,
        head: Head,
        *,
        latent: int,
        beta: float = 1.0,
        learning_rate: float = 1e-3,
    ) -> None:
        super().__init__()
        self.spec = spec
        self.encoder, self.decoder, self.head = encoder, decoder, head
        self.latent, self.beta, self.learning_rate = latent, beta, learning_rate

    def stages(self) -> Sequence[Stage]:
        turn = Turn(
            name="elbo",
            modules=(self.encoder, self.decoder, self.head),
            loss=self.loss,
            optimiser=adam(self.learning_rate),
            rate=warm_cosine,
        )
        return (Stage(name="vae", turns=(turn,)),)

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance [N, Z] of q(z|x)."""
        mean, log_variance = full(self.encoder(x)).chunk(2, dim=1)
        return mean, log_variance.clamp(*LOG_VARIANCE)

    def loss(self, batch: Batch) -> Losses:
        """The negative ELBO of a sample with one draw, its KL weighted by `beta`, in nats."""
        mean, log_variance = self.posterior(batch.x)
        z = reparameterise(mean, log_variance, torch.randn_like(mean))
        distortion = -self.head.log_likelihood(batch.x, self.decoder(z)).mean()
        rate = gaussian_kl(mean, log_variance).mean()
        return {"loss": distortion + self.beta * rate, "distortion": distortion, "rate": rate}

    def sample(
        self, n: int, *, given: Tensor | None = None, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> Tensor:
        device = next(self.parameters()).device
        z = torch.randn(n, self.latent, generator=generator, device=generator.device if generator else device)
        return self.decode(temperature * z.to(device))

    def encode(self, x: Tensor, *, given: Tensor | None = None) -> Tensor:
        return self.posterior(x)[0]  # [N, Z]

    def decode(self, z: Tensor, *, given: Tensor | None = None) -> Tensor:
        return self.head.mean(self.decoder(z))  # [N, *shape]

    def reconstruct(self, x: Tensor, *, given: Tensor | None = None) -> Tensor:
        return self.decode(self.encode(x))

    def log_prob(self, x: Tensor, *, given: Tensor | None = None, draws: int = 1) -> Likelihood:
        mean, log_variance = self.posterior(x)
        noise = torch.randn(draws, self.latent, generator=torch.Generator().manual_seed(0)).to(x)
        if draws == 1:
            z = reparameterise(mean, log_variance, noise)
            bound = self.head.log_likelihood(x, self.decoder(z)) - gaussian_kl(mean, log_variance)
            return Likelihood(bound, kind="ELBO", draws=1)
        weights = torch.stack([self._log_weight(x, mean, log_variance, one) for one in noise])  # [draws, N]
        return Likelihood(weights.logsumexp(0) - log(draws), kind="IWAE", draws=draws)

    def _log_weight(self, x: Tensor, mean: Tensor, log_variance: Tensor, noise: Tensor) -> Tensor:
        """The weight ln p(x, z) - ln q(z|x) [N] at the draw that `noise` [Z] makes of each row's posterior."""
        z = reparameterise(mean, log_variance, noise)
        standard = torch.zeros_like(mean)
        joint = self.head.log_likelihood(x, self.decoder(z)) + gaussian_log_density(z, standard, standard)
        return joint - gaussian_log_density(z, mean, log_variance)

    def anomaly(self, x: Tensor, *, given: Tensor | None = None) -> Anomaly:
        mean, log_variance = self.posterior(x)
        output = self.decoder(mean)
        score = gaussian_kl(mean, log_variance) - self.head.log_likelihood(x, output)
        return Anomaly(score, site_error(x, self.head.mean(output)))


def vae(
    spec: DataSpec,
    *,
    latent: int | None = None,
    likelihood: Observation | None = None,
    beta: float = 1.0,
    network: stock.Network = "auto",
    width: int | None = None,
    normalisation: Normalisation = "none",
    upsampling: Upsampling = "transposed",
    learning_rate: float = 1e-3,
) -> Model:
    """Builds a variational autoencoder from the stock networks.

    Args:
        spec: of the data.
        latent: numbers in a latent; by default 32 for images, and for vectors a quarter of the columns, at most 16.
        likelihood: p(x|z); by default Gaussian, of scale .3 for images and of learned scales for vectors.
        beta: weight of the KL in training.
        network: "auto" takes dense layers for vectors and small images (up to 64 x 64 in grey), else convolutions.
        width: units of the first hidden layer (default 128 for vectors, 512 for images), or channels of the first
            convolution (default 32).
        normalisation: of the hidden layers.
        upsampling: in convolutional decoders.
        learning_rate: of Adam, at its highest.

    Raises:
        OptionError: an option is out of range, or the likelihood does not fit the data.
    """
    stock.check_sizes(latent=latent, width=width, beta=beta, learning_rate=learning_rate)
    latent = latent or stock.default_latent(spec, image=32)
    observation = likelihood or default_observation(spec)
    head, wide = observation.head(spec), replace(spec, shape=(observation.outputs(spec), *spec.shape[1:]))
    encoder = stock.encoder(spec, 2 * latent, network=network, width=width, normalisation=normalisation)
    decoder = stock.decoder(
        wide, latent, network=network, width=width, normalisation=normalisation, upsampling=upsampling
    )
    return Vae(spec, encoder, decoder, head, latent=latent, beta=beta, learning_rate=learning_rate)
