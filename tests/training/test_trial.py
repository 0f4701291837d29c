"""A budget of time plans steps from a short trial, for stages with sources of their own as well."""

from typing import ClassVar

import numpy as np
import pytest
import torch
from training_toys import OnePlayer, rows

from urbild.contract import Batch, DataSpec, Source, Stage
from urbild.data import as_records
from urbild.errors import DataError
from urbild.models.adversarial.conditional_gan import conditional_gan
from urbild.nets.adversaries import Dense
from urbild.nets.labels import labelled
from urbild.runs import train_run
from urbild.training import Plan, fit
from urbild.training.trial import few

SPEC = DataSpec(shape=(6,), kind="vector")


class Half(Source):
    """Every second sample; knows how many it was made of."""

    made_of: ClassVar[list[int]] = []

    def __init__(self, source: Source) -> None:
        self.spec, self._source = source.spec, source
        self.made_of.append(len(source))

    def __len__(self) -> int:
        return len(self._source) // 2

    def fetch(self, rows: list[int], *, epoch: int = 0) -> Batch:
        return self._source.fetch([2 * row for row in rows], epoch=epoch)


class OnHalf(OnePlayer):
    def stages(self) -> list[Stage]:
        (stage,) = super().stages()
        return [Stage(name=stage.name, turns=stage.turns, source=Half)]


class Told(Source):
    """Points with labels, of which few are known."""

    def __init__(self, labels: np.ndarray) -> None:
        self.spec = DataSpec(shape=(2,), kind="vector", classes=("left", "right"))
        self.labels = labels
        self.x = torch.randn(len(labels), 2)

    def __len__(self) -> int:
        return len(self.x)

    def fetch(self, rows: list[int], *, epoch: int = 0) -> Batch:
        index = torch.as_tensor(list(rows))
        return Batch(x=self.x[index], index=index, y=torch.from_numpy(self.labels)[index])


def test_a_stage_with_a_source_of_its_own_is_tried_on_few_samples():
    Half.made_of.clear()
    model = OnHalf(SPEC)
    outcome = fit(model, rows(960), Plan(seconds=0.3, batch=8))
    assert Half.made_of == [64, 960]
    assert outcome.protocol["planned"]["only"] < 100_000
    assert outcome.protocol["steps"]["only"] > 10


@pytest.mark.parametrize("system", ["latent_prior", "classifier"])
def test_time_is_shared_by_stages_that_make_their_own_data(system):
    run = train_run(system, as_records("digits"), {"seconds": 2.0, "seed": 0})
    planned, steps = run.training["planned"], run.training["steps"]
    assert all(0 < count < 1e6 for count in planned.values())
    assert all(steps[name] > 0.2 * planned[name] for name in planned)


def test_a_game_with_classes_looks_at_them_in_its_trial_alone():
    network = Dense(width=8)
    source = Told(np.arange(400) % 2)
    model = conditional_gan(source.spec, generator=network, critic=network)
    outcome = fit(model, source, Plan(seconds=0.3, batch=8))
    assert 0 < outcome.protocol["planned"]["game"] < 100_000


def test_what_all_samples_lack_is_told_of_all():
    source = Told(np.full(4000, -1))
    network = Dense(width=8)
    model = conditional_gan(source.spec, generator=network, critic=network)
    with pytest.raises(DataError, match="4000 of 4000"):
        fit(model, source, Plan(seconds=0.3, batch=8))


def test_few_are_spread_and_half_of_them_labelled():
    labels = np.full(1000, -1)
    labels[[3, 500, 998]] = 0, 1, 0
    found = few(Told(labels), 20)
    assert 11 <= len(found) <= 20
    assert sorted(found.labels[found.labels >= 0]) == [0, 0, 1]
    seen = found.fetch(range(len(found))).index
    assert seen[0] == 0
    assert seen[-1] == 999
    assert seen.diff().max() < 130
    assert torch.equal(next(iter(found.stream([(0, [1, 2])]))).index, seen[1:3])
    assert len(few(rows(5), 64)) == 5
    with pytest.raises(DataError):
        labelled(few(Told(labels), 20))
