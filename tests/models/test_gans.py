"""The game of generator and critic, and its values: GAN, DCGAN, conditional GAN, WGAN and WGAN-GP."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from models_kit import DIGITS, digits, train
from torch import Tensor

from urbild.contract import Batch, DataSpec, Model, Source, Stage, known_classes
from urbild.errors import DataError, OptionError, TrainingDivergedError
from urbild.models.adversarial.conditional_gan import conditional_gan
from urbild.models.adversarial.dcgan import dcgan
from urbild.models.adversarial.game import Game
from urbild.models.adversarial.gan import gan
from urbild.models.adversarial.wgan import wgan
from urbild.models.adversarial.wgan_gp import wgan_gp
from urbild.nets import play
from urbild.nets.adversaries import Architecture, Dense, Pyramid
from urbild.nets.games import Clipped, GradientPenalty, Habits, Minimax, NonSaturating, RealPenalty
from urbild.nets.moves import Adam, Steady, WarmUp
from urbild.nets.priors import Normal, Uniform
from urbild.ops.penalties import between, gradient_norm
from urbild.training import CHECKPOINT, Plan, fit

POINTS = DataSpec(shape=(2,), kind="vector", classes=("left", "right"))
SMALL = Dense(width=8)
TINY = {"generator": SMALL, "critic": SMALL}
PICTURES = DataSpec(shape=(1, 8, 8), kind="image")
CENTRES = torch.tensor([[-2.0, 0.0], [2.0, 0.0]])


def ring(n: int, *, seed: int) -> Tensor:
    """Points [n, 2] of 8 narrow modes on a circle of radius 2."""
    generator = torch.Generator().manual_seed(seed)
    angle = torch.randint(8, (n,), generator=generator) * torch.pi / 4
    centres = 2 * torch.stack([angle.cos(), angle.sin()], dim=1)
    return centres + 0.05 * torch.randn(n, 2, generator=generator)


def labelled(n: int, *, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Points [n, 2] around two centres, and which."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % 2
    return CENTRES[y] + 0.3 * torch.randn(n, 2, generator=generator), y


class Labelled(Source):
    def __init__(self, spec: DataSpec, x: Tensor, y: Tensor | None) -> None:
        self.spec, self.x, self.y = spec, x, y
        self.labels = None if y is None else y.numpy()

    def __len__(self) -> int:
        return len(self.x)

    def fetch(self, rows: Sequence[int], *, epoch: int = 0) -> Batch:
        index = torch.as_tensor(list(rows))
        return Batch(x=self.x[index], index=index, y=None if self.y is None else self.y[index])


def built(model: Model) -> Game:
    assert isinstance(model, Game)
    return model


def batch(x: Tensor, *, step: int = 0, progress: float = 0.0) -> Batch:
    return Batch(x=x, index=torch.arange(len(x)), step=step, progress=progress)


def state(model: Game, part: str) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in getattr(model, part).state_dict().items()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def with_turns(model: Game, **changes: int) -> Game:
    """The model, whose turns of these names are taken so seldom."""
    (stage,) = model.stages()
    turns = [replace(turn, every=changes.get(turn.name, turn.every)) for turn in stage.turns]
    stages: list[Stage] = [replace(stage, turns=turns)]
    model.stages = lambda: stages  # type: ignore[method-assign]
    return model


NEVER = 10**6


@pytest.mark.parametrize(("moves", "rests"), [("critic", "generator"), ("generator", "critic")])
@pytest.mark.parametrize("normalisation", ["batch", "spectral"])
def test_a_turn_leaves_the_other_player_bit_identical(moves: str, rests: str, normalisation: str) -> None:
    """Weights, batch statistics and the vectors of power iterations."""
    torch.manual_seed(0)
    network = Pyramid(width=4, normalisation=normalisation)  # type: ignore[arg-type]
    model = built(dcgan(DIGITS, generator=network, critic=network))
    before = {part: state(model, part) for part in ("critic", "generator")}
    train(with_turns(model, **{moves: 1, rests: NEVER}), digits()[0][:64], steps=3, batch=16)
    assert same(state(model, rests), before[rests])
    assert not same(state(model, moves), before[moves])


def test_the_weights_of_a_wgan_stay_in_the_box() -> None:
    torch.manual_seed(0)
    model = built(wgan(POINTS, **TINY, rhythm=Steady(critic=2), constraint=Clipped(bound=0.02)))  # type: ignore[arg-type]
    train(model, ring(64, seed=0), steps=5, batch=16)
    assert max(float(p.detach().abs().max()) for p in model.critic.parameters()) <= 0.02
    assert max(float(p.detach().abs().max()) for p in model.generator.parameters()) > 0.02


def test_the_long_rhythm_is_that_of_the_authors() -> None:
    rhythm = WarmUp(critic=5, long=100, first=25, again=500)
    wanted, step = [], 0
    for number in range(1200):
        step += 100 if number < 25 or number % 500 == 0 else 5
        wanted.append(step - 1)
    assert [step for step in range(wanted[-1] + 1) if rhythm.due(step)] == wanted
    assert [step for step in range(10) if WarmUp(critic=2, long=3, first=0, again=0).due(step)] == [1, 3, 5, 7, 9]


def test_the_losses_are_those_of_the_paper() -> None:
    torch.manual_seed(0)
    model = built(gan(POINTS, **TINY, objective=Minimax()))  # type: ignore[arg-type]
    x = ring(16, seed=0)
    torch.manual_seed(1)
    critic, generator = model.critic_loss(batch(x)), model.generator_loss(batch(x))
    torch.manual_seed(1)
    d, first = torch.sigmoid(model.critic(x)), torch.randn(16, 2)
    made = [torch.sigmoid(model.critic(model.generator(z))) for z in (first, torch.randn(16, 2))]
    value = d.log().mean() + (1 - made[0]).log().mean()
    torch.testing.assert_close(critic["loss"], -value)
    torch.testing.assert_close(critic["estimate"], value.detach())
    torch.testing.assert_close(critic["real"], d.mean().detach())
    torch.testing.assert_close(critic["fake"], made[0].mean().detach())
    torch.testing.assert_close(generator["loss"], (1 - made[1]).log().mean())


def test_the_penalty_is_part_of_the_critics_loss() -> None:
    torch.manual_seed(0)
    model = built(wgan_gp(POINTS, **TINY, constraint=GradientPenalty(weight=7.0)))  # type: ignore[arg-type]
    x = ring(16, seed=0)
    torch.manual_seed(1)
    losses = model.critic_loss(batch(x))
    torch.manual_seed(1)
    made = model.generator(torch.randn(16, 2)).detach()
    norm = gradient_norm(model.critic, between(x, made, torch.rand(16)))
    torch.testing.assert_close(
        losses["loss"], model.critic(made).mean() - model.critic(x).mean() + 7 * (norm - 1).square().mean()
    )
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.manual_seed(1)
        narrow = model.critic_loss(batch(x))
    assert narrow["loss"].dtype == torch.float32
    torch.testing.assert_close(narrow["loss"], losses["loss"], rtol=0.02, atol=0.02)


def test_a_lazy_penalty_comes_seldom_and_counts_more() -> None:
    torch.manual_seed(0)
    model = built(gan(POINTS, **TINY, constraint=RealPenalty(weight=2.0, every=4)))  # type: ignore[arg-type]
    always = replace(model.rules, constraint=RealPenalty(weight=8.0))
    x = ring(16, seed=0)
    made = torch.zeros(16, 2)
    due = play.critic_losses(model.rules, model.critic, x, made, batch(x, step=8))
    assert torch.equal(due["loss"], play.critic_losses(always, model.critic, x, made, batch(x))["loss"])
    assert "gradient" not in play.critic_losses(model.rules, model.critic, x, made, batch(x, step=9))


def test_a_pack_of_one_is_the_plain_game_and_packs_are_side_by_side() -> None:
    x = torch.arange(14.0).reshape(7, 2)
    assert play.shown(Habits(packing=1), x, 0.0) is x
    assert play.packed(x, 3).tolist() == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]
    images = torch.rand(4, 3, 5, 5)
    assert torch.equal(play.packed(images, 2)[1], torch.cat([images[2], images[3]]))
    weights = []
    for habits in (Habits(), Habits(packing=1)):
        torch.manual_seed(0)
        model = built(gan(POINTS, **TINY, habits=habits))  # type: ignore[arg-type]
        weights.append(dict(train(model, ring(32, seed=0), steps=3, batch=16).state_dict()))
    assert same(*weights)


def test_noise_on_samples_falls_to_nothing() -> None:
    x = torch.zeros(4000, 2)
    torch.manual_seed(0)
    assert abs(float(play.shown(Habits(noise=0.4), x, 0.5).std()) - 0.2) < 0.01
    assert torch.equal(play.shown(Habits(noise=0.4), x, 1.0), x)


def test_an_average_without_memory_is_the_live_weights() -> None:
    weights = {}
    for average in (None, 0.0, 0.9):
        torch.manual_seed(0)
        model = built(gan(POINTS, **TINY, habits=Habits(average=average)))  # type: ignore[arg-type]
        weights[average] = dict(train(model, ring(32, seed=0), steps=4, batch=16).state_dict())
    assert same(weights[None], weights[0.0])
    assert not same(weights[None], weights[0.9])


def test_batch_statistics_are_those_of_the_averaged_weights() -> None:
    torch.manual_seed(0)
    generator = Dense(width=16, normalisation="batch")
    optimiser = Adam(generator=0.05, critic=0.05)
    model = built(gan(POINTS, generator=generator, critic=SMALL, optimiser=optimiser, habits=Habits(average=0.9)))
    train(model, ring(64, seed=0), steps=10, batch=32)
    linear, norm = model.generator[0], model.generator[1]  # type: ignore[index]
    with torch.no_grad():
        hidden = linear(torch.randn(20_000, 2))
    torch.testing.assert_close(norm.running_mean, hidden.mean(0), rtol=0.05, atol=0.05)
    torch.testing.assert_close(norm.running_var, hidden.var(0), rtol=0.1, atol=0.01)
    assert norm.momentum == 0.1


def test_spectral_normalisation_holds_every_layer() -> None:
    torch.manual_seed(0)
    critic = Pyramid(width=8, normalisation="spectral").critic(DataSpec(shape=(3, 32, 32), kind="image"))
    with torch.no_grad():
        norms = [
            float(torch.linalg.matrix_norm(layer.weight.flatten(1), 2))
            for layer in critic.modules()
            if hasattr(layer, "parametrizations")
        ]
    assert len(norms) == 4
    assert all(0.98 < norm < 1.05 for norm in norms)


def test_temperature_scales_the_latent() -> None:
    seeded = [torch.Generator().manual_seed(0) for _ in range(2)]
    device = torch.device("cpu")
    for prior in (Normal(), Uniform()):
        whole, half = (
            prior.draw(9, 3, device=device, generator=g, temperature=t) for g, t in zip(seeded, (1, 0.5), strict=True)
        )
        assert torch.equal(half, whole / 2)
    assert Uniform().draw(999, 1, device=device).abs().max() <= 1


def test_conditional_samples_change_with_the_label_alone() -> None:
    torch.manual_seed(0)
    model = built(conditional_gan(POINTS, **TINY)).eval()  # type: ignore[arg-type]
    z = torch.randn(1, model.latent).expand(2, -1)
    with torch.no_grad():
        same_class, other = model.decode(z, given=torch.tensor([1, 1])), model.decode(z, given=torch.tensor([0, 1]))
    assert torch.equal(same_class[0], same_class[1])
    assert torch.equal(other[1], same_class[1])
    assert not torch.equal(other[0], other[1])


@pytest.mark.parametrize(("spec", "architecture"), [(POINTS, SMALL), (PICTURES, Pyramid(2, "none"))])
def test_a_projection_weighs_the_features_by_the_class(spec: DataSpec, architecture: Architecture) -> None:
    torch.manual_seed(0)
    critic = architecture.critic(spec, extra=3, projected=True)
    assert critic.projection is not None
    x, y = torch.randn(5, *spec.shape), torch.eye(3)[torch.tensor([0, 1, 2, 1, 0])]
    with torch.no_grad():
        phi = critic.features(x).flatten(1)
        row, bias = critic.verdict.parameters()
        (rows,) = critic.projection.parameters()
        alone = phi @ row.flatten() + bias
        torch.testing.assert_close(critic(x, y), alone + ((y @ rows.flatten(1)) * phi).sum(1))
        torch.testing.assert_close(critic(x), alone)


@pytest.mark.parametrize("normalisation", ["none", "spectral"])
@pytest.mark.parametrize("packing", [1, 2])
def test_a_conditional_gan_makes_the_class_that_is_asked_for(normalisation: str, packing: int) -> None:
    torch.manual_seed(0)
    x, y = labelled(512)
    options = {"optimiser": Adam(generator=2e-3, critic=2e-3), "habits": Habits(packing=packing)}
    network = Dense(width=32)
    judge = replace(network, normalisation=normalisation)
    model = built(conditional_gan(POINTS, generator=network, critic=judge, **options))
    assert (model.critic.projection is not None) == (normalisation == "spectral")
    fit(model, Labelled(POINTS, x, y), Plan(steps=250, batch=64, device="cpu"))
    wanted = torch.arange(400) % 2
    with torch.no_grad():
        made = model.sample(400, given=wanted, generator=torch.Generator().manual_seed(0))
        unasked = model.sample(400, generator=torch.Generator().manual_seed(0))
    assert (torch.cdist(made, CENTRES).argmin(1) == wanted).float().mean() > 0.95
    assert torch.equal(made, unasked), "classes come in turn"


def sliced_wasserstein(a: Tensor, b: Tensor) -> float:
    """Mean earth mover's distance of projections of as many points [N, D] each."""
    directions = torch.randn(64, a.shape[1], generator=torch.Generator().manual_seed(0))
    directions = directions / directions.norm(dim=1, keepdim=True)
    sides = [(x @ directions.T).sort(dim=0).values for x in (a, b)]
    return float((sides[0] - sides[1]).abs().mean())


