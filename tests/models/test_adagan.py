"""Facts of AdaGAN: its weights, its draws, and its mixture."""

from collections.abc import Callable
from dataclasses import MISSING, fields
from typing import get_type_hints

import numpy as np
import pytest
import torch
from models_kit import DIGITS, Rows, train
from scipy.optimize import minimize
from torch import Tensor, nn

from urbild.catalogue import build, parameters
from urbild.contract import DataSpec, Model, Samples, Stage
from urbild.data.mixtures import ring
from urbild.errors import OptionError, ShapeError
from urbild.models.adversarial.adagan import Adagan, Lowest, Star
from urbild.models.adversarial.components import (
    BiganComponent,
    Component,
    DcganComponent,
    GanComponent,
    MinibatchComponent,
    ProgressiveComponent,
    UnrolledComponent,
    VeeganComponent,
    WganComponent,
    WganGpComponent,
)
from urbild.models.adversarial.weighted import Weighted
from urbild.nets.adversaries import Critic, Dense
from urbild.nets.games import Habits
from urbild.ops.reweighting import lowest_weights, mixture_shares, star_weights, systematic_rows

LINE = DataSpec(shape=(1,), kind="vector")
PLANE = DataSpec(shape=(2,), kind="vector")
SMALL = GanComponent(generator=Dense(width=8), critic=Dense(width=8))


def made(spec: DataSpec, **options: object) -> Adagan:
    model = build("adagan", spec, options)
    assert isinstance(model, Adagan)
    return model


# The weights


@pytest.mark.parametrize("beta", [0.5, 0.2, 0.05])
@pytest.mark.parametrize("divergence", [lambda t: (t - 1) ** 2, lambda t: t * np.log(t + 1e-12) - t])
def test_the_weights_are_the_best_of_all(beta: float, divergence: Callable[[np.ndarray], np.ndarray]) -> None:
    """Against a search over the simplex, for Pearson's and for Kullback and Leibler's divergence."""
    ratio = np.random.default_rng(0).gamma(0.7, 1.5, 8)
    found = star_weights(torch.from_numpy(ratio), beta).numpy()
    assert found.sum() == pytest.approx(1)
    assert found.min() >= 0

    def cost(weights: np.ndarray) -> float:
        return float(divergence((1 - beta) * ratio + beta * 8 * weights).mean())

    best = minimize(
        cost,
        np.full(8, 1 / 8),
        bounds=[(0, 1)] * 8,
        constraints={"type": "eq", "fun": lambda weights: weights.sum() - 1},
        options={"maxiter": 500, "ftol": 1e-12},
    )
    assert cost(found) <= cost(best.x) + 1e-9
    np.testing.assert_allclose(found, best.x, atol=5e-3)


def test_what_is_raised_is_raised_to_one_level() -> None:
    ratio = torch.tensor([3.0, 0.0, 0.5, 9.0, 0.1], dtype=torch.float64)
    weights = star_weights(ratio, 0.3)
    after = 0.7 * ratio + 0.3 * 5 * weights
    raised = weights > 0
    assert raised.tolist() == [False, True, True, False, True]
    assert float(after[raised].max() - after[raised].min()) < 1e-12
    assert float(after[~raised].min()) > float(after[raised].max())


def test_weights_of_a_first_or_a_perfect_mixture_are_equal() -> None:
    torch.testing.assert_close(star_weights(torch.rand(7), 1.0), torch.full((7,), 1 / 7, dtype=torch.float64))
    torch.testing.assert_close(star_weights(torch.ones(7), 0.2), torch.full((7,), 1 / 7, dtype=torch.float64))


def test_one_sample_may_get_all() -> None:
    weights = star_weights(torch.tensor([50.0, 0.0, 60.0]), 0.1)
    torch.testing.assert_close(weights, torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64))


@pytest.mark.parametrize(("share", "wanted"), [(0.5, [0.5, 0, 0, 0.5]), (0.01, [0, 0, 0, 1]), (1.0, [0.25] * 4)])
def test_the_lowest_share_is_weighed_alike(share: float, wanted: list[float]) -> None:
    ratio = torch.tensor([0.2, 0.9, 0.8, 0.1])
    assert lowest_weights(ratio, share).tolist() == wanted


