"""Progressive GAN: what grows equals what it grew from, fades, stages, and sizes."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from models_kit import DIGITS, Rows, digits, train
from torch import Tensor

from urbild.catalogue import build
from urbild.contract import Batch, DataSpec
from urbild.errors import OptionError, ShapeError
from urbild.models.adversarial.growing import Direct, Grown, Phase, overall, pyramid, widths
from urbild.models.adversarial.progressive_gan import Drifting, ProgressiveGan, progressive_gan
from urbild.nets.equalised import doubled, halved, pixel_norm
from urbild.nets.games import GradientPenalty, Habits, RealPenalty, Wasserstein
from urbild.nets.moves import Adam
from urbild.nets.priors import Normal, Uniform
from urbild.training import CHECKPOINT, Plan, fit

COLOUR = DataSpec(shape=(3, 16, 16), kind="image", levels=256)
SMALL = {"width": 8, "prior": Normal(size=6)}


def built(spec: DataSpec = COLOUR, *, seed: int = 0, **options: object) -> ProgressiveGan:
    model = build("progressive_gan", spec, {**SMALL, **options}, seed=seed)
    assert isinstance(model, ProgressiveGan)
    return model


def images(n: int, *, seed: int = 0, spec: DataSpec = COLOUR) -> Tensor:
    return torch.rand(n, *spec.shape, generator=torch.Generator().manual_seed(seed))


def latents(n: int, *, seed: int = 1) -> Tensor:
    return pixel_norm(torch.randn(n, 6, generator=torch.Generator().manual_seed(seed)))


def batch(x: Tensor, *, progress: float = 0.0, step: int = 0) -> Batch:
    return Batch(x=x, index=torch.arange(len(x)), progress=progress, step=step)


def state(module: torch.nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("level", [1, 2])
def test_at_alpha_0_either_network_equals_the_smaller_one(level: int) -> None:
    model, z = built(), latents(5)
    x = 2 * images(5)[:, :, : 4 << level, : 4 << level] - 1
    with torch.no_grad():
        assert torch.equal(model.generator(z, level, 0.0), doubled(model.generator(z, level - 1)))
        assert torch.equal(model.critic(x, level, 0.0), model.critic(halved(x), level - 1))
        torch.testing.assert_close(model.generator(z, level, 1.0), model.generator(z, level))
        torch.testing.assert_close(model.critic(x, level, 1.0), model.critic(x, level))
        half = model.generator(z, level, 0.5)
        torch.testing.assert_close(2 * half - model.generator(z, level), doubled(model.generator(z, level - 1)))


def test_real_images_fade_as_made_ones_do() -> None:
    model, x = built(), images(4)
    fade = next(phase for phase in model.phases if phase.name == "8x8-fade")
    small = halved(2 * x - 1)
    torch.testing.assert_close(model.real(fade, batch(x)), doubled(halved(small)))
    torch.testing.assert_close(model.real(fade, batch(x, progress=0.25)), 0.75 * doubled(halved(small)) + 0.25 * small)
    stable = next(phase for phase in model.phases if phase.name == "8x8")
    torch.testing.assert_close(model.real(stable, batch(x, progress=0.25)), small)
    assert model.real(model.phases[0], batch(x)).shape == (4, 3, 4, 4)
    torch.testing.assert_close(model.real(model.phases[-1], batch(x)), 2 * x - 1)


def test_the_critics_loss_is_that_of_the_paper() -> None:
    model, x = built(constraint=GradientPenalty(weight=7.0), drift=0.5), images(6)
    phase = model.phases[1]
    assert phase.fades
    torch.manual_seed(3)
    losses = model.critic_loss(batch(x, progress=0.3), phase=phase)
    torch.manual_seed(3)
    z = pixel_norm(torch.randn(6, 6))
    fake, real = model.generator(z, 1, 0.3).detach(), model.real(phase, batch(x, progress=0.3))
    share = torch.rand(6)[:, None, None, None]
    line = (share * real + (1 - share) * fake).requires_grad_()
    (slope,) = torch.autograd.grad(model.critic(line, 1, 0.3).sum(), line)
    penalty = (slope.flatten(1).norm(dim=1) - 1).square().mean()
    on_real, on_fake = model.critic(real, 1, 0.3), model.critic(fake, 1, 0.3)
    expected = on_fake.mean() - on_real.mean() + 7 * penalty + 0.5 * on_real.square().mean()
    torch.testing.assert_close(losses["loss"], expected)


def test_without_drift_the_losses_are_the_wasserstein_ones() -> None:
    real, fake = torch.randn(5), torch.randn(5)
    drifting, plain = Drifting(0.0), Wasserstein()
    assert torch.equal(drifting.critic(real, fake), plain.critic(real, fake))
    assert torch.equal(drifting.generator(fake), plain.generator(fake))
    torch.testing.assert_close(Drifting(0.001).critic(real, fake) - plain.critic(real, fake), 0.001 * real.square())


def test_losses_in_bf16_are_near_those_in_single_precision() -> None:
    model, x = built(width=16), images(8)
    for loss in (model.critic_loss, model.generator_loss):
        for phase in model.phases[1:3]:
            found = []
            for narrow in (False, True):
                torch.manual_seed(0)
                with torch.autocast("cpu", torch.bfloat16, enabled=narrow):
                    found.append(loss(batch(x, progress=0.5), phase=phase)["loss"])
            assert found[1].dtype == torch.float32
            torch.testing.assert_close(found[1], found[0], atol=0.03, rtol=0.03)


def test_a_turn_moves_its_player_alone_and_nothing_that_has_not_grown() -> None:
    for kept, moved in (("generator", "critic"), ("critic", "generator")):
        model = built()
        fade = model.stages()[1]
        turn = next(turn for turn in fade.turns if turn.name == moved)
        stage = replace(fade, turns=[replace(turn, continues=None)], average=None)
        before = {name: state(getattr(model, name)) for name in (kept, moved)}
        model.stages = lambda stage=stage: [stage]  # type: ignore[method-assign]
        train(model, images(8), steps=3, batch=4)
        assert same(before[kept], state(getattr(model, kept)))
        after = state(getattr(model, moved))
        changed = {name for name, value in after.items() if not torch.equal(value, before[moved][name])}
        assert any(name.startswith("blocks.0") for name in changed)
        assert not [name for name in changed if name.startswith(("blocks.1", "images.2"))]


def test_stages_follow_the_sizes() -> None:
    model = built(schedule=Grown(fading=0.25, batch=64), spec=DataSpec(shape=(1, 64, 64), kind="image"))
    stages = model.stages()
    names = ["4x4", "8x8-fade", "8x8", "16x16-fade", "16x16", "32x32-fade", "32x32", "64x64-fade", "64x64"]
    assert [stage.name for stage in stages] == names
    assert [stage.batch for stage in stages] == [64, 64, 64, 64, 64, 32, 32, 16, 16]
    shown = [stage.share * (stage.batch or 0) for stage in stages]
    torch.testing.assert_close(torch.tensor(shown) / shown[0], torch.tensor([1.0, *[1 / 3, 1.0] * 4]))
    for before, stage in pairwise(stages):
        assert [turn.continues for turn in stage.turns] == [f"{before.name}/{turn.name}" for turn in stage.turns]
    assert [turn.continues for turn in stages[0].turns] == [None, None]
    assert {stage.average for stage in stages} == {0.999}


def test_direct_training_is_of_the_same_last_network() -> None:
    grown, direct = built(), built(schedule=Direct(batch=12))
    assert same(state(grown), state(direct))
    (stage,) = direct.stages()
    assert (stage.name, stage.batch) == ("direct", 12)
    own = {id(p) for turn in stage.turns for module in turn.modules for p in module.parameters()}
    last = {id(p) for turn in direct.stages()[-1].turns for m in turn.modules for p in m.parameters()}
    assert own == last
    train(direct, images(8), steps=2, batch=4)
    assert float(direct.reached.level) == 2


def test_rates_and_noise_fall_over_the_run_not_over_a_stage() -> None:
    phases = [Phase(name="a", level=0, share=1.0), Phase(name="b", level=1, share=3.0)]
    assert [overall(phases, phases[0], 0.0), overall(phases, phases[1], 0.0)] == [0.0, 0.25]
    assert overall(phases, phases[1], 1.0) == 1.0
    stages = built(optimiser=Adam(linear=True), schedule=Grown(fading=0.5)).stages()
    assert [stage.turns[0].rate(0.0) for stage in stages] == pytest.approx([1.0, 1.0, 1.0, 0.8, 0.4])
    assert stages[-1].turns[1].rate(1.0) == pytest.approx(0.0)


def test_before_the_end_samples_are_of_the_size_that_has_been_reached() -> None:
    model = built()
    z = torch.randn(3, 6)
    for reached, level, alpha in ((0.0, 0, None), (0.25, 1, 0.25), (1.0, 1, None), (1.5, 2, 0.5), (2.0, 2, None)):
        model.reached.level.fill_(reached)
        with torch.no_grad():
            made = (model.generator(pixel_norm(z), level, alpha) + 1) / 2
            for _ in range(2 - level):
                made = doubled(made)
            torch.testing.assert_close(model.decode(z), made.clamp(0, 1))
    train(model, images(8), steps=10, batch=4)
    assert float(model.reached.level) == 2


def test_only_the_direction_of_a_latent_counts_and_temperature_shortens_it() -> None:
    model = built()
    z = torch.randn(4, 6)
    torch.testing.assert_close(model.decode(z), model.decode(10 * z))
    cold = model.sample(50, temperature=0.0, generator=torch.Generator().manual_seed(0))
    assert torch.equal(cold, cold[:1].expand_as(cold))
    drawn = Normal(size=6).draw(4, 6, device=torch.device("cpu"), generator=torch.Generator().manual_seed(0))
    assert torch.equal(model.sample(4, generator=torch.Generator().manual_seed(0)), model.decode(drawn))


@pytest.mark.parametrize(
    ("size", "sizes"),
    [
        ((32, 32), [(4, 4), (8, 8), (16, 16), (32, 32)]),
        ((28, 28), [(7, 7), (14, 14), (28, 28)]),
        ((8, 8), [(4, 4), (8, 8)]),
        ((29, 31), [(4, 4), (8, 8), (16, 16), (32, 32)]),
        ((9, 7), [(5, 4), (10, 8)]),
        ((5, 6), [(4, 4), (8, 8)]),
        ((24, 40), [(6, 10), (12, 20), (24, 40)]),
        ((100, 64), [(7, 4), (14, 8), (28, 16), (56, 32), (112, 64)]),
    ],
)
def test_images_grow_through_sizes_that_double(size: tuple[int, int], sizes: list[tuple[int, int]]) -> None:
    assert list(pyramid(size)) == sizes


def test_every_pyramid_holds_its_images() -> None:
    for height in range(5, 140):
        for width in (height, height + 1, 2 * height + 3):
            sizes = pyramid((height, width))
            assert 4 <= min(sizes[0]) <= 7
            assert len(sizes) > 1
            assert sizes[-1][0] >= height
            assert sizes[-1][1] >= width
            assert sizes[-1][0] <= max(8, 1.25 * height)  # 33 is grown to 40


def test_channels_fall_as_in_the_paper_below_their_cap() -> None:
    sizes = pyramid((1024, 1024))
    assert widths(sizes, 512) == [512, 512, 512, 512, 256, 128, 64, 32, 16]
    assert widths(sizes, 128) == [128, 128, 128, 128, 128, 128, 64, 32, 16]


def test_odd_sizes_come_back_as_they_are() -> None:
    spec = DataSpec(shape=(1, 9, 7), kind="image")
    model = built(spec)
    assert model.sample(3, generator=torch.Generator().manual_seed(0)).shape == (3, 1, 9, 7)
    assert model.real(model.phases[-1], batch(images(3, spec=spec))).shape == (3, 1, 10, 8)


@pytest.mark.parametrize("shape", [(1, 1, 40), (3, 4, 4), (1, 64, 3)])
def test_images_that_cannot_be_grown_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"cannot be grown.*5 or more"):
        progressive_gan(DataSpec(shape=shape, kind="image"))


def test_vectors_are_refused() -> None:
    with pytest.raises(ShapeError, match="takes image data"):
        build("progressive_gan", DataSpec(shape=(5,), kind="vector"), {})


@pytest.mark.parametrize(
    "options",
    [
        {"width": 0},
        {"drift": -0.1},
        {"schedule": Grown(fading=1.0)},
        {"schedule": Grown(batch=0)},
        {"schedule": Direct(0)},
    ],
)
def test_numbers_out_of_range_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(OptionError):
        built(**options)


@pytest.mark.parametrize("precision", ["32", "bf16"])
def test_a_run_that_is_cut_off_within_a_fade_reaches_the_same_weights(precision: str, tmp_path: Path) -> None:
    class Cut(Exception):
        pass

    plan = Plan(steps=20, batch=4, precision=precision, device="cpu", checkpoint_every=2)  # type: ignore[arg-type]
    whole, broken, resumed = built(), built(), built(seed=1)
    source = Rows(COLOUR, images(16))
    fit(whole, source, plan)
    stages = list(broken.stages())
    assert stages[3].name == "16x16-fade"
    spied = stages[3].turns[1].loss

    def loss(found: Batch) -> object:
        if found.step == 3:
            raise Cut
        return spied(found)

    object.__setattr__(stages[3].turns[1], "loss", loss)
    broken.stages = lambda: stages  # type: ignore[method-assign]
    with pytest.raises(Cut):
        fit(broken, source, plan, directory=tmp_path)
    assert (tmp_path / CHECKPOINT).exists()
    fit(resumed, source, plan, directory=tmp_path, resume=True)
    assert same(state(whole), state(resumed))


@pytest.mark.parametrize(
    "options",
    [
        {"habits": Habits(noise=0.1, packing=2, average=0.9)},
        {"constraint": RealPenalty(weight=5.0, every=2), "prior": Uniform(size=6)},
        {"schedule": Direct()},
    ],
)
def test_parts_of_other_games_go_with_it(options: dict[str, object]) -> None:
    model = built(**options)
    train(model, images(12), steps=10, batch=6)
    assert model.sample(2, generator=torch.Generator().manual_seed(0)).isfinite().all()


def test_samples_come_nearer_to_the_digits_than_their_mean_grey() -> None:
    x, _ = digits()
    quick = Adam(generator=3e-3, critic=3e-3, momentum=0.0, memory=0.99)
    model = built(DIGITS, width=16, prior=Normal(size=16), habits=Habits(average=0.9), optimiser=quick)
    train(model, x, steps=150, batch=32)
    with torch.no_grad():
        made = model.sample(500, generator=torch.Generator().manual_seed(0))

    def apart(made: Tensor) -> float:
        """Between the laws of the pixels: mean and deviation of each."""
        gap = (made.mean(0) - x.mean(0)).square().mean() + (made.std(0) - x.std(0)).square().mean()
        return float(gap)

    assert apart(made) < 0.6 * apart(x.mean().expand(500, *DIGITS.shape))
