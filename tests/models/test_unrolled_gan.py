"""Facts of the unrolled GAN: what it looks through, that it writes nothing, and that no steps make the plain game."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from models_kit import DIGITS, Rows, digits
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from urbild.contract import Batch, DataSpec, Turn
from urbild.errors import OptionError
from urbild.models.adversarial.game import Game
from urbild.models.adversarial.gan import gan
from urbild.models.adversarial.unrolled_gan import UnrolledGan, unrolled_gan
from urbild.nets.adversaries import Critic, Dense, Pyramid
from urbild.nets.games import Minimax, NonSaturating, Objective, Rules
from urbild.nets.lookahead import GradientSteps, LookAhead, OwnSteps, seen_by
from urbild.nets.moves import Adam, Optimiser, RmsProp
from urbild.nets.priors import Normal
from urbild.training import Plan, fit

POINTS = DataSpec(shape=(2,), kind="vector")
PLAN = Plan(steps=6, batch=16, precision="32", device="cpu", checkpoint_every=2)


def points(n: int = 64, *, seed: int = 0) -> Tensor:
    """Two far clouds."""
    generator = torch.Generator().manual_seed(seed)
    side = torch.randint(2, (n, 1), generator=generator) * 4.0 - 2
    return side + 0.1 * torch.randn(n, 2, generator=generator)


def batch(x: Tensor) -> Batch:
    return Batch(x=x, index=torch.arange(len(x)))


def unrolled(spec: DataSpec = POINTS, **options: Any) -> UnrolledGan:
    torch.manual_seed(0)
    small = {"generator": Dense(width=8, activation="tanh"), "critic": Dense(width=8, activation="tanh")}
    model = unrolled_gan(spec, **{**small, **options})
    assert isinstance(model, UnrolledGan)
    return model.train()


def caught(model: UnrolledGan, x: Tensor, steps: int) -> torch.optim.Optimizer:
    """The critic's optimiser after training for some steps, as it was when the generator looked last."""
    held = []
    usual = model.generator_loss

    def spied(given: Batch) -> Any:
        held.append(model.memory.optimiser)
        return usual(given)

    model.generator_loss = spied  # type: ignore[method-assign]
    fit(model, Rows(model.spec, x), Plan(steps=steps, batch=16, precision="32", device="cpu"))
    del model.generator_loss
    assert held
    assert held[-1] is not None
    return held[-1]


def test_no_steps_make_the_plain_game_bit_for_bit() -> None:
    x, parts = points(), {"generator": Dense(width=8), "critic": Dense(width=8), "optimiser": Adam(critic=1e-3)}
    torch.manual_seed(0)
    plain = gan(POINTS, objective=Minimax(), **parts)  # type: ignore[arg-type]
    ahead = unrolled(lookahead=OwnSteps(steps=0), objective=Minimax(), **parts)
    far = unrolled(lookahead=OwnSteps(steps=2), objective=Minimax(), **parts)
    for model in (plain, ahead, far):
        fit(model, Rows(POINTS, x), PLAN)
    expected = plain.state_dict()
    assert {name.removeprefix("game.") for name in ahead.state_dict()} == set(expected)
    assert all(torch.equal(value, expected[name.removeprefix("game.")]) for name, value in ahead.state_dict().items())
    assert not all(torch.equal(v, expected[n.removeprefix("game.")]) for n, v in far.state_dict().items())


class _Scaled(nn.Module):
    """G(z) = a z + c."""

    def __init__(self) -> None:
        super().__init__()
        self.scale, self.shift = nn.Parameter(torch.tensor([0.7])), nn.Parameter(torch.tensor([0.3, -0.4]))

    def forward(self, z: Tensor) -> Tensor:
        return self.scale * z + self.shift


def linear(objective: Objective, lookahead: LookAhead) -> UnrolledGan:
    """Players a z + c and w.x + b, in double precision."""
    torch.manual_seed(1)
    critic = Critic(nn.Identity(), nn.Linear(2, 1))
    rules = Rules(objective=objective)
    return UnrolledGan(Game(POINTS, _Scaled(), critic, prior=Normal(), rules=rules), lookahead).double().train()


@pytest.mark.parametrize("objective", [Minimax(), NonSaturating()])
def test_the_gradient_through_one_step_is_the_one_written_by_hand(objective: Objective) -> None:
    rate, model, x = 0.5, linear(objective, GradientSteps(steps=1, rate=0.5)), points(8).double()
    torch.manual_seed(3)
    with torch.random.fork_rng():
        z = torch.randn(8, 2).double()
    model.game.prior = _Fixed(z)  # type: ignore[assignment]
    model.generator_loss(batch(x))["loss"].backward()

    generator, verdict = model.game.generator, model.game.critic.verdict
    assert isinstance(generator, _Scaled)
    assert isinstance(verdict, nn.Linear)
    a, c = generator.scale.detach().requires_grad_(), generator.shift.detach().requires_grad_()
    w, b = verdict.weight[0].detach(), verdict.bias[0].detach()
    made = a * z + c
    # d/dw of the mean of softplus(-w.x - b) + softplus(w.y + b) is mean(-sigma(-w.x - b) x) + mean(sigma(w.y + b) y)
    doubt, belief = torch.sigmoid(-(x @ w + b)), torch.sigmoid(made @ w + b)
    w1 = w - rate * (-(doubt[:, None] * x) + belief[:, None] * made).mean(0)
    b1 = b - rate * (belief - doubt).mean()
    on_real, on_fake = x @ w1 + b1, made @ w1 + b1
    if isinstance(objective, Minimax):
        loss = -(functional.softplus(-on_real) + functional.softplus(on_fake)).mean()
    else:
        loss = functional.softplus(-on_fake).mean()
    loss.backward()
    assert a.grad is not None
    torch.testing.assert_close(generator.scale.grad, a.grad)
    torch.testing.assert_close(generator.shift.grad, c.grad)