def test_shares_of_the_mixture() -> None:
    assert mixture_shares(1).tolist() == [1.0]
    torch.testing.assert_close(mixture_shares(5), torch.full((5,), 0.2, dtype=torch.float64))
    grown = mixture_shares(4, 0.3)
    torch.testing.assert_close(grown, torch.tensor([0.7**3, 0.3 * 0.7**2, 0.3 * 0.7, 0.3], dtype=torch.float64))
    assert float(grown.sum()) == pytest.approx(1)


# The draws


@pytest.mark.parametrize("offset", [1e-6, 0.31, 0.999999])
def test_equal_weights_draw_each_sample_once(offset: float) -> None:
    assert torch.equal(systematic_rows(torch.full((1000,), 1 / 3), offset), torch.arange(1000))


def test_samples_are_drawn_as_often_as_their_weight_says() -> None:
    generator = torch.Generator().manual_seed(0)
    weights = torch.rand(50, generator=generator) * (torch.rand(50, generator=generator) > 0.3)
    wanted = 50 * weights.double() / weights.double().sum()
    counts = torch.stack([systematic_rows(weights, k / 200).bincount(minlength=50) for k in range(200)]).double()
    assert (counts >= wanted.floor()).all()
    assert (counts <= wanted.ceil()).all()
    torch.testing.assert_close(counts.mean(0), wanted, atol=0.02, rtol=0)
    assert (counts[:, weights == 0] == 0).all()


def test_a_weighted_source_reads_what_weighs() -> None:
    rows = Rows(PLANE, torch.arange(12.0).reshape(6, 2))
    source = Weighted(rows, torch.tensor([0, 0.5, 0, 0, 0.5, 0]))
    assert len(source) == 6
    assert sorted(source.fetch(range(6)).index.tolist()) == [1, 1, 1, 4, 4, 4]
    streamed = [batch.index.tolist() for batch in source.stream([(0, [0, 5]), (1, [5])])]
    assert streamed == [[1, 4], [4]]
    assert rows.asked == [[1, 1, 1, 4, 4, 4], [1, 4], [4]]
    assert Weighted(rows, torch.zeros(0)).fetch([3, 2]).index.tolist() == [3, 2], "none are known yet"


def test_draws_change_with_the_epoch() -> None:
    source = Weighted(Rows(LINE, torch.zeros(5, 1)), torch.tensor([0.3, 0.1, 0.2, 0.3, 0.1]))
    assert len({tuple(source.rows(epoch).tolist()) for epoch in range(20)}) > 1
    assert source.rows(3).tolist() == source.rows(3).tolist()


# The mixture


