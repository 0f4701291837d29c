import math

import pytest
import torch
from torch import nn
from training_toys import Growing, OnePlayer, Rows, TwoPlayers, TwoStages, rows

from urbild.contract import Batch, DataSpec, Model, Stage, Turn
from urbild.errors import OptionError, TrainingDivergedError
from urbild.training import Plan, fit
from urbild.training.progress import Quiet

SPEC = DataSpec(shape=(6,), kind="vector")


def build(kind, *args, **kwargs):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return kind(SPEC, *args, **kwargs)


def weights(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_one_player_equals_a_loop_written_by_hand():
    source, model, by_hand = rows(), build(OnePlayer), build(OnePlayer)
    fit(model, source, Plan(steps=12, batch=8, seed=3, precision="32"))
    optimiser = torch.optim.Adam(by_hand.parameters(), lr=1e-2)
    seen = []
    probe = build(OnePlayer)
    original = source.fetch
    source.fetch = lambda index, *, epoch=0: seen.append(list(index)) or original(index, epoch=epoch)
    fit(probe, source, Plan(steps=12, batch=8, seed=3, precision="32"))
    for index in seen:
        optimiser.zero_grad()
        by_hand.loss(original(index))["loss"].backward()
        optimiser.step()
    assert same(weights(model), weights(probe))
    for name, value in weights(by_hand).items():
        torch.testing.assert_close(weights(model)[name], value)
    assert sorted(i for index in seen for i in index) == list(range(96))  # one epoch: each sample once


@pytest.mark.parametrize("kind", [OnePlayer, TwoPlayers, TwoStages])
def test_same_seed_same_model_and_another_seed_another(kind):
    def trained(seed):
        model = build(kind)
        fit(model, rows(), Plan(steps=9, batch=8, seed=seed))
        return weights(model)

    assert same(trained(1), trained(1))
    assert not same(trained(1), trained(2))


def test_global_generators_and_flags_are_left_alone():
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    model = build(TwoPlayers)
    fit(model, rows(), Plan(steps=4, batch=8))
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(p.requires_grad and p.grad is None for p in model.parameters())
    assert not model.training


def test_a_turn_moves_only_its_own_modules_and_buffers():
    model = build(TwoPlayers)
    generator = [t for t in model.stages()[0].turns if t.name == "generator"]
    model.stages = lambda: [
        Stage(
            name="game", turns=[*generator, Turn(name="idle", modules=[model.critic], loss=model.criticise, every=1000)]
        )
    ]
    before = weights(model)
    fit(model, rows(), Plan(steps=4, batch=8))
    after = weights(model)
    assert all(torch.equal(before[n], after[n]) for n in before if n.startswith("critic"))
    assert not torch.equal(before["generator.0.weight"], after["generator.0.weight"])
    assert not torch.equal(before["generator.1.running_mean"], after["generator.1.running_mean"])


def test_earlier_stages_stay_as_they_were_in_later_ones():
    model, seen = build(TwoStages), {}
    stages = model.stages()
    spied = stages[1].turns[0].loss

    def spy(batch):
        seen.setdefault("start", weights(model))
        assert not model.encoder.training
        return spied(batch)

    turns = [Turn(name="head", modules=[model.head], loss=spy)]
    model.stages = lambda: [stages[0], Stage(name="head", turns=turns)]
    fit(model, rows(), Plan(steps=12, batch=8))
    after = weights(model)
    assert all(torch.equal(seen["start"][n], after[n]) for n in after if not n.startswith("head"))


def test_accumulation_gives_the_same_weights():
    whole, pieces = build(OnePlayer), build(OnePlayer)
    fit(whole, rows(), Plan(steps=10, batch=12))
    fit(pieces, rows(), Plan(steps=10, batch=12, accumulate=5))
    for name, value in weights(whole).items():
        torch.testing.assert_close(weights(pieces)[name], value, atol=1e-5, rtol=1e-4)


def test_clip_bounds_the_step():
    class Steep(OnePlayer):
        def stages(self):
            turn = Turn(
                name="t",
                modules=[self.net],
                loss=self.loss,
                optimiser=lambda named: torch.optim.SGD([p for _, p in named], lr=1.0),
            )
            return [Stage(name="only", turns=[turn])]

    model = build(Steep)
    before = weights(model)
    fit(model, rows(), Plan(steps=1, batch=8, clip=0.01))
    moved = math.sqrt(sum(float((value - before[name]).square().sum()) for name, value in weights(model).items()))
    assert moved == pytest.approx(0.01, rel=1e-3)


def test_learning_rate_follows_progress():
    still = build(OnePlayer, rate=lambda progress: float(progress < 0.5))
    short, before = build(OnePlayer), None
    fit(still, rows(), Plan(steps=10, batch=8))
    fit(short, rows(), Plan(steps=5, batch=8))
    before = weights(short)
    for name, value in weights(still).items():
        torch.testing.assert_close(value, before[name])


def test_average_is_what_the_verbs_use():
    plain, seen = build(OnePlayer), []
    turn = plain.stages()[0].turns[0]
    spied = Turn(
        name="rebuild",
        modules=turn.modules,
        loss=turn.loss,
        optimiser=turn.optimiser,
        after=lambda: seen.append(plain.net[0].weight.detach().clone()),
    )
    start = plain.net[0].weight.detach().clone()
    plain.stages = lambda: [Stage(name="only", turns=[spied], average=0.8)]
    fit(plain, rows(), Plan(steps=7, batch=8))
    expected = start
    for value in seen:
        expected = 0.8 * expected + 0.2 * value
    torch.testing.assert_close(plain.net[0].weight, expected)


def test_a_turn_that_continues_another_goes_on_with_its_weights_and_its_average():
    model, seen = build(Growing), []
    stages = model.stages()
    for stage in stages:
        object.__setattr__(stage.turns[0], "after", lambda: seen.append(weights(model)))
    model.stages = lambda: stages
    expected = {name: value for name, value in weights(model).items() if not name.startswith("new")}
    fresh = weights(model)
    fit(model, rows(), Plan(steps=10, batch=8))
    for step, value in enumerate(seen):
        still = "old" if step >= 5 else "new"
        if step == 5:
            expected |= {name: start for name, start in fresh.items() if name.startswith("new")}
        for name in expected:
            if not name.startswith(still):
                expected[name] = 0.8 * expected[name] + 0.2 * value[name]
    for name, value in weights(model).items():
        torch.testing.assert_close(value, expected[name])


def test_early_stop_keeps_the_best_on_validation():
    validation = rows(40, seed=5)
    model = build(OnePlayer)

    def monitor(batch: Batch) -> torch.Tensor:
        values.append(float((model.net(batch.x) - batch.x).square().mean()) if len(values) < 4 else 99.0 + len(values))
        if len(values) <= 4:
            kept.append(weights(model))
        return torch.full((len(batch),), values[-1])

    values, kept = [], []
    stage = model.stages()[0]
    model.stages = lambda: [Stage(name="only", turns=stage.turns, monitor=monitor)]
    outcome = fit(model, rows(), Plan(steps=400, batch=8, patience=3, check_every=5), validation=validation)
    assert outcome.protocol["stopped"] == {"only": "patience"}
    best = min(range(4), key=lambda k: values[k])
    assert outcome.protocol["steps"]["only"] == 5 * (best + 1 + 3)
    assert same(weights(model), kept[best])


def test_divergence_names_stage_turn_and_step(tmp_path):
    model = build(OnePlayer)
    original = model.loss
    model.loss = lambda batch: {"loss": original(batch)["loss"] * (math.nan if batch.step == 6 else 1.0)}
    with pytest.raises(TrainingDivergedError, match=r"stage 'only', turn 'rebuild', step 6: loss is nan"):
        fit(model, rows(), Plan(steps=10, batch=8, checkpoint_every=2), directory=tmp_path)
    assert all(bool(p.isfinite().all()) for p in model.parameters())
    resumed = build(OnePlayer)
    fit(resumed, rows(), Plan(steps=10, batch=8, checkpoint_every=2), directory=tmp_path, resume=True)
    assert all(bool(p.isfinite().all()) for p in resumed.parameters())


def test_weights_that_are_not_finite_never_reach_a_checkpoint(tmp_path):
    model = build(OnePlayer)
    turn = model.stages()[0].turns[0]

    def spoil():
        with torch.no_grad():
            model.net[0].bias.fill_(math.inf)

    model.stages = lambda: [
        Stage(
            name="only",
            turns=[
                Turn(
                    name="t",
                    modules=turn.modules,
                    loss=lambda _: {
                        "loss": model.net[2].weight.square().sum()
                        + 0 * sum(p.sum() for p in model.net[0].parameters()).nan_to_num(0, 0, 0)
                    },
                    after=spoil,
                )
            ],
        )
    ]
    with pytest.raises(TrainingDivergedError):
        fit(model, rows(), Plan(steps=4, batch=8, checkpoint_every=1), directory=tmp_path)
    assert not (tmp_path / "checkpoint.safetensors").exists()


@pytest.mark.parametrize("precision", ["bf16", "16"])
def test_reduced_precision_learns_and_keeps_weights_in_fp32(precision):
    model, full = build(OnePlayer), build(OnePlayer)
    fit(model, rows(), Plan(steps=60, batch=32, precision=precision, clip=1.0))
    fit(full, rows(), Plan(steps=60, batch=32, precision="32", clip=1.0))
    batch = rows().fetch(range(96))
    assert all(p.dtype == torch.float32 for p in model.parameters())
    assert not torch.equal(model.net[0].weight, full.net[0].weight)
    with torch.no_grad():
        assert float(model.loss(batch)["loss"]) == pytest.approx(float(full.loss(batch)["loss"]), rel=0.05)


def test_time_budget_records_steps_that_repeat_it():
    timed, again = build(OnePlayer, noise=0.1), build(OnePlayer, noise=0.1)
    outcome = fit(timed, rows(), Plan(seconds=0.4, batch=8))
    steps = outcome.protocol["planned"]["only"]
    assert outcome.protocol["seconds"] < 2.0
    if outcome.protocol["stopped"]["only"] == "steps":
        fit(again, rows(), Plan(steps=steps, batch=8))
        assert same(weights(timed), weights(again))
    else:
        assert outcome.protocol["stopped"] == {"only": "time"}
        assert 0 < outcome.protocol["steps"]["only"] < steps


def test_budget_is_shared_by_stages_and_default_follows_recipe():
    outcome = fit(build(TwoStages), rows(), Plan(steps=30, batch=8))
    assert outcome.protocol["steps"] == {"codes": 15, "head": 15}
    outcome = fit(build(OnePlayer), rows(960), Plan(epochs=2, batch=96))
    assert outcome.protocol["steps"] == {"only": 20}


def test_every_repeat_and_function_of_the_step():
    model, moves = build(TwoPlayers), []
    stage = model.stages()[0]

    def note(turn, **changes):
        fields = {
            "name": turn.name,
            "modules": turn.modules,
            "loss": turn.loss,
            "every": turn.every,
            "repeat": turn.repeat,
            "after": lambda: moves.append(turn.name),
        }
        return Turn(**{**fields, **changes})

    critic, generator = stage.turns
    turns = [note(critic), note(generator, every=lambda step: step >= 4)]
    model.stages = lambda: [Stage(name="game", turns=turns)]
    fit(model, rows(), Plan(steps=6, batch=8))
    assert moves == ["critic"] * 2 * 4 + ["critic", "critic", "generator"] * 2


def test_metrics_are_written_as_they_come(tmp_path):
    outcome = fit(
        build(OnePlayer),
        rows(),
        Plan(steps=20, batch=8, log_every=5, check_every=10),
        directory=tmp_path,
        validation=rows(16),
    )
    lines = (tmp_path / "metrics.csv").read_text().splitlines()
    assert lines[0] == "stage,step,seconds,split,name,value"
    assert len(lines) == 1 + len(outcome.rows) == 1 + 4 * 2 + 2
    assert {row.name for row in outcome.rows} == {"rebuild/loss", "rebuild/weight", "monitor"}


def test_tensorboard_on_request(tmp_path):
    pytest.importorskip("tensorboard")
    fit(build(OnePlayer), rows(), Plan(steps=4, batch=8, tensorboard=True), directory=tmp_path)
    assert list((tmp_path / "tensorboard").glob("events*"))


def test_images_train_in_channels_last():
    class Conv(Model):
        def __init__(self):
            super().__init__()
            self.spec = DataSpec(shape=(3, 7, 5), kind="image")
            self.net = nn.Conv2d(3, 3, kernel_size=3, padding=1)

        def loss(self, batch):
            layouts.add(batch.x.is_contiguous(memory_format=torch.channels_last))
            return {"loss": (self.net(batch.x) - batch.x).square().mean()}

        def stages(self):
            return [Stage(name="s", turns=[Turn(name="t", modules=[self.net], loss=self.loss)])]

    layouts, model = set(), Conv()
    fit(model, Rows(torch.rand(16, 3, 7, 5)), Plan(steps=3, batch=4))
    assert layouts == {True}
    assert model.net.weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps must be greater"),
        ({"precision": "fp32"}, "unknown precision"),
        ({"device": "cud"}, "did you mean c"),
        ({"clip": -1.0}, "clip must be"),
    ],
)
def test_bad_plans_are_refused(options, message):
    with pytest.raises(OptionError, match=message):
        fit(build(OnePlayer), rows(), Plan(**options))


def test_a_batch_larger_than_the_data_is_all_of_them_and_says_so():
    class Notes(Quiet):
        def note(self, text):
            said.append(text)

    said = []
    outcome = fit(build(OnePlayer), rows(40), Plan(steps=2, batch=50), reporter=Notes())
    assert outcome.protocol["batch"] == 40
    assert said == ["batches of 40, not 50: there are no more training samples"]