class _Fixed:
    """A prior that always draws the same."""

    def __init__(self, z: Tensor) -> None:
        self._z = z

    def draw(self, n: int, size: int, *, device: torch.device) -> Tensor:
        return self._z


@pytest.mark.parametrize("rule", [Adam(critic=1e-2), RmsProp(critic=1e-2)])
def test_what_is_looked_ahead_is_what_the_critics_own_optimiser_does_next(rule: Optimiser) -> None:
    model, x = unrolled(lookahead=OwnSteps(steps=3), optimiser=rule), points()
    held = caught(model, x, steps=5)
    critic, real, fake = model.game.critic, points(16, seed=1), torch.randn(16, 2)
    copies = {name: p.detach().clone().requires_grad_() for name, p in critic.named_parameters()}
    own = rule.of(generator=False)(copies.items())  # type: ignore[arg-type]
    own.load_state_dict(deepcopy(held.state_dict()))
    model.memory.of(lambda _: held)([])  # training is over, but its optimiser is still here
    found = model.ahead(real, fake)
    for _ in range(3):
        own.zero_grad()
        model.game.rules.objective.critic(
            functional_call(critic, copies, (real,)), functional_call(critic, copies, (fake,))
        ).mean().backward()
        own.step()
    for name, value in found.items():
        torch.testing.assert_close(value, copies[name], rtol=1e-5, atol=1e-6)
        assert not torch.equal(value, critic.get_parameter(name))


@pytest.mark.parametrize("normalisation", ["batch", "spectral", "none"])
def test_looking_ahead_writes_nothing(normalisation: Any) -> None:
    critic = Pyramid(width=4, normalisation=normalisation)
    model = unrolled(DIGITS, critic=critic, generator=Dense(width=8), lookahead=OwnSteps(steps=2))
    x = digits()[0][:64]
    held = caught(model, x, steps=3)
    model.train()
    model.memory.of(lambda _: held)([])
    before = deepcopy(held.state_dict()), {n: v.clone() for n, v in model.game.critic.state_dict().items()}
    loss = model.generator_loss(batch(x[:16]))["loss"]
    loss.backward()
    assert torch.isfinite(loss)
    for memory, value in zip(held.state_dict()["state"].values(), before[0]["state"].values(), strict=True):
        assert all(torch.equal(memory[key], value[key]) for key in value)
    assert held.state_dict()["param_groups"] == before[0]["param_groups"]
    assert all(torch.equal(value, before[1][name]) for name, value in model.game.critic.state_dict().items())
    assert all(p.grad is None for p in model.game.critic.parameters())
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.game.generator.parameters())


def test_a_run_that_was_cut_off_looks_ahead_with_the_moments_that_it_had(tmp_path: Path) -> None:
    x = points()
    whole, broken, resumed = unrolled(), unrolled(), unrolled()
    fit(whole, Rows(POINTS, x), PLAN)
    usual = broken.generator_loss

    def cut(given: Batch) -> Any:
        if given.step == 4:
            raise KeyboardInterrupt
        return usual(given)

    broken.generator_loss = cut  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        fit(broken, Rows(POINTS, x), PLAN, directory=tmp_path)
    fit(resumed, Rows(POINTS, x), PLAN, directory=tmp_path, resume=True)
    assert all(torch.equal(v, resumed.state_dict()[name]) for name, v in whole.state_dict().items())
    assert whole.memory.optimiser is None, "nothing is held when training is over"


def test_a_gradient_of_nought_does_not_break_the_look_ahead() -> None:
    """The root of Adam's second moment has no slope there."""
    model = unrolled(critic=Dense(width=8, activation="relu"), lookahead=OwnSteps(steps=2))
    with torch.no_grad():
        model.game.critic.body[0].bias.fill_(-100)  # type: ignore[index, union-attr]
    model.generator_loss(batch(points(16)))["loss"].backward()
    assert all(torch.isfinite(p.grad).all() for p in model.game.generator.parameters() if p.grad is not None)


def test_it_can_be_copied_while_it_trains() -> None:
    model = unrolled()
    turn: Turn = model.stages()[0].turns[0]
    held = turn.optimiser(list(model.game.critic.named_parameters()))
    assert model.memory.optimiser is held
    assert deepcopy(model).memory.optimiser is None
    assert seen_by(model.game.critic, {})(points(4)).shape == (4,)


@pytest.mark.parametrize(
    ("options", "said"), [({"lookahead": OwnSteps(steps=-1)}, "steps"), ({"lookahead": GradientSteps(rate=0)}, "rate")]
)
def test_numbers_that_make_no_sense_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(OptionError, match=said):
        unrolled_gan(POINTS, **options)
