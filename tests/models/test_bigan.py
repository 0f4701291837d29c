"""Facts of the BiGAN, and of critics of pairs."""

from math import log

import numpy as np
import pytest
import torch
from models_kit import DIGITS, Rows, train
from torch import Tensor, nn
from torch.distributions import Normal as Law
from torch.nn.functional import binary_cross_entropy_with_logits, leaky_relu

from urbild.catalogue import build
from urbild.contract import Batch, DataSpec
from urbild.errors import OptionError
from urbild.models.adversarial.bigan import Bigan
from urbild.models.adversarial.pairing import Players
from urbild.nets import play
from urbild.nets.adversaries import Dense, Pyramid
from urbild.nets.games import Free, GradientPenalty, Habits, RealPenalty, Rules
from urbild.nets.moves import Adam
from urbild.nets.pairs import CERTAIN, Certain, Noisy, PairCritic, pair, pair_critic
from urbild.nets.priors import Normal, Prior, Uniform

LINE = DataSpec(shape=(1,), kind="vector")
PLANE = DataSpec(shape=(2,), kind="vector")
LARGER = DataSpec(shape=(1, 16, 16), kind="image")


def batch(x: Tensor) -> Batch:
    return Batch(x=x, index=torch.arange(len(x)))


def made(spec: DataSpec, **options: object) -> Bigan:
    model = build("bigan", spec, options)
    assert isinstance(model, Bigan)
    return model


class Judge(nn.Module):
    """The best critic of x and a z, whose laws both lie on the line x = a z."""

    def __init__(self, real: float, scale: float) -> None:
        super().__init__()
        self.real, self.made = Law(0.0, real), Law(0.0, scale)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        return (self.real.log_prob(x) - self.made.log_prob(x)).squeeze(1)


def line(scale: float, slope: float, judge: nn.Module) -> Bigan:
    """G(z) = scale z and E(x) = slope x."""
    generator, encoder = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    nn.init.constant_(generator.weight, scale)
    nn.init.constant_(encoder.weight, slope)
    players = Players(generator, encoder, PairCritic(LINE.shape, judge))
    return Bigan(LINE, players, prior=Normal(1), law=CERTAIN, rules=Rules())


def divergence(p: float, q: float) -> float:
    """JSD in nats of N(0, p^2) and N(0, q^2), by quadrature."""
    x = torch.linspace(-40, 40, 400_001, dtype=torch.float64)
    laws = [Law(torch.zeros((), dtype=torch.float64), torch.tensor(s, dtype=torch.float64)) for s in (p, q)]
    logs = [law.log_prob(x) for law in laws]
    middle = torch.logaddexp(*logs) - log(2)
    return float(sum(torch.trapezoid(one.exp() * (one - middle), x) for one in logs) / 2)


@pytest.mark.parametrize(("real", "scale"), [(1.0, 1.0), (2.0, 0.5), (0.5, 1.5)])
def test_the_value_at_the_best_critic_is_the_divergence_of_the_pairs(real: float, scale: float) -> None:
    model = line(scale, 1 / scale, Judge(real, scale))
    torch.manual_seed(0)
    losses = model.critic_loss(batch(real * torch.randn(400_000, 1)))
    assert float(losses["estimate"]) == pytest.approx(2 * divergence(real, scale) - 2 * log(2), abs=0.01)


def test_an_encoder_that_does_not_invert_is_told_for_sure() -> None:
    class Off(nn.Module):
        def forward(self, x: Tensor, z: Tensor) -> Tensor:
            return 100 * (1 - 2 * ((x - 2 * z).abs() < 1e-5).float()).squeeze(1)

    torch.manual_seed(0)
    losses = line(2.0, 1.0, Off()).critic_loss(batch(2 * torch.randn(1000, 1)))
    assert float(losses["estimate"]) == pytest.approx(0, abs=1e-3), "the laws lie apart: JSD = ln 2"
    torch.manual_seed(0)
    losses = line(2.0, 0.5, Judge(2.0, 2.0)).critic_loss(batch(2 * torch.randn(1000, 1)))
    assert float(losses["estimate"]) == pytest.approx(-2 * log(2), abs=1e-5), "the laws are one: nothing to tell"