def test_it_learned_a_ring() -> None:
    """Nearer to fresh points than a Gaussian with the mean and covariance of the training points."""
    seen, fresh = ring(2048, seed=0), ring(1000, seed=1)
    torch.manual_seed(0)
    network = Dense(width=64)
    model = built(
        gan(
            POINTS,
            generator=network,
            critic=network,
            constraint=RealPenalty(weight=0.1, every=4),
            optimiser=Adam(generator=2e-3, critic=2e-3),
            habits=Habits(average=0.95),
        )
    )
    train(model, seen, steps=300, batch=128)
    with torch.no_grad():
        made = model.sample(1000, generator=torch.Generator().manual_seed(0))
    law = torch.distributions.MultivariateNormal(seen.mean(0), seen.T.cov())
    torch.manual_seed(0)
    floor = sliced_wasserstein(law.sample((1000,)), fresh)
    assert sliced_wasserstein(made, fresh) < 0.8 * floor


@pytest.mark.parametrize("x", [labelled(8)[0]])
def test_conditional_training_without_labels_is_refused(x: Tensor) -> None:
    with pytest.raises(OptionError, match="conditional_gan needs labelled data"):
        conditional_gan(replace(POINTS, classes=()))
    plan = Plan(steps=2, batch=4, device="cpu")
    with pytest.raises(DataError, match="8 of 8 training samples have no label"):
        fit(conditional_gan(POINTS), Labelled(POINTS, x, None), plan)
    with pytest.raises(DataError, match="8 of 8 training samples have no label"):
        fit(conditional_gan(POINTS), Labelled(POINTS, x, torch.full((8,), -1)), plan)
    with pytest.raises(DataError, match="only 2 classes have a name"):
        fit(conditional_gan(POINTS), Labelled(POINTS, x, torch.full((8,), 5)), plan)