class Fixed(Model, Samples):
    """Makes one value."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.spec, self.value = LINE, nn.Parameter(torch.tensor(float(value)))

    def stages(self) -> list[Stage]:
        return []

    def sample(
        self,
        n: int,
        *,
        given: Tensor | None = None,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        return self.value.detach().expand(n, 1)


def planted(*values: float, judge: nn.Module, beta: float | None = None) -> Adagan:
    judges = [Critic(nn.Identity(), judge) for _ in values[1:]]
    return Adagan(LINE, [Fixed(value) for value in values], judges, reweighting=Star(), beta=beta)


@pytest.mark.parametrize(("beta", "wanted"), [(None, [1 / 3, 1 / 3, 1 / 3]), (0.2, [0.64, 0.16, 0.2])])
def test_components_are_drawn_by_their_share(beta: float | None, wanted: list[float]) -> None:
    model = planted(0, 1, 2, judge=nn.Identity(), beta=beta)
    drawn = model.sample(30_000, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(drawn.long().squeeze(1).bincount() / 30_000, torch.tensor(wanted), atol=0.01, rtol=0)
    first = model.mixed(1, 100)
    assert (first == 0).all(), "the mixture before the second"


def test_the_next_component_learns_what_the_judge_says_is_missing() -> None:
    """The mixture makes -1 twice as often as the data have it, and never 1: r is 2 and 0."""

    class Best(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.where(x < 0, -np.log(2.0), 100.0)

    model = planted(-1, 1, judge=Best())
    data = Rows(LINE, torch.tensor([-1.0, 1.0] * 50)[:, None])
    model.reweigh(1, data)
    assert model.weights.shape == (100,)
    assert float(model.weights.sum()) == pytest.approx(1, abs=1e-6)
    torch.testing.assert_close(model.weights, torch.tensor([0, 0.02] * 50))
    source = model._weighed(None)(data)
    assert (source.fetch(range(100)).x == 1).all()


def test_a_single_component_is_the_plain_game() -> None:
    x = torch.randn(64, 2, generator=torch.Generator().manual_seed(0))
    options = {"generator": Dense(width=8), "critic": Dense(width=8), "habits": Habits(average=0.9)}
    plain = train(build("gan", PLANE, options), x, steps=5, batch=16)
    mixed = made(PLANE, component=GanComponent(**options), components=1)  # type: ignore[arg-type]
    train(mixed, x, steps=5, batch=16)
    for name, value in plain.state_dict().items():
        assert torch.equal(value, mixed.state_dict()[f"components.0.{name}"]), name
    assert [stage.name for stage in mixed.stages()] == ["game 1"]


def test_each_component_has_a_judge_before_it_and_a_share_of_the_steps() -> None:
    model = made(PLANE, component=SMALL, components=3, judging=0.5)
    names = [stage.name for stage in model.stages()]
    assert names == ["game 1", "judge 2", "weights 2", "game 2", "judge 3", "weights 3", "game 3"]
    assert [stage.share for stage in model.stages() if stage.turns] == [1, 0.5, 1, 0.5, 1]
    averaged = DcganComponent(habits=Habits(average=0.9))
    spec = DataSpec(shape=(1, 16, 16), kind="image")
    names = [stage.name for stage in made(spec, component=averaged, components=2).stages()]
    assert names == ["game 1", "statistics 1", "judge 2", "weights 2", "game 2", "statistics 2"]


ALL = (
    GanComponent,
    DcganComponent,
    WganComponent,
    WganGpComponent,
    VeeganComponent,
    BiganComponent,
    UnrolledComponent,
    MinibatchComponent,
    ProgressiveComponent,
)


@pytest.mark.parametrize("part", ALL)
def test_a_component_has_the_options_of_its_system(part: type[Component]) -> None:
    known, hints = parameters(part.system), get_type_hints(part)
    own = {field.name: field for field in fields(part)}  # type: ignore[arg-type]
    assert list(own) == list(known)
    for name, field in own.items():
        assert (field.default, hints[name]) == (known[name].default, known[name].annotation)
        assert field.default is not MISSING


@pytest.mark.parametrize("part", ALL)
def test_any_game_is_a_component(part: type[Component]) -> None:
    model = made(DIGITS, component=part(), components=2)
    assert model.sample(3, generator=torch.Generator().manual_seed(0)).shape == (3, *DIGITS.shape)
    assert len({stage.name for stage in model.stages()}) == len(model.stages())
    turns = [(f"{stage.name}/{turn.name}", turn.continues) for stage in model.stages() for turn in stage.turns]
    before = {None} | {name for name, _ in turns}
    assert {continues for _, continues in turns} <= before, "a turn goes on from one that there is"
    known = [(number, continues) for number, (_, continues) in enumerate(turns) if continues is not None]
    for number, continues in known:
        assert continues in [name for name, _ in turns[:number]]
        assert continues.split("/")[0][-1] == turns[number][0].split("/")[0][-1], "of the same component"


def test_images_are_grown_and_points_are_not() -> None:
    with pytest.raises(ShapeError, match="GanComponent"):
        made(PLANE, component=ProgressiveComponent())


@pytest.mark.parametrize(
    "options",
    [{"beta": 1.0}, {"beta": 0.0}, {"components": 0}, {"judging": 0.0}, {"reweighting": Lowest(share=0.0)}],
)
def test_options_out_of_range_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(OptionError, match=next(iter(options)) if "reweighting" not in options else "share"):
        made(PLANE, component=SMALL, **options)


def test_later_components_bring_what_the_first_lacks() -> None:
    """The first component is left untrained, in the middle of the ring; the second makes the samples there are."""
    x = torch.from_numpy(ring().draw(2000)[0])
    model = made(PLANE, components=2, component=GanComponent(generator=Dense(width=64)), learning_rate=5e-3)
    first = model.components[0]
    assert isinstance(first, Samples)
    with torch.no_grad():
        for parameter in first.parameters():
            parameter.mul_(0.1)
    later = [stage for stage in model.stages() if stage.name.endswith("2")]
    model.stages = lambda: later  # type: ignore[method-assign]
    train(model, x, steps=400, batch=128)
    assert float(model.weights.sum()) == pytest.approx(1, abs=1e-4)
    drawn = model.mixed(2, 1000, generator=torch.Generator().manual_seed(0))
    radius = drawn.square().sum(1).sqrt()
    share = float((radius > 1).float().mean())
    assert 0.3 < share < 0.7, "half of the mixture is the second, far from the middle as the data are"
