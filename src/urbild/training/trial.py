"""How long a step of each stage takes: a few of them on a copy of the model, whose results are thrown away."""

import time
from copy import deepcopy
from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from urbild.contract import Source, Stage
from urbild.errors import DataError
from urbild.ops.sources import Chosen
from urbild.training.loop import Job, Loop
from urbild.training.meter import Meter
from urbild.training.players import Player
from urbild.training.progress import Quiet

if TYPE_CHECKING:
    from lightning_fabric import Fabric

STEPS, WARM_STEPS = 6, 2


def seconds_per_step(fabric: "Fabric", job: Job) -> list[float]:
    """Of each stage that has turns; 0 of the others."""
    job = replace(
        job, model=deepcopy(job.model), directory=None, resume=False, validation=None, reporter=Quiet(), watch=None
    )
    return [Trial(fabric, job).seconds(stage) if stage.turns else 0.0 for stage in job.model.stages()]


class Trial(Loop):
    """A few steps of a stage. Solvers are left out, but for what a stage learns of a source of its own."""

    def seconds(self, stage: Stage) -> float:
        """The median of a few steps after the first ones, which fill caches."""
        self._enter(stage)
        source = self._source(stage)
        if stage.source is not None and stage.solve is not None:
            self._solve(stage, source)
        self._players = [Player(self._fabric, self._model, stage, turn) for turn in stage.turns]
        world = self._fabric.world_size
        self._batch = max(1, min(self._wanted(stage), len(source)) // world) * world
        batches = source.stream(self._order(len(source), WARM_STEPS + STEPS))
        meter, times = Meter(stage.name, sync=1), []
        for number, batch in enumerate(batches):
            begun = time.monotonic()
            self._state.position.step = number
            for player in self._players:
                self._move(player, self._to_device(batch).at(number, 0.0), meter)
            times.append(time.monotonic() - begun)
        return median(times[WARM_STEPS:])

    def _wanted(self, stage: Stage) -> int:
        return stage.batch or self._plan.batch or 1

    def _source(self, stage: Stage) -> Source:
        """The stage's own source, of few samples: it may read them all at once."""
        every = self._job.source
        if stage.source is None:
            return every
        try:
            return stage.source(few(every, (WARM_STEPS + STEPS) * self._wanted(stage)))
        except DataError:  # few samples may lack what all have; and what all lack is told of all
            return stage.source(every)


def few(source: Source, count: int) -> Source:
    """At most `count` samples, spread over all; at least half of them labelled, where so many are."""
    labels = source.labels
    told = _spread(np.empty(0, np.int64) if labels is None else np.flatnonzero(labels >= 0), count // 2)
    return Chosen(source, np.union1d(told, _spread(np.arange(len(source)), count - len(told))))


def _spread(rows: np.ndarray, count: int) -> np.ndarray:
    return rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(np.int64)]
