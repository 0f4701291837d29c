"""Facts of minibatch discrimination, feature matching and historical averaging."""

from typing import Any

import pytest
import torch
from models_kit import DIGITS, Rows, digits
from torch import Tensor, nn

from urbild.contract import Batch, DataSpec
from urbild.errors import OptionError
from urbild.models.adversarial.minibatch_discrimination_gan import (
    MinibatchGan,
    Techniques,
    minibatch_discrimination_gan,
)
from urbild.nets import minibatch, play
from urbild.nets.adversaries import Dense, Pyramid
from urbild.nets.games import Habits
from urbild.nets.minibatch import History, MinibatchDiscrimination, feature_gap, nearness
from urbild.training import Plan, fit

POINTS = DataSpec(shape=(2,), kind="vector")


def batch(x: Tensor) -> Batch:
    return Batch(x=x, index=torch.arange(len(x)))


def built(spec: DataSpec = POINTS, **options: Any) -> MinibatchGan:
    torch.manual_seed(0)
    small = {"generator": Dense(width=8), "critic": Dense(width=8), "techniques": Techniques(kernels=4, size=3)}
    model = minibatch_discrimination_gan(spec, **{**small, **options})
    assert isinstance(model, MinibatchGan)
    return model.train()


def by_loop(places: Tensor) -> Tensor:
    rows = []
    for own in places:
        near = [sum(torch.exp(-(own[b] - other[b]).abs().sum()) for other in places) for b in range(places.shape[1])]
        rows.append(torch.stack(near))  # type: ignore[arg-type]
    return torch.stack(rows)


@pytest.mark.parametrize("entries", [1 << 23, 20, 1])
def test_nearness_is_the_formulas_in_blocks_of_any_size(monkeypatch: pytest.MonkeyPatch, entries: int) -> None:
    monkeypatch.setattr(minibatch, "ENTRIES", entries)
    generator = torch.Generator().manual_seed(0)
    places = torch.randn(7, 4, 3, dtype=torch.float64, generator=generator).requires_grad_()
    weights = torch.randn(7, 4, dtype=torch.float64, generator=generator)
    found, expected = nearness(places), by_loop(places)
    torch.testing.assert_close(found, expected)
    (slope,) = torch.autograd.grad((found * weights).sum(), places)
    (wanted,) = torch.autograd.grad((expected * weights).sum(), places)
    torch.testing.assert_close(slope, wanted)


def test_the_layer_sees_company_and_a_collapse_is_as_near_as_can_be() -> None:
    torch.manual_seed(0)
    layer, x = MinibatchDiscrimination(5, 4, 3), torch.randn(6, 5)
    assert layer(x).shape == (6, 9)
    torch.testing.assert_close(layer(x)[:, :5], x)
    torch.testing.assert_close(layer(x[:1])[:, 5:], torch.zeros(1, 4))  # alone nobody is near
    torch.testing.assert_close(layer(x[:1].expand(6, -1))[:, 5:], torch.full((6, 4), 5.0))  # all the others are here
    assert not torch.allclose(layer(x)[:2, 5:], layer(x[:2])[:, 5:])


def test_real_and_made_samples_are_judged_in_batches_of_their_own() -> None:
    model, x = built(), torch.randn(12, 2)
    sizes: list[int] = []
    model.game.critic.register_forward_pre_hook(lambda _, given: sizes.append(len(given[0])))
    model.critic_loss(batch(x))
    assert sizes == [12, 12]


def test_features_are_matched_by_their_means() -> None:
    real, fake = torch.randn(5, 3), torch.randn(9, 3)
    expected = sum((real[:, f].mean() - fake[:, f].mean()) ** 2 for f in range(3))
    torch.testing.assert_close(feature_gap(real, fake), torch.as_tensor(expected))
    model, x = built(techniques=Techniques(kernels=4, matching=True)), torch.randn(16, 2)
    torch.manual_seed(5)
    loss = model.generator_loss(batch(x))["loss"]
    torch.manual_seed(5)
    made = model.game.generator(model.game.prior.draw(16, model.game.latent, device=x.device))
    torch.testing.assert_close(loss, feature_gap(model.game.critic.features(x), model.game.critic.features(made)))
    loss.backward()
    assert all(p.grad is not None for p in model.game.generator.parameters())


def test_a_history_is_the_mean_of_what_the_weights_were() -> None:
    network = nn.Linear(2, 1)
    history, values = History(network), torch.randn(4, 1, 2)
    for value in values:
        with torch.no_grad():
            network.weight.copy_(value)
        history.take(network)
    distance = history.distance(network)
    torch.testing.assert_close(distance, (values[-1] - values.mean(0)).square().sum())
    distance.backward()
    torch.testing.assert_close(network.weight.grad, 2 * (values[-1] - values.mean(0)))


def test_both_players_keep_a_history_of_their_own_moves() -> None:
    model = built(techniques=Techniques(kernels=4, averaging=0.5))
    fit(model, Rows(POINTS, torch.randn(40, 2)), Plan(steps=5, batch=8, precision="32", device="cpu"))
    assert {name: int(model._history(name).count) for name in model.histories} == {"critic": 5, "generator": 5}
    losses = model.generator_loss(batch(torch.randn(8, 2)))
    torch.testing.assert_close(losses["history"], model._history("generator").distance(model.game.generator).detach())
    assert losses["history"] > 0


@pytest.mark.parametrize("critic", [Pyramid(width=4), Pyramid(width=4, normalisation="spectral"), Dense(width=8)])
def test_any_critic_takes_the_layer(critic: Any) -> None:
    model = built(DIGITS, critic=critic, habits=Habits(packing=2))
    losses = model.critic_loss(batch(digits()[0][:16]))
    losses["loss"].backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.game.critic.parameters())


def test_it_tells_a_collapse_that_a_plain_critic_cannot_see() -> None:
    """Made samples are one real sample each time: alone each is right, together they are not."""
    torch.manual_seed(0)
    model = built(critic=Dense(width=16), techniques=Techniques(kernels=8, size=3))
    plain = built(critic=Dense(width=16), techniques=Techniques(kernels=0))
    told = {}
    for name, game in {"kernels": model.game, "none": plain.game}.items():
        optimiser = torch.optim.Adam(game.critic.parameters(), lr=1e-2)
        for step in range(150):
            real = torch.randn(32, 2)
            collapsed = torch.randn(1, 2).expand(32, -1)
            losses = play.critic_losses(game.rules, game.critic, real, collapsed, batch(real).at(step, 0.0))
            optimiser.zero_grad()
            losses["loss"].backward()
            optimiser.step()
        with torch.no_grad():
            seen = [game.critic(torch.randn(32, 2)).mean() > game.critic(torch.randn(1, 2).expand(32, -1)).mean()]
            seen += [
                game.critic(torch.randn(32, 2)).mean() > game.critic(torch.randn(1, 2).expand(32, -1)).mean()
                for _ in range(99)
            ]
        told[name] = sum(map(float, seen)) / 100
    assert told["kernels"] > 0.98
    assert told["none"] < 0.8


@pytest.mark.parametrize("techniques", [Techniques(kernels=-1), Techniques(size=0), Techniques(averaging=0.0)])
def test_numbers_that_make_no_sense_are_refused(techniques: Techniques) -> None:
    with pytest.raises(OptionError, match=r"kernels|size|averaging"):
        minibatch_discrimination_gan(POINTS, techniques=techniques)