def test_a_class_that_was_never_seen_is_refused() -> None:
    model = built(conditional_gan(POINTS, **TINY))  # type: ignore[arg-type]
    for label in (-1, 2):
        with pytest.raises(OptionError, match="not one of the 2"):
            model.sample(1, given=torch.tensor([label]))


def test_a_class_without_a_sample_in_training_is_refused_and_not_chosen() -> None:
    x, _ = labelled(8)
    spec = replace(POINTS, classes=("left", "middle", "right"))
    model = conditional_gan(spec, **TINY)  # type: ignore[arg-type]
    assert known_classes(model).tolist() == [0, 1, 2], "not trained yet"
    fit(model, Labelled(spec, x, 2 * (torch.arange(len(x)) % 2)), Plan(steps=2, batch=4, device="cpu"))
    copy = conditional_gan(spec, **TINY).eval()  # type: ignore[arg-type]
    copy.load_state_dict(model.state_dict())
    for trained in (model, copy):
        assert isinstance(trained, Game)
        with pytest.raises(OptionError, match="class 'middle' had no sample in training"):
            trained.sample(2, given=torch.tensor([0, 1]))
        drawn, asked = (
            trained.sample(4, given=given, generator=torch.Generator().manual_seed(0))
            for given in (None, torch.tensor([0, 2, 0, 2]))
        )
        assert torch.equal(drawn, asked)


