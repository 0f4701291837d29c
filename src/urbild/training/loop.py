"""The one loop: stages in order; in a stage its solver, then players who take turns on each batch.

A step is a function of the weights, the seed and the step's number: the order of the data and all noise are keyed by
them. So a run that was interrupted goes on to the same weights, bit for bit on CPU, as one that never was.
"""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from math import inf, isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch

from urbild.contract import Batch, Model, Source, Stage
from urbild.errors import OptionError, TrainingDivergedError
from urbild.training.interruption import Interruption
from urbild.training.meter import Meter
from urbild.training.plan import Plan, key
from urbild.training.players import Player, scaler_of
from urbild.training.progress import Reporter
from urbild.training.record import METRICS, Record, Row, read_csv
from urbild.training.state import Checkpoint, State, recall, remembered, save_checkpoint
from urbild.training.tools import Exchanged, machine, monitor_of, pieces, seed_all, seeded, share_buffers
from urbild.training.watch import Watch, as_used

if TYPE_CHECKING:
    from lightning_fabric import Fabric

SHOWN_SECONDS = 0.2
CHECK_BATCH = 512


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is known of a run when it is over.

    Attributes:
        protocol: seed, steps, seconds, batch, precision, device, versions: what its numbers must carry.
        rows: of metrics.csv.
    """

    protocol: dict[str, Any]
    rows: list[Row]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What one process trains.

    Attributes:
        model: on its device.
        source: of training samples.
        validation: normals for early stopping, or None.
        plan: in which nothing is None that the loop needs: steps, batch.
        directory: for metrics and checkpoints, or None.
        resume: whether to go on from the directory's checkpoint.
        reporter: told of the run.
        steps: planned, by stage.
        facts: what else must be the same for a run to go on: JSON data, by its name.
        watch: looks on, or None.
    """

    model: Model
    source: Source
    validation: Source | None
    plan: Plan
    directory: Path | None
    resume: bool
    reporter: Reporter
    steps: Sequence[int]
    facts: Mapping[str, Any] = field(default_factory=dict)
    watch: Watch | None = None


