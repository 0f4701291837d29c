"""Facts of VEEGAN."""

from math import log

import pytest
import torch
from models_kit import train
from torch import Tensor, nn
from torch.distributions import Normal as Law

from urbild.catalogue import build
from urbild.contract import Batch, DataSpec
from urbild.data.mixtures import ring
from urbild.models.adversarial.pairing import Players
from urbild.models.adversarial.veegan import Veegan
from urbild.nets.adversaries import Dense
from urbild.nets.games import Habits, Rules
from urbild.nets.moves import Adam
from urbild.nets.pairs import CERTAIN, PairCritic, pair
from urbild.nets.priors import Normal

LINE = DataSpec(shape=(1,), kind="vector")
PLANE = DataSpec(shape=(2,), kind="vector")
CPU = torch.device("cpu")


def batch(x: Tensor) -> Batch:
    return Batch(x=x, index=torch.arange(len(x)))


def made(spec: DataSpec, **options: object) -> Veegan:
    model = build("veegan", spec, options)
    assert isinstance(model, Veegan)
    return model


def test_its_loss_is_the_error_of_noise_less_the_logit() -> None:
    model, x = made(PLANE, prior=Normal(3)), torch.randn(16, 2)
    torch.manual_seed(1)
    losses = model.generator_loss(batch(x))
    torch.manual_seed(1)
    z = model.prior.draw(16, 3, device=CPU)
    fake = model.generator(z)
    error = sum((z - model.encoder(fake)).square().unbind(1)).mean()  # type: ignore[union-attr]
    logits = model.critic(pair(fake, z))
    torch.testing.assert_close(losses["loss"], error - logits.mean())
    torch.testing.assert_close(losses["reconstruction"], error.detach())


@pytest.mark.parametrize(("real", "scale"), [(1.0, 1.0), (2.0, 0.5), (0.7, 1.0)])
def test_at_the_best_critic_its_loss_is_the_divergence_of_made_from_real_pairs(real: float, scale: float) -> None:
    """G(z) = a z, F its inverse, data N(0, s^2): KL = ln(s/a) + a^2 / (2 s^2) - 1/2, and no error of noise."""

    class Best(nn.Module):
        def forward(self, x: Tensor, z: Tensor) -> Tensor:
            return (Law(0.0, real).log_prob(x) - Law(0.0, scale).log_prob(x)).squeeze(1)

    generator, inverse = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    nn.init.constant_(generator.weight, scale)
    nn.init.constant_(inverse.weight, 1 / scale)
    players = Players(generator, inverse, PairCritic((1,), Best()))
    model = Veegan(LINE, players, prior=Normal(1), law=CERTAIN, rules=Rules())
    torch.manual_seed(0)
    losses = model.generator_loss(batch(torch.zeros(400_000, 1)))
    divergence = log(real / scale) + scale**2 / (2 * real**2) - 0.5
    assert float(losses["loss"].detach()) == pytest.approx(divergence, abs=0.01)
    assert float(losses["reconstruction"]) == pytest.approx(0, abs=1e-6)


def test_the_reconstructor_learns_from_the_error_of_noise_alone() -> None:
    model, x = made(PLANE), torch.randn(16, 2)
    torch.manual_seed(1)
    whole = torch.autograd.grad(model.generator_loss(batch(x))["loss"], list(model.encoder.parameters()))
    torch.manual_seed(1)
    z = model.prior.draw(16, model.latent, device=CPU)
    error = (z - model.encoder(model.generator(z))).square().sum(1).mean()
    alone = torch.autograd.grad(error, list(model.encoder.parameters()))
    for one, other in zip(whole, alone, strict=True):
        torch.testing.assert_close(one, other)


def test_the_critic_is_shown_the_noise_that_the_reconstructor_finds() -> None:
    model, x = made(PLANE), torch.randn(64, 2)
    before = float(model.critic_loss(batch(x))["real"])
    with torch.no_grad():
        for parameter in model.encoder.parameters():
            parameter.add_(1.0)
    assert float(model.critic_loss(batch(x))["real"]) != pytest.approx(before, abs=1e-4)


def test_an_average_needs_new_statistics_where_there_are_any() -> None:
    normalised = Dense(width=8, normalisation="batch")
    model = made(PLANE, reconstructor=normalised, habits=Habits(average=0.9))
    assert [stage.name for stage in model.stages()] == ["game", "statistics"]
    train(model, torch.randn(100, 2), steps=3)
    norm = next(layer for layer in model.encoder.modules() if isinstance(layer, nn.BatchNorm1d))
    assert int(norm.num_batches_tracked) == 30  # type: ignore[arg-type]
    assert not norm.training


def test_it_learns_the_ring_and_the_way_back() -> None:
    """Samples come near the ring, whose middle is their start, and noise is found again: its mean would err by Z."""
    x = torch.from_numpy(ring().draw(4000)[0])
    network = Dense(width=64, activation="tanh")
    rates = Adam(generator=2e-3, critic=2e-3)
    model = made(
        PLANE, prior=Normal(2), generator=network, reconstructor=network, critic=Dense(width=64), optimiser=rates
    )
    train(model, x, steps=500, batch=128)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        z = torch.randn(1000, 2, generator=generator)
        samples = model.decode(z)
        error = (model.encode(samples) - z).square().sum(1).mean()
    radius = samples.square().sum(1).sqrt()
    assert float((radius - 2).abs().mean()) < 0.6, "a point in the middle is 2 away, untrained samples about 1.8"
    assert float(error) < 0.5
    angles = torch.atan2(samples[:, 1], samples[:, 0])
    sectors = torch.unique((angles / (torch.pi / 4)).round().remainder(8)).numel()
    assert sectors >= 6, "most directions have samples"