def test_fewer_samples_than_a_pack_are_refused() -> None:
    model = gan(POINTS, **TINY, habits=Habits(packing=4))  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="packing=4 needs at least 4 samples in a batch, and there are 3"):
        train(model, ring(3, seed=0), steps=1)


@pytest.mark.parametrize("constraint", [GradientPenalty(), RealPenalty()])
def test_a_penalty_beside_batch_statistics_is_refused(constraint: GradientPenalty | RealPenalty) -> None:
    spec = DataSpec(shape=(1, 16, 16), kind="image")  # of smaller ones a pyramid normalises nothing
    with pytest.raises(OptionError, match="each sample's own gradient"):
        dcgan(spec, constraint=constraint)
    assert isinstance(dcgan(spec, critic=Pyramid(normalisation="group"), constraint=constraint), Game)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"optimiser": Adam(critic=0.0)}, "critic must be positive"),
        ({"optimiser": Adam(momentum=1.0)}, "momentum must be at least 0 and below 1"),
        ({"objective": NonSaturating(smoothing=1.5)}, "smoothing must be"),
        ({"critic": Dense(dropout=1.0)}, "dropout must be"),
        ({"generator": Pyramid()}, "Pyramid convolves images"),
        ({"habits": Habits(packing=0)}, "packing must be positive"),
        ({"rhythm": Steady(critic=0)}, "critic must be positive"),
        ({"prior": Normal(size=0)}, "size must be positive"),
    ],
)
def test_bad_numbers_are_refused_when_a_model_is_built(options: dict[str, object], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        gan(POINTS, **options)  # type: ignore[arg-type]


def test_a_run_that_diverged_names_where_and_keeps_its_checkpoint(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = built(gan(POINTS, **TINY))  # type: ignore[arg-type]
    original = model.generator_loss
    spoilt = {5: float("nan")}
    model.generator_loss = lambda b: {"loss": original(b)["loss"] * spoilt.get(b.step, 1.0)}  # type: ignore[method-assign]
    plan = Plan(steps=8, batch=16, checkpoint_every=2, device="cpu")
    with pytest.raises(TrainingDivergedError, match=r"stage 'game', turn 'generator', step 5: loss is nan"):
        fit(model, Labelled(POINTS, ring(32, seed=0), None), plan, directory=tmp_path)
    assert (tmp_path / CHECKPOINT).exists()
    again = built(gan(POINTS, **TINY))  # type: ignore[arg-type]
    fit(again, Labelled(POINTS, ring(32, seed=0), None), plan, directory=tmp_path, resume=True)
    assert all(bool(p.isfinite().all()) for p in again.parameters())