class Loop:
    """A run in progress, in one process."""

    def __init__(self, fabric: "Fabric", job: Job) -> None:
        self._fabric, self._job = fabric, job
        self._model, self._plan = job.model, job.plan
        self._stages = list(job.model.stages())
        self._state = State()
        self._state.position.steps = list(job.steps)
        self._players: list[Player] = []
        self._checkpoint: Checkpoint | None = None
        self._batch = 1
        self._main = fabric.is_global_zero
        self._watch = job.watch if self._main else None
        self._began = time.monotonic()

    def run(self) -> Outcome:
        """Trains, and leaves the model in evaluation mode."""
        kept = self._resume() if self._job.resume else []
        directory = self._job.directory if self._main else None
        record = Record(directory, kept=kept, tensorboard=self._plan.tensorboard)
        if self._watch is not None:
            self._watch.logged(kept)
        trained = [p for p in self._model.parameters() if p.requires_grad]
        try:
            with Interruption() as interruption:
                while self._state.position.stage < len(self._stages):
                    self._stage(self._stages[self._state.position.stage], record, interruption)
        finally:
            record.close()
            self._job.reporter.close()
            for parameter in trained:
                parameter.requires_grad_(True)
        self._model.eval()
        self._forget_gradients()
        return Outcome(self._protocol(record), record.rows)

    def _resume(self) -> list[Row]:
        assert self._job.directory is not None  # the caller made sure
        self._checkpoint = Checkpoint(self._job.directory)
        there, here = self._checkpoint.facts, json.loads(json.dumps(self._facts()))
        for name in {**here, **there}:
            if there.get(name) != here.get(name):
                msg = f"the interrupted run had {name} {there.get(name)}, this one has {here.get(name)}; "
                msg += "--resume goes on with the same data and options only."
                raise OptionError(msg)
        self._state = self._checkpoint.restore_model(self._model)
        position = self._state.position
        self._began = time.monotonic() - position.seconds
        order = {stage.name: number for number, stage in enumerate(self._stages)}
        rows = read_csv(self._job.directory / METRICS)
        return [row for row in rows if (order[row.stage], row.step) <= (position.stage, position.step)]

    def _facts(self) -> dict[str, Any]:
        """What must be the same for a run to go on."""
        chosen = ("batch", "seed", "precision", "clip", "accumulate", "patience", "check_every")
        plan = {name: value for name, value in asdict(self._plan).items() if name in chosen}
        budget = {} if self._plan.seconds is not None else {"steps": list(self._job.steps)}
        shape = list(self._job.source.spec.shape)
        return {**self._job.facts, **plan, **budget, "samples": len(self._job.source), "shape": shape}

    def _stage(self, stage: Stage, record: Record, interruption: Interruption) -> None:
        position, number = self._state.position, self._state.position.stage
        self._enter(stage)  # a source may ask the parts that were trained before, which must not draw
        source = stage.source(self._job.source) if stage.source is not None else self._job.source
        if stage.solve is not None and not position.solved:
            self._solve(stage, source)
        position.solved = True
        stopped = "solved"
        if stage.turns:
            self._players = [Player(self._fabric, self._model, stage, turn) for turn in stage.turns]
            self._remember(stage)
            stopped = self._turns(stage, source, record, interruption)
            self._leave(stage)
            self._look(stage, record)
        steps, seconds = [*position.reached, position.step], position.seconds
        position.stage, position.step, position.solved = number + 1, 0, False
        position.best, position.waited, position.seconds = inf, 0, seconds
        position.reached, position.stopped = steps, [*position.stopped, stopped]
        self._state.best, self._players = {}, []
        if position.stage < len(self._stages):
            self._save()

    def _enter(self, stage: Stage) -> None:
        """Sets modes: players of the stage train, all the rest is as it will be used."""
        self._model.eval()
        for parameter in self._model.parameters():
            parameter.requires_grad_(False)
        for turn in stage.turns:
            for module in turn.modules:
                module.train()
                for parameter in module.parameters():
                    parameter.requires_grad_(True)

    def _solve(self, stage: Stage, source: Source) -> None:
        assert stage.solve is not None
        self._job.reporter.note(f"{stage.name}: computed from {len(source):,} samples")
        if self._main:
            with torch.no_grad(), seeded(key(self._plan.seed, "solve", stage.name)):
                stage.solve(source)
        if self._fabric.world_size > 1:
            share_buffers(self._fabric, self._model)

    def _remember(self, stage: Stage) -> None:
        """Gives optimisers and averages the memory of a checkpoint, or of the turns that they continue."""
        if self._checkpoint is not None:
            self._checkpoint.restore_players(self._players, scaler_of(self._fabric))
            self._checkpoint = None
            device = next(iter(self._model.parameters())).device
            for held in (self._state.average, self._state.best):
                held.update({name: value.to(device) for name, value in held.items()})
        if self._state.position.step == 0:
            for player in self._players:
                if player.turn.continues is not None:
                    recall(player, self._state.carried[player.turn.continues])
        if stage.average is not None:
            ours = {name: p for player in self._players for name, p in player.own.items()}
            fresh = ours.keys() - self._state.average.keys()
            self._state.average |= {name: ours[name].detach().clone() for name in fresh}

    def _turns(self, stage: Stage, source: Source, record: Record, interruption: Interruption) -> str:
        plan, position, fabric = self._plan, self._state.position, self._fabric
        steps = position.steps[position.stage]
        self._batch = min(stage.batch or plan.batch or 1, len(source)) // fabric.world_size * fabric.world_size
        if self._batch == 0:
            msg = f"{len(source)} samples are too few for {fabric.world_size} processes; use fewer devices."
            raise OptionError(msg)
        rhythm = self._rhythm(steps, len(source))
        meter = Meter(stage.name, sync=1 if fabric.device.type == "cpu" else 20)
        reporter = self._job.reporter
        reporter.start(stage.name, steps, position.step)
        shown = logged = time.monotonic()
        batches = iter(source.stream(self._order(len(source), steps)))
        stopped = "steps"
        if position.step == 0:
            self._look(stage, record)
        while position.step < steps:
            try:
                batch = next(batches)
            except RuntimeError:
                if not interruption.asked:  # a terminal's Ctrl-C ends the readers as well
                    raise
                self._break_off(interruption)
            self._step(stage, self._to_device(batch), steps, meter)
            position.step += 1
            now = time.monotonic()
            position.seconds = now - self._began
            done = position.step == steps
            if now - shown > SHOWN_SECONDS or done:
                reporter.step(position.step, meter.latest, self._batch * meter.count / max(now - logged, 1e-9))
                shown = now
            if position.step % rhythm.log == 0 or done:
                self._log(record, self._rows(stage, "train", meter.means()))
                logged = now
            if (position.step % rhythm.check == 0 or done) and self._check(stage, record):
                stopped = "patience"
                break
            if self._ask(interruption):
                self._break_off(interruption)
            if plan.seconds is not None and not done and self._agreed(position.seconds > plan.seconds):
                stopped = "time"
                break
            if position.step % rhythm.save == 0 and not done:
                self._look(stage, record)
                self._save()
        meter.flush()
        reporter.close()
        return stopped

    def _log(self, record: Record, rows: list[Row]) -> None:
        record.add(rows)
        if self._watch is not None:
            self._watch.logged(rows)

    def _look(self, stage: Stage, record: Record) -> None:
        if self._watch is None:
            return
        with as_used(self._model, self._state.average, key(self._plan.seed, "look")):
            values = self._watch.look(self._model, stage, self._state.position.step)
        record.add(self._rows(stage, "train", values))

    def _rhythm(self, steps: int, samples: int) -> "_Rhythm":
        plan, per_epoch = self._plan, max(1, samples // self._batch)
        return _Rhythm(
            log=plan.log_every or max(1, min(50, steps // 100)),
            check=plan.check_every or max(per_epoch, steps // 50, 1),
            save=plan.checkpoint_every or max(200, steps // 10),
        )

    def _order(self, samples: int, steps: int) -> Iterator[tuple[int, Sequence[int]]]:
        """Each step's (epoch, rows), from the position on; keyed by the seed. What fills no batch is left out."""
        position, world, rank = self._state.position, self._fabric.world_size, self._fabric.global_rank
        per_epoch, current, order = samples // self._batch, -1, np.empty(0, np.int64)
        for step in range(position.step, steps):
            epoch, place = divmod(step, per_epoch)
            if epoch != current:
                seed = key(self._plan.seed, "order", position.stage, epoch)
                generator = torch.Generator().manual_seed(seed)
                order, current = torch.randperm(samples, generator=generator).numpy(), epoch
            rows = order[place * self._batch : (place + 1) * self._batch]
            yield epoch, cast("Sequence[int]", rows[rank::world])  # an array serves as one, and costs no conversion

    def _to_device(self, batch: Batch) -> Batch:
        device = self._fabric.device
        if device.type != "cpu":
            batch = batch.map(lambda tensor: tensor.to(device, non_blocking=True))
        if batch.x.dim() == 4:
            batch = replace(batch, x=batch.x.contiguous(memory_format=torch.channels_last))
        return batch

    def _step(self, stage: Stage, batch: Batch, steps: int, meter: Meter) -> None:
        step = self._state.position.step
        seed_all(key(self._plan.seed, "step", self._state.position.stage, step, self._fabric.global_rank))
        batch = batch.at(step, step / steps)
        meter.begin()
        for player in self._players:
            if player.turn.due(step):
                for _ in range(player.turn.repeat):
                    self._move(player, batch, meter)
        if stage.average is not None:
            ours = {name: p for player in self._players for name, p in player.own.items()}
            kept = [self._state.average[name] for name in ours]
            with torch.no_grad():
                torch._foreach_lerp_(kept, list(ours.values()), 1 - stage.average)

    def _move(self, player: Player, batch: Batch, meter: Meter) -> None:
        parts = list(pieces(batch, self._plan.accumulate))
        with player.alone():
            player.forget()
            for number, piece in enumerate(parts):
                share = len(piece) / len(batch)
                losses = player.losses(piece)
                meter.add(player.turn.name, losses, self._state.position.step, share)
                loss = losses["loss"] if len(parts) == 1 else losses["loss"] * share
                player.backward(loss, last=number == len(parts) - 1)
            player.step(self._plan.clip, batch.progress)
        player.agree()

    def _check(self, stage: Stage, record: Record) -> bool:
        """Looks at the validation normals; says whether patience is over."""
        position = self._state.position
        value = self._criterion(stage) if self._job.validation is not None else None
        if value is None:
            return False
        record.add(self._rows(stage, "validation", {"monitor": value}))
        if self._plan.patience is None:
            return False
        if value < position.best:
            position.best, position.waited = value, 0
            with self._averaged():
                self._state.best = {name: v.detach().clone() for name, v in self._model.state_dict().items()}
        else:
            position.waited += 1
        return position.waited >= self._plan.patience

    @torch.no_grad()
    def _criterion(self, stage: Stage) -> float | None:
        monitor = monitor_of(stage)
        if monitor is None:
            return None
        validation = self._job.validation
        assert validation is not None
        playing = [module for turn in stage.turns for module in turn.modules if module.training]
        self._model.eval()
        total = count = 0.0
        with self._averaged(), self._fabric.autocast(), seeded(key(self._plan.seed, "check")):
            for batch in validation.batches(CHECK_BATCH):
                value = monitor(self._to_device(batch.at(self._state.position.step, 1.0)))
                total += float(value.float().mean()) * len(batch)
                count += len(batch)
        for module in playing:
            module.train()
        return float(self._fabric.broadcast(total / count))

    def _averaged(self) -> "Exchanged":
        return Exchanged(self._model, self._state.average)

    def _leave(self, stage: Stage) -> None:
        """Puts the weights in place that the verbs are to use, and keeps the memory that later turns continue.

        Weights whose average a later stage continues go on as they are: that stage puts the average in place.
        """
        coming = self._stages[self._state.position.stage + 1 :]
        wanted = {turn.continues for later in coming for turn in later.turns}
        averaged = {turn.continues for later in coming if later.average is not None for turn in later.turns}
        going_on: set[str] = set()
        for player in self._players:
            if (full := f"{stage.name}/{player.turn.name}") in wanted:
                self._state.carried[full] = remembered(player)
            if full in averaged and not self._state.best:
                going_on |= player.own.keys()
        ready = {name: value for name, value in self._state.average.items() if name not in going_on}
        with torch.no_grad():
            present = self._model.state_dict()
            for name, value in (self._state.best or ready).items():
                present[name].copy_(value)
        self._state.average = {name: value for name, value in self._state.average.items() if name in going_on}
        self._state.carried = {name: memory for name, memory in self._state.carried.items() if name in wanted}
        self._forget_gradients()

    def _forget_gradients(self) -> None:
        for parameter in self._model.parameters():
            parameter.grad = None

    def _rows(self, stage: Stage, split: str, values: Mapping[str, float]) -> list[Row]:
        position = self._state.position
        return [Row(stage.name, position.step, position.seconds, split, name, value) for name, value in values.items()]

    def _save(self) -> None:
        if self._job.directory is None:
            return
        if not all(bool(parameter.isfinite().all()) for parameter in self._model.parameters()):
            position = self._state.position
            stage = self._stages[min(position.stage, len(self._stages) - 1)]
            msg = f"stage {stage.name!r}: weights are not finite after step {position.step}; the last good "
            msg += "checkpoint, if one was written, stays. Try a smaller learning rate, --clip 1 or --precision 32."
            raise TrainingDivergedError(msg)
        if self._main:
            scaler = scaler_of(self._fabric)
            save_checkpoint(
                self._job.directory, self._model, self._players, self._state, scaler=scaler, facts=self._facts()
            )

    def _ask(self, interruption: Interruption) -> bool:
        return self._agreed(interruption.asked)

    def _agreed(self, own: bool) -> bool:
        """What the first process thinks, so that all do the same."""
        return bool(self._fabric.broadcast(own)) if self._fabric.world_size > 1 else own

    def _break_off(self, interruption: Interruption) -> None:
        self._save()
        position, kept = self._state.position, self._job.directory
        where = f"a checkpoint is in {kept}" if kept is not None else "nothing was kept"
        interruption.end(
            f"interrupted at step {position.step} of stage {self._stages[position.stage].name!r}; {where}."
        )

    def _protocol(self, record: Record) -> dict[str, Any]:
        position, plan, device = self._state.position, self._plan, self._fabric.device
        names = [stage.name for stage in self._stages]
        final = {f"{row.stage}/{row.split}/{row.name}": row.value for row in record.rows}
        return {
            "seed": plan.seed,
            "samples": len(self._job.source),
            "validation_samples": len(self._job.validation) if self._job.validation is not None else 0,
            "batch": plan.batch,
            "steps": dict(zip(names, position.reached, strict=True)),
            "planned": dict(zip(names, position.steps, strict=True)),
            "stopped": dict(zip(names, position.stopped, strict=True)),
            "seconds": round(time.monotonic() - self._began, 3),
            "precision": plan.precision,
            "clip": plan.clip,
            "accumulate": plan.accumulate,
            "patience": plan.patience,
            "processes": self._fabric.world_size,
            **machine(device),
            "final": {name: value for name, value in final.items() if isfinite(value)},
        }


@dataclass(frozen=True, slots=True)
class _Rhythm:
    log: int
    check: int
    save: int