def test_encoder_and_generator_play_for_swapped_labels() -> None:
    model, x = made(PLANE), torch.randn(32, 2)
    torch.manual_seed(1)
    loss = model.generator_loss(batch(x))["loss"]
    torch.manual_seed(1)
    z = model.prior.draw(32, model.latent, device=torch.device("cpu"))
    real, fake = pair(x, model.encoder(x)), pair(model.generator(z), z)
    logits = model.critic(torch.cat([real, fake]))
    wanted = torch.cat([torch.zeros(32), torch.ones(32)])
    torch.testing.assert_close(loss, 2 * binary_cross_entropy_with_logits(logits, wanted))
    torch.manual_seed(1)
    usual = model.critic_loss(batch(x))["loss"]
    torch.testing.assert_close(usual, 2 * binary_cross_entropy_with_logits(logits, 1 - wanted))
    gradients = torch.autograd.grad(loss, [*model.encoder.parameters(), *model.generator.parameters()])
    assert all(float(one.abs().sum()) > 0 for one in gradients)


@pytest.mark.parametrize("packing", [1, 3])
def test_a_critic_sees_the_samples_and_codes_that_were_paired(packing: int) -> None:
    seen: list[Tensor] = []

    class Look(nn.Module):
        def forward(self, x: Tensor, z: Tensor) -> Tensor:
            seen.extend([x, z])
            return x.flatten(1).sum(1)

    x, z = torch.randn(6, *DIGITS.shape), torch.randn(6, 5)
    PairCritic(DIGITS.shape, Look(), packing=packing)(play.packed(pair(x, z), packing))
    assert torch.equal(seen[0], play.packed(x, packing))
    assert torch.equal(seen[1], play.packed(z, packing))


@pytest.mark.parametrize("network", [Dense(width=8), Pyramid(width=4, normalisation="spectral")])
def test_a_critic_of_pairs_heeds_both(network: Dense | Pyramid) -> None:
    critic = pair_critic(network, DIGITS, 5).eval()
    x, z = torch.randn(2, 4, *DIGITS.shape), torch.randn(2, 4, 5)
    logits = critic(pair(x[0], z[0]))
    assert logits.shape == (4,)
    assert not torch.allclose(logits, critic(pair(x[1], z[0])))
    assert not torch.allclose(logits, critic(pair(x[0], z[1])))


def test_dense_layers_take_the_code_at_the_last_hidden_one() -> None:
    critic = pair_critic(Dense(width=8, activation="leaky"), PLANE, 3)
    x, z = torch.randn(4, 2), torch.randn(4, 3)
    body = critic.judge.body
    first, second = (body.before[number] for number in (0, 2))
    features = leaky_relu(second(leaky_relu(first(x), 0.2)) + body.code(z), 0.2)
    wanted = critic.judge.verdict(features).squeeze(1)
    torch.testing.assert_close(critic(pair(x, z)), wanted)
    alone = pair_critic(Dense(width=8, depth=1), PLANE, 3)
    assert alone.judge.body[0].in_features == 5


def test_a_penalty_is_of_the_gradient_by_sample_and_code() -> None:
    class Plane(nn.Module):
        def forward(self, x: Tensor, z: Tensor) -> Tensor:
            return (3 * x + 4 * z).squeeze(1)

    model = line(1.0, 1.0, Plane())
    model.rules = Rules(constraint=GradientPenalty(weight=10.0))
    losses = model.critic_loss(batch(torch.randn(8, 1)))
    assert float(losses["gradient"]) == pytest.approx(5)
    assert float(losses["loss"] + losses["estimate"]) == pytest.approx(10 * 16, rel=1e-5)


def test_a_penalty_beside_batch_normalisation_is_refused() -> None:
    with pytest.raises(OptionError, match="batch normalisation"):
        made(LARGER, constraint=RealPenalty())
    made(LARGER, constraint=Free())
    made(LARGER, constraint=RealPenalty(), critic=Pyramid(width=4, normalisation="group"))


def test_a_noisy_encoder_draws_in_the_game_alone() -> None:
    model, x = made(PLANE, encoder=Noisy()), torch.randn(4000, 2)
    output = model.encoder(x).detach()
    assert output.shape == (4000, 2 * model.latent)
    mean, log_variance = output.chunk(2, dim=1)
    assert torch.equal(model.encode(x), mean)
    spread = (model.law.draw(output) - mean) / torch.exp(log_variance / 2)
    assert float(spread.std()) == pytest.approx(1, abs=0.05)


