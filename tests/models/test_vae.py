"""Facts of the VAE: bounds that meet the exact likelihood, order in the number of draws, and terms by formula."""

import math

import pytest
import torch
from models_kit import DIGITS, auroc, brightness_auroc, digits, one_class, train
from torch import nn
from torch.distributions import MultivariateNormal, Normal, kl_divergence

from urbild.contract import Batch, DataSpec
from urbild.models.variational.vae import Vae, vae
from urbild.nets.observations import Bernoulli, Gaussian

SIZE, LATENT, NOISE = 5, 2, 0.4


def factor_analysis(*, exact: bool) -> tuple[Vae, MultivariateNormal]:
    """A linear-Gaussian VAE x = W z + b + noise, with its exact posterior or a wrong one, and the law of its x."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(SIZE, LATENT, generator=generator, dtype=torch.float64)
    # columns that are orthogonal make the exact posterior diagonal, as q is
    weight = torch.linalg.qr(weight).Q * torch.tensor([1.5, 0.7], dtype=torch.float64)
    bias = torch.randn(SIZE, generator=generator, dtype=torch.float64)
    variance = 1 / (1 + weight.square().sum(0) / NOISE**2)  # of z given x
    encoder, decoder = nn.Linear(SIZE, 2 * LATENT).double(), nn.Linear(LATENT, SIZE).double()
    gain = variance[:, None] * weight.mT / NOISE**2
    with torch.no_grad():
        decoder.weight.copy_(weight)
        decoder.bias.copy_(bias)
        encoder.weight.copy_(torch.cat([gain, torch.zeros_like(gain)]))
        encoder.bias.copy_(torch.cat([-gain @ bias, variance.log()]))
        if not exact:
            encoder.weight.mul_(0.8)
            encoder.bias[LATENT:].add_(0.3)
    spec = DataSpec(shape=(SIZE,), kind="vector")
    model = Vae(spec, encoder, decoder, Gaussian(scale=NOISE).head(spec), latent=LATENT)
    law = MultivariateNormal(bias, weight @ weight.mT + NOISE**2 * torch.eye(SIZE, dtype=torch.float64))
    return model, law


@pytest.mark.parametrize("draws", [2, 50])
def test_with_the_exact_posterior_the_bound_is_the_likelihood(draws: int) -> None:
    model, law = factor_analysis(exact=True)
    x = law.sample((20,))
    with torch.no_grad():
        bound = model.log_prob(x, draws=draws)
    assert (bound.kind, bound.draws) == ("IWAE", draws)
    torch.testing.assert_close(bound.value, law.log_prob(x), rtol=1e-6, atol=1e-6)


def test_the_elbo_is_the_likelihood_less_the_divergence_of_the_posteriors() -> None:
    model, law = factor_analysis(exact=False)
    torch.manual_seed(0)
    x = law.sample((1,)).expand(1, SIZE)
    mean, log_variance = model.posterior(x)
    wanted, _ = factor_analysis(exact=True)
    exact_mean, exact_log_variance = wanted.posterior(x)
    gap = kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(exact_mean, (exact_log_variance / 2).exp()))
    with torch.no_grad():
        elbos = []
        for noise in torch.randn(4000, LATENT, dtype=torch.float64):
            z = mean + (log_variance / 2).exp() * noise
            divergence = kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(0.0, 1.0)).sum(1)
            elbos.append(model.head.log_likelihood(x, model.decoder(z)) - divergence)
    elbos_ = torch.stack(elbos)
    error = 4 * elbos_.std() / math.sqrt(len(elbos_))
    assert abs(elbos_.mean() - (law.log_prob(x) - gap.sum())) < error


def test_the_bound_rises_with_the_draws_to_the_likelihood() -> None:
    model, law = factor_analysis(exact=False)
    torch.manual_seed(0)
    x = law.sample((2000,))
    with torch.no_grad():
        means = [float(model.log_prob(x, draws=draws).value.mean()) for draws in (1, 10, 1000)]
    assert model.log_prob(x[:2]).kind == "ELBO"
    exact = float(law.log_prob(x).mean())
    assert means[0] + 0.1 < means[1] < means[2] + 0.1 < exact + 0.2, (
        "all rows share the draws, so means keep some noise"
    )
    assert means[2] > exact - 0.1


def test_the_loss_is_the_sum_over_pixels_and_latents_of_the_paper() -> None:
    """The commonest silent fault is a mean over pixels, which multiplies the KL by their number."""
    torch.manual_seed(0)
    model = vae(DIGITS, latent=3, width=4, likelihood=Bernoulli(), beta=2.5)
    assert isinstance(model, Vae)
    x = digits()[0][:6]
    torch.manual_seed(1)
    losses = model.loss(Batch(x=x, index=torch.arange(6)))
    torch.manual_seed(1)
    mean, log_variance = model.posterior(x)
    scale = (log_variance / 2).exp()
    z = mean + scale * torch.randn_like(mean)
    p = torch.sigmoid(model.decoder(z))
    distortion = -(x * p.log() + (1 - x) * (1 - p).log()).sum() / 6
    rate = kl_divergence(Normal(mean, scale), Normal(0.0, 1.0)).sum() / 6
    torch.testing.assert_close(losses["distortion"], distortion)
    torch.testing.assert_close(losses["rate"], rate)
    torch.testing.assert_close(losses["loss"], distortion + 2.5 * rate)


def test_the_score_is_the_negative_elbo_at_the_mean_of_the_posterior() -> None:
    torch.manual_seed(0)
    model = vae(DIGITS, latent=3, width=4, likelihood=Gaussian(scale=0.1))
    assert isinstance(model, Vae)
    x = digits()[0][:6]
    with torch.no_grad():
        mean, log_variance = model.posterior(x)
        density = Normal(model.decoder(mean), 0.1).log_prob(x).flatten(1).sum(1)
        divergence = kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(0.0, 1.0)).sum(1)
        torch.testing.assert_close(model.anomaly(x).score, divergence - density)


def test_it_learned() -> None:
    """One digit is normal: above the distance of mean brightness."""
    train_x, x, abnormal = one_class(6)
    torch.manual_seed(0)
    model = train(vae(DIGITS, latent=8, width=16), train_x, steps=250)
    assert auroc(model, x, abnormal) > max(0.95, brightness_auroc(train_x, x, abnormal) + 0.1)


def test_it_is_a_better_model_of_digits_than_independent_pixels() -> None:
    """In nats of black and white images, and by the mean and the spread of its samples."""
    x = (digits()[0] > 0.5).float()
    seen, fresh = x[:1500], x[1500:]
    torch.manual_seed(0)
    model = train(vae(DIGITS, latent=8, width=64, likelihood=Bernoulli(), learning_rate=0.01), seen, steps=800)
    assert isinstance(model, Vae)
    mean = seen.mean(0).clamp(1e-3, 1 - 1e-3)
    independent = -(fresh * mean.log() + (1 - fresh) * (1 - mean).log()).flatten(1).sum(1).mean()
    with torch.no_grad():
        nats = -model.log_prob(fresh, draws=50).value.mean()
        made = model.sample(500, generator=torch.Generator().manual_seed(0))
    assert nats < independent - 3
    assert torch.corrcoef(torch.stack([made.mean(0).flatten(), seen.mean(0).flatten()]))[0, 1] > 0.97
    assert made.std(0).mean() > 0.4 * seen.std(0).mean()
