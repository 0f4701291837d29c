import os
import signal
import threading
import time
from itertools import product

import pytest
import torch
from training_toys import Growing, OnePlayer, TwoPlayers, TwoStages, rows

from urbild.contract import DataSpec
from urbild.errors import ArtifactError, OptionError
from urbild.training import CHECKPOINT, Plan, fit, read_csv

SPEC = DataSpec(shape=(6,), kind="vector")
KINDS = {
    "one player": lambda s: OnePlayer(s, noise=0.2, norm=True, average=0.9),
    "two players": TwoPlayers,
    "two stages": TwoStages,
    "growing": Growing,
}


class Stop(Exception):
    pass


def build(kind):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return kind(SPEC)


def stop_at(model, step, stage):
    """Breaks a run off the hard way: in the middle of a step, as a power cut does."""
    stages = model.stages()
    turn = stages[stage].turns[-1]
    spied = turn.loss

    def loss(batch):
        if batch.step == step:
            raise Stop
        return spied(batch)

    object.__setattr__(turn, "loss", loss)
    model.stages = lambda: stages


FIRST, LAST, BOUNDARY = (7, 0), (13, -1), (1, -1)  # (step, stage) of the cut; the last goes on from a stage's start


@pytest.mark.parametrize(
    ("kind", "cut"),
    [*product(KINDS.values(), (FIRST, LAST)), (TwoStages, BOUNDARY), (Growing, BOUNDARY)],
    ids=[*(f"{name}-{cut}" for name, cut in product(KINDS, ("first", "last"))), "two stages-start", "growing-start"],
)
def test_an_interrupted_run_reaches_the_same_bits(kind, cut, tmp_path):
    plan = Plan(steps=32, batch=8, checkpoint_every=3, check_every=4, patience=50, log_every=2)
    validation = rows(24, seed=9)
    whole = build(kind)
    straight = fit(whole, rows(), plan, validation=validation)
    broken = build(kind)
    stop_at(broken, *cut)
    with pytest.raises(Stop):
        fit(broken, rows(), plan, validation=validation, directory=tmp_path)
    assert (tmp_path / CHECKPOINT).exists()
    resumed = build(kind)
    with torch.no_grad():
        for parameter in resumed.parameters():
            parameter.add_(1.0)  # what it starts from must not matter
    outcome = fit(resumed, rows(), plan, validation=validation, directory=tmp_path, resume=True)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
    wanted = [(r.stage, r.step, r.split, r.name, r.value) for r in straight.rows if r.split == "validation"]
    assert wanted == [(r.stage, r.step, r.split, r.name, r.value) for r in outcome.rows if r.split == "validation"]
    assert read_csv(tmp_path / "metrics.csv")[-1].value == outcome.rows[-1].value
    assert straight.protocol["steps"] == outcome.protocol["steps"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_a_checkpoint_and_ends_the_run(number, tmp_path):
    plan = Plan(steps=1500, batch=8)
    model = build(TwoPlayers)
    killer = threading.Thread(target=lambda: (time.sleep(0.3), os.kill(os.getpid(), number)))
    killer.start()
    with pytest.raises(KeyboardInterrupt, match="interrupted at step"):
        fit(model, rows(), plan, directory=tmp_path)
    killer.join()
    assert signal.getsignal(number) is not None
    resumed, whole = build(TwoPlayers), build(TwoPlayers)
    fit(resumed, rows(), plan, directory=tmp_path, resume=True)
    fit(whole, rows(), plan)
    assert all(torch.equal(v, resumed.state_dict()[n]) for n, v in whole.state_dict().items())


def interrupted(tmp_path, **options):
    model = build(OnePlayer)
    stop_at(model, 5, 0)
    with pytest.raises(Stop):
        fit(model, rows(), Plan(steps=20, batch=8, checkpoint_every=2, **options), directory=tmp_path)


def test_resume_refuses_another_plan_or_model(tmp_path):
    interrupted(tmp_path)
    with pytest.raises(OptionError, match="had batch 8, this one has 16"):
        fit(build(OnePlayer), rows(), Plan(steps=20, batch=16), directory=tmp_path, resume=True)
    with pytest.raises(OptionError, match="samples"):
        fit(build(OnePlayer), rows(90), Plan(steps=20, batch=8), directory=tmp_path, resume=True)
    with pytest.raises(ArtifactError, match="another model"):
        fit(build(TwoPlayers), rows(), Plan(steps=20, batch=8), directory=tmp_path, resume=True)


@pytest.mark.parametrize("damage", ["cut", "flip", "text"])
def test_a_damaged_checkpoint_is_refused(damage, tmp_path):
    interrupted(tmp_path)
    path = tmp_path / CHECKPOINT
    data = bytearray(path.read_bytes())
    if damage == "flip":
        data[-5] ^= 1
    path.write_bytes(b"nonsense" if damage == "text" else data[: len(data) // 2] if damage == "cut" else data)
    with pytest.raises(ArtifactError, match="checkpoint"):
        fit(build(OnePlayer), rows(), Plan(steps=20, batch=8), directory=tmp_path, resume=True)