def test_averaged_weights_get_statistics_of_their_own() -> None:
    options = {
        "generator": Dense(width=8, normalisation="batch"),
        "encoder": Noisy(Dense(width=8, normalisation="batch")),
    }
    model = made(PLANE, habits=Habits(average=0.9), **options)
    assert [stage.name for stage in model.stages()] == ["game", "statistics"]
    x = 3 + torch.randn(500, 2)
    train(model, x, steps=3)
    norm = next(layer for layer in model.encoder.modules() if isinstance(layer, nn.BatchNorm1d))
    seen: list[Tensor] = []
    norm.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model.encoder(x)
    torch.testing.assert_close(norm.running_mean, seen[0].mean(0), atol=0.1, rtol=0.1)
    assert norm.momentum == 0.1
    bare = made(PLANE, habits=Habits(average=0.9), encoder=Certain(standardised=False))
    assert len(bare.stages()) == 1, "without batch statistics there is nothing to do"


@pytest.mark.parametrize("prior", [Uniform(5), Normal(5)])
def test_codes_have_the_deviation_of_the_prior(prior: Prior) -> None:
    x = 7 + 3 * torch.randn(64, 2)
    model = made(PLANE, prior=prior).train()
    z = model.encoder(x)
    drawn = prior.noise(100_000, 5, device=torch.device("cpu"))
    torch.testing.assert_close(z.mean(0), torch.zeros(5), atol=1e-5, rtol=0)
    torch.testing.assert_close(z.std(0, correction=0), drawn.std(0), atol=0.01, rtol=0.01)
    norm = model.encoder[-1].norm
    norm.momentum = 1.0
    model.encoder(x)
    torch.testing.assert_close(model.eval().encode(x), z, atol=0.02, rtol=0.02)  # n / (n - 1) apart
    one = model.encode(x[:1])
    torch.testing.assert_close(one, model.encode(x)[:1])
    free = made(PLANE, prior=prior, encoder=Certain(standardised=False)).train()
    assert not torch.allclose(free.encoder(x).std(0, correction=0), drawn.std(0), rtol=0.1)


def test_a_batch_of_one_is_refused_in_one_sentence() -> None:
    with pytest.raises(OptionError, match="batch normalisation needs at least two samples"):
        train(made(PLANE), torch.randn(8, 2), steps=1, batch=1)


def test_where_sample_and_code_meet_a_critic_normalises_without_gains() -> None:
    judge = pair_critic(Pyramid(width=4), DIGITS, 5).judge
    linear, norm, *_, end = judge.verdict
    assert isinstance(norm, nn.BatchNorm1d)
    assert not norm.affine
    for layer in (linear, end, judge.code[0]):
        assert layer.weight.std().item() == pytest.approx(0.02, rel=0.2)
        assert not layer.bias.any()
    assert not any(isinstance(m, nn.BatchNorm1d) for m in pair_critic(Pyramid(4, "spectral"), DIGITS, 5).modules())


def test_it_learns_to_invert_its_generator() -> None:
    """Codes of made samples are the latents: the share of their variance that is told, 0 for a trivial encoder."""
    generator = torch.Generator().manual_seed(0)
    x = 2 * torch.randn(2000, 1, generator=generator)
    options = {"generator": Dense(width=32), "critic": Dense(width=32, activation="leaky")}
    model = made(LINE, prior=Normal(1), optimiser=Adam(generator=3e-3, critic=3e-3), **options)
    train(model, x, steps=400, batch=128)
    with torch.no_grad():
        z = torch.randn(1000, 1, generator=generator)
        told = 1 - (model.encode(model.decode(z)) - z).square().mean() / z.var()
        kept = 1 - (model.reconstruct(x) - x).square().mean() / x.var()
        spread = model.sample(2000, generator=generator).std()
    assert float(told) > 0.7
    assert float(kept) > 0.7
    assert 1.2 < float(spread) < 2.8, "that of the data is 2"


def test_codes_are_of_the_size_of_the_prior() -> None:
    model = made(DIGITS, prior=Uniform(7), critic=Dense(width=8), generator=Dense(width=8))
    x = Rows(DIGITS, torch.rand(3, *DIGITS.shape)).fetch(range(3)).x
    assert model.encode(x).shape == (3, 7)
    assert np.isfinite(model.reconstruct(x).detach().numpy()).all()
